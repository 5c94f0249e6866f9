package drivers

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/sensors/bus"
	"github.com/dunlin-mqtt/dunlin/sensors/chipsim"
)

// hearing is a session that tells when which values were published.
type hearing struct {
	mutedSession
	value func(device string)
}

func (h hearing) Publish(_ context.Context, m mqtt.Message) error {
	if device, ok := strings.CutSuffix(strings.TrimPrefix(m.Topic, "b/"), "/temperature"); ok && len(m.Payload) > 0 {
		h.value(device)
	}
	return nil
}

// runThermometers runs as many LM75 on one bus for five minutes, of which the
// first one falls ill after ten seconds. It returns the longest time that any of the
// others went without a value, how many values they had, how all are in the end, and the log.
func runThermometers(t *testing.T, many int, interval time.Duration, fault func(ill bool) error) (gap time.Duration, values int, all []sensors.Status, log string) {
	t.Helper()
	sim, begin := &chipsim.Bus{}, time.Now()
	g := bus.NewGuard("i2c1", sim, 2*time.Second)
	defer g.Close()
	defer time.Sleep(time.Minute) // what hangs returns
	var devices []sensors.Device
	for i := range many {
		sim.Plug(uint16(0x48+i), chipsim.NewLM75())
		d := mustBuild(t, "lm75", func(o any) { o.(*thermoOptions).Bus, o.(*thermoOptions).Address = "i2c1", 0x48+i }, nil)
		devices = append(devices, sensors.Device{Name: fmt.Sprint("t", i), Driver: d, Interval: interval})
	}
	sim.Fault(func(_ int, address uint16) error {
		time.Sleep(2 * time.Millisecond)
		if time.Since(begin) < 10*time.Second {
			return nil
		}
		return fault(address == 0x48)
	})
	var mu sync.Mutex
	last := map[string]time.Time{}
	value := func(device string) {
		mu.Lock()
		defer mu.Unlock()
		if before, ok := last[device]; ok && device != "t0" {
			gap, values = max(gap, time.Since(before)), values+1
		}
		last[device] = time.Now()
	}
	var lines strings.Builder
	m, err := sensors.New(sensors.Options{
		Log: slog.New(slog.NewTextHandler(&lines, nil)), Base: "b", Devices: devices, Buses: &fakeHardware{i2c: map[string]i2c.Bus{"i2c1": g}},
		Attach: func(string, *mqtt.Will, func()) (sensors.Session, error) { return hearing{value: value}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	time.Sleep(5*time.Minute - time.Second)
	synctest.Wait()
	all = m.Status()
	mu.Lock()
	for device, at := range last {
		if device != "t0" {
			gap = max(gap, time.Since(at))
		}
	}
	mu.Unlock()
	if err := <-done; err != nil {
		t.Error(err)
	}
	return gap, values, all, lines.String()
}

// A chip whose transfers take ten seconds costs the others on its bus those
// seconds, about once a minute.
func TestASlowChipCostsItsNeighborsLittle(t *testing.T) {
	for _, tc := range []struct {
		interval time.Duration
		gap      time.Duration
		values   int
	}{{time.Second, 13 * time.Second, 7 * 200}, {30 * time.Second, 45 * time.Second, 7 * 8}} {
		synctest.Test(t, func(t *testing.T) {
			gap, values, all, _ := runThermometers(t, 8, tc.interval, func(ill bool) error {
				if !ill {
					return nil
				}
				time.Sleep(10 * time.Second)
				return syscall.ETIMEDOUT
			})
			if gap > tc.gap || values < tc.values {
				t.Errorf("every %v: the longest gap is %v with %d values, want at most %v and at least %d", tc.interval, gap, values, tc.gap, tc.values)
			}
			for i, s := range all {
				if offline := s.Health.State != sensors.Online; offline != (i == 0) || offline && s.Health.Reason != sensors.Hung {
					t.Errorf("every %v: %s is %s, %s", tc.interval, s.Name, s.Health.State, s.Health.Reason)
				}
			}
		})
	}
}

// Three in ten transfers fail on a long cable: the chips are read all the same,
// and what was repeated is counted.
func TestANoisyBusIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		noise := uint32(1)
		_, values, all, _ := runThermometers(t, 4, 30*time.Second, func(bool) error {
			if noise = noise*1103515245 + 12345; noise>>16%10 < 3 {
				return syscall.EIO
			}
			return nil
		})
		if values < 3*8 {
			t.Errorf("%d values of three chips in ten intervals", values)
		}
		for _, s := range all {
			if s.Health.State != sensors.Online || s.Health.Retries == 0 {
				t.Errorf("%s is %s after %d retries", s.Name, s.Health.State, s.Health.Retries)
			}
		}
	})
}

// A chip that hangs now and then is not read at once again because it was read
// in between.
func TestAChipThatHangsNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transfers := 0
		_, values, _, _ := runThermometers(t, 8, time.Second, func(ill bool) error {
			if ill {
				if transfers++; transfers%60 == 0 { // a few readings
					time.Sleep(10 * time.Second)
					return syscall.ETIMEDOUT
				}
			}
			return nil
		})
		if values < 7*220 {
			t.Errorf("%d values of seven chips in five minutes", values)
		}
	})
}

// A bus that has more to carry than it can serves its chips in turn, and says so
// once. At 100 ms a transfer a turn takes 6.5 s, at 30 ms 2 s.
func TestAnOverloadedBusIsShared(t *testing.T) {
	for _, tc := range []struct{ each, gap time.Duration }{{30 * time.Millisecond, 3 * time.Second}, {100 * time.Millisecond, 8 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			gap, _, all, log := runThermometers(t, 8, time.Second, func(bool) error {
				time.Sleep(tc.each)
				return nil
			})
			if gap > tc.gap {
				t.Errorf("%v a transfer: a chip went %v without a value, want at most %v", tc.each, gap, tc.gap)
			}
			for _, s := range all {
				if s.Health.Err > 0 || s.Health.Reopened > 0 {
					t.Errorf("%v a transfer: %s counts %v and was opened anew %d times", tc.each, s.Name, s.Health.Reasons, s.Health.Reopened)
				}
			}
			if n := strings.Count(log, "longer intervals"); n != 1 || !strings.Contains(log, "bus=i2c1") {
				t.Errorf("%v a transfer: longer intervals were asked for %d times:\n%s", tc.each, n, log)
			}
		})
	}
}

// A chip that measures every five seconds, and is asked that often by a clock
// that is not its own, keeps the bus from nobody while it is waited for.
func TestWaitingForAChipKeepsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim, slow := &chipsim.Bus{}, chipsim.NewSCD4x()
		slow.Slow(1.02)
		sim.Plug(0x62, slow)
		sim.Plug(0x48, chipsim.NewLM75())
		g := bus.NewGuard("i2c1", sim, 2*time.Second)
		defer g.Close()
		last, gap := map[string]time.Time{}, map[string]time.Duration{}
		var mu sync.Mutex
		value := func(device string) {
			mu.Lock()
			defer mu.Unlock()
			if before, ok := last[device]; ok {
				gap[device] = max(gap[device], time.Since(before))
			}
			last[device] = time.Now()
		}
		co2 := mustBuild(t, "scd4x", func(o any) { o.(*scd4xOptions).Bus = "i2c1" }, nil)
		room := mustBuild(t, "lm75", func(o any) { o.(*thermoOptions).Bus = "i2c1" }, nil)
		m, err := sensors.New(sensors.Options{
			Base: "b", Devices: []sensors.Device{{Name: "co2", Driver: co2, Interval: 5 * time.Second}, {Name: "room", Driver: room, Interval: time.Second}},
			Buses:  &fakeHardware{i2c: map[string]i2c.Bus{"i2c1": g}},
			Attach: func(string, *mqtt.Will, func()) (sensors.Session, error) { return hearing{value: value}, nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		if err := m.Run(ctx); err != nil {
			t.Error(err)
		}
		if gap["room"] > 1100*time.Millisecond || gap["co2"] > 16*time.Second {
			t.Errorf("the longest times without a value: %v", gap)
		}
	})
}
