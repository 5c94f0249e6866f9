package sensors_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// bench is a bus with one chip and the line of its supply: what the ladder of
// remedies works on.
type bench struct {
	sensors.Buses
	mu        sync.Mutex
	stuck     int       // clocks until SDA is free
	browned   bool      // the chip needs its supply cut
	hang      chan bool // a transfer waits for it
	recovers  int
	supply    []bool
	off       time.Time
	offFor    time.Duration
	noRecover bool
}

func (b *bench) Recover(context.Context, string) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.noRecover {
		return false, nil
	}
	b.recovers++
	b.stuck = max(b.stuck-9, 0)
	if b.hang != nil {
		close(b.hang)
		b.hang = nil
	}
	return true, nil
}

func (b *bench) Line(o sensors.LineOptions) (sensors.Line, error) {
	l := supplyLine{b}
	return l, l.Write(o.Initial)
}

// supplyLine is the line of the bench's supply.
type supplyLine struct{ *bench }

func (l supplyLine) Write(on bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !on:
		l.off = time.Now()
	case !l.off.IsZero():
		l.offFor, l.browned = time.Since(l.off), false
	}
	l.supply = append(l.supply, on)
	return nil
}
func (l supplyLine) Read() (bool, error) { return false, errors.New("not read") }
func (l supplyLine) Event(context.Context) (sensors.LineEvent, error) {
	return sensors.LineEvent{}, errors.New("not read")
}
func (l supplyLine) Close() error { return nil }

// chipOnBench is its driver.
type chipOnBench struct {
	*fakeDriver
}

func (chipOnBench) Bus() string { return "i2c1" }

func onBench(t *testing.T, power bool, f func(b *fakeBroker, x *bench)) {
	t.Helper()
	bubble(t, func(t *testing.T) {
		b, x := newFakeBroker(), &bench{}
		d := chipOnBench{&fakeDriver{}}
		d.read = func(context.Context, int) ([]sensors.Reading, error) {
			x.mu.Lock()
			hang, bad := x.hang, x.stuck > 0 || x.browned
			x.mu.Unlock()
			if hang != nil {
				<-hang
			}
			if bad {
				return nil, fault(sensors.Timeout)
			}
			return one(1.0)
		}
		dev := sensors.Device{Name: "chip", Driver: d, Interval: time.Second, StaleAfter: time.Minute, WillDelay: 10 * time.Second}
		if power {
			dev.Power = &sensors.Power{}
		}
		m, err := sensors.New(sensors.Options{Devices: []sensors.Device{dev}, Attach: b.attach, Buses: x, Base: base, ClockSynced: func() bool { return true }})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx) }()
		defer func() { cancel(); <-done }()
		after(10 * time.Second)
		f(b, x)
	})
}

// change is done to the bench from outside.
func (b *bench) change(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

func TestLadder(t *testing.T) {
	t.Run("a chip that holds SDA is freed, and nobody outside sees it", func(t *testing.T) {
		onBench(t, true, func(b *fakeBroker, x *bench) {
			x.change(func() { x.stuck = 9 })
			after(time.Minute)
			if a := got(b, "chip/availability"); len(a) != 1 {
				t.Errorf("availability was %q", a)
			}
			h := b.last("chip/health")
			for _, part := range []string{`"state":"online"`, `"retries":`, `"bus_recovered":1`} {
				if !strings.Contains(h, part) {
					t.Errorf("%s is not in %s", part, h)
				}
			}
			if strings.Contains(h, "power_cycled") || x.recovers != 1 || len(x.supply) != 1 {
				t.Errorf("%d recoveries, supply %v: %s", x.recovers, x.supply, h)
			}
		})
	})
	t.Run("a chip that needs its supply cut", func(t *testing.T) {
		onBench(t, true, func(b *fakeBroker, x *bench) {
			x.change(func() { x.browned = true })
			after(2 * time.Minute)
			h := b.last("chip/health")
			if !strings.Contains(h, `"state":"online"`) || !strings.Contains(h, `"bus_recovered":1,"power_cycled":1`) {
				t.Errorf("health is %s", h)
			}
			if x.offFor != 2*time.Second || len(x.supply) != 3 || !x.supply[0] || x.supply[1] || !x.supply[2] {
				t.Errorf("off for %v, supply %v", x.offFor, x.supply)
			}
		})
	})
	t.Run("a transfer that hangs", func(t *testing.T) {
		onBench(t, false, func(b *fakeBroker, x *bench) {
			x.change(func() { x.hang = make(chan bool) })
			after(2 * time.Minute)
			if h := b.last("chip/health"); !strings.Contains(h, `"state":"online"`) || !strings.Contains(h, `"hung":1`) || !strings.Contains(h, `"bus_recovered":1`) {
				t.Errorf("health is %s", h)
			}
		})
	})
	t.Run("without remedies, and a dead chip, it is opened anew ever more seldom", func(t *testing.T) {
		onBench(t, true, func(b *fakeBroker, x *bench) {
			x.change(func() { x.stuck = 1e6 })
			after(2 * time.Hour)
			if b.last("chip/availability") != "offline" {
				t.Error("it is online")
			}
			if x.recovers < 5 || x.recovers > 60 || len(x.supply) < 11 || len(x.supply) > 121 {
				t.Errorf("%d recoveries, %d changes of the supply in two hours", x.recovers, len(x.supply))
			}
		})
		onBench(t, false, func(b *fakeBroker, x *bench) {
			x.change(func() { x.browned, x.noRecover = true, true })
			after(time.Minute)
			x.change(func() { x.browned = false })
			after(2 * time.Minute)
			if h := b.last("chip/health"); !strings.Contains(h, `"state":"online"`) || strings.Contains(h, "bus_recovered") {
				t.Errorf("health is %s", h)
			}
		})
	})
}
