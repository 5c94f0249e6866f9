package bus

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/sensors/chipsim"
)

func TestGuardGivesErrorsAReason(t *testing.T) {
	for _, tc := range []struct {
		errno  error
		kind   error
		reason sensors.Reason
	}{
		{syscall.ENXIO, ErrNoDevice, sensors.Nack},
		{remoteIO, ErrNoDevice, sensors.Nack},
		{syscall.ENODEV, ErrGone, sensors.Unplugged},
		{syscall.ETIMEDOUT, ErrTimeout, sensors.Timeout},
		{syscall.ETIME, ErrTimeout, sensors.Timeout},
		{syscall.EAGAIN, ErrArbitration, sensors.IO},
		{syscall.EIO, ErrBus, sensors.IO},
		{syscall.EBUSY, ErrBus, sensors.IO},
		{syscall.EACCES, ErrBus, sensors.Permission},
		{syscall.EPROTO, ErrBus, sensors.IO},
	} {
		synctest.Test(t, func(t *testing.T) {
			sim := &chipsim.Bus{}
			sim.Fault(func(int, uint16) error { return tc.errno })
			g := NewGuard("i2c1", sim, time.Second)
			defer g.Close()
			err := g.Tx(0x76, []byte{0}, make([]byte, 1))
			if !errors.Is(err, tc.kind) || sensors.ReasonOf(err) != tc.reason {
				t.Errorf("%v: %v with reason %q, want %v and %q", tc.errno, err, sensors.ReasonOf(err), tc.kind, tc.reason)
			}
			if !strings.Contains(err.Error(), "i2c1 address 0x76") {
				t.Errorf("%v does not say where", err)
			}
		})
	}
}

// slowBus counts how many transfers are on it at once.
type slowBus struct {
	chipsim.Bus
	mu        sync.Mutex
	now, most int
}

func (b *slowBus) Tx(uint16, []byte, []byte) error {
	b.mu.Lock()
	b.now++
	b.most = max(b.most, b.now)
	b.mu.Unlock()
	time.Sleep(10 * time.Millisecond)
	b.mu.Lock()
	b.now--
	b.mu.Unlock()
	return nil
}

func TestGuardTransfersOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowBus{}
		g := NewGuard("i2c1", slow, time.Second)
		defer g.Close()
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if err := g.Tx(1, []byte{0}, nil); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if slow.most != 1 {
			t.Errorf("%d transfers at once", slow.most)
		}
	})
}

func TestGuardHungTransfer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := &chipsim.Bus{}
		sim.Plug(0x20, chipsim.Stuck(0x55))
		release := make(chan struct{})
		sim.Fault(func(int, uint16) error { <-release; return nil })
		g := NewGuard("i2c1", sim, time.Second)
		r := make([]byte, 1)
		start := time.Now()
		if err := g.Tx(0x20, []byte{0}, r); sensors.ReasonOf(err) != sensors.Hung || time.Since(start) != time.Second {
			t.Errorf("Tx = %v after %v, want hung after its bound", err, time.Since(start))
		}
		start = time.Now()
		if err := g.Tx(0x20, []byte{0}, r); sensors.ReasonOf(err) != sensors.Hung || time.Since(start) != 0 {
			t.Errorf("a second Tx = %v after %v, want hung at once", err, time.Since(start))
		}
		if n := sim.Transfers(); n != 1 {
			t.Errorf("%d transfers were begun, want 1 until it returns", n)
		}
		if err := g.Close(); !errors.Is(err, ErrHung) {
			t.Errorf("Close = %v, want %v within its bound", err, ErrHung)
		}
		close(release)
		synctest.Wait()
		if r[0] != 0 {
			t.Error("a transfer that came late wrote into the caller's memory")
		}
	})
}

func TestGuardComesBackAfterAHungTransfer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := &chipsim.Bus{}
		sim.Plug(0x20, chipsim.Stuck(0x55))
		release := make(chan struct{})
		sim.Fault(func(n int, _ uint16) error {
			if n == 1 {
				<-release
			}
			return nil
		})
		g := NewGuard("i2c1", sim, time.Second)
		defer g.Close()
		r := make([]byte, 1)
		if err := g.Tx(0x20, nil, r); sensors.ReasonOf(err) != sensors.Hung {
			t.Fatal(err)
		}
		close(release)
		synctest.Wait()
		if err := g.Tx(0x20, []byte{0}, r); err != nil || r[0] != 0x55 {
			t.Errorf("Tx = %v, read %#x", err, r[0])
		}
	})
}

func TestGuardClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGuard("i2c1", &chipsim.Bus{}, time.Second)
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
		if err := g.Tx(1, nil, make([]byte, 1)); sensors.ReasonOf(err) != sensors.Shutdown {
			t.Errorf("Tx on a closed bus = %v", err)
		}
	})
}

// panicky panics in every transfer.
type panicky struct{ chipsim.Bus }

func (*panicky) Tx(uint16, []byte, []byte) error { panic("broken adapter") }

func TestGuardSurvivesAPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGuard("i2c1", &panicky{}, time.Second)
		defer g.Close()
		for range 2 {
			if err := g.Tx(1, nil, make([]byte, 1)); sensors.ReasonOf(err) != sensors.IO {
				t.Errorf("Tx = %v", err)
			}
		}
	})
}

// tca is a TCA9548A: one control register, channels that are buses.
type tca struct {
	chipsim.Bus
	mu       sync.Mutex
	selected byte
	channels [8]map[uint16]chipsim.Chip
}

func (m *tca) Tx(addr uint16, w, r []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if addr == 0x70 {
		m.selected = w[0]
		return nil
	}
	for n := range m.channels {
		if c := m.channels[n][addr]; c != nil && m.selected == 1<<n {
			return c.Tx(time.Now(), w, r)
		}
	}
	return fmt.Errorf("sysfs-i2c: %v", syscall.ENXIO)
}

func TestMultiplexer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &tca{}
		for n := range m.channels {
			m.channels[n] = map[uint16]chipsim.Chip{0x48: chipsim.Stuck(n)}
		}
		b, err := New([]Spec{{ID: "i2c1", Type: "i2c", Path: "/dev/i2c-1"}, {ID: "mux0", Type: "tca9548a", Bus: "i2c1", Address: 0x70}}, "")
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		b.openI2C = func(int) (i2c.BusCloser, error) { return m, nil }
		var wg sync.WaitGroup
		for n := range 8 {
			wg.Go(func() {
				c, err := b.I2C(fmt.Sprintf("mux0/%d", n))
				if err != nil {
					t.Error(err)
					return
				}
				for range 100 {
					r := []byte{0xEE}
					if err := c.Tx(0x48, []byte{0}, r); err != nil || r[0] != byte(n) {
						t.Errorf("channel %d: %v, read the chip of channel %d", n, err, r[0])
					}
				}
			})
		}
		wg.Wait()
		if m.selected != 0 {
			t.Errorf("channels %08b stay selected", m.selected)
		}
		for _, bad := range []string{"mux0", "mux0/8", "mux0/x", "i2c1/1", "mux9/1"} {
			if _, err := b.I2C(bad); sensors.ReasonOf(err) != sensors.NotFound {
				t.Errorf("I2C(%q) = %v", bad, err)
			}
		}
	})
}
