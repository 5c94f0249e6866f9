package drivers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/serial/modbus/modbustest"
)

// mutedSession is a broker that listens to everything and says nothing.
type mutedSession struct{}

func (mutedSession) Publish(context.Context, mqtt.Message) error           { return nil }
func (mutedSession) Subscribe(context.Context, ...mqtt.Subscription) error { return nil }
func (mutedSession) Abort() error                                          { return nil }
func (mutedSession) DisconnectWithWill() error                             { return nil }
func (mutedSession) Next(ctx context.Context) (mqtt.Message, error) {
	<-ctx.Done()
	return mqtt.Message{}, ctx.Err()
}

// manage runs devices on units of one line.
func manage(t *testing.T, h sensors.Buses, interval time.Duration, units ...int) *sensors.Manager {
	t.Helper()
	var devices []sensors.Device
	for _, id := range units {
		entities := map[string]any{}
		for i := range 5 { // requests of their own each
			entities[fmt.Sprint("r", i)] = &modbusRegister{Address: 200 * i, Table: "holding", Scale: 1, Write: "single", Verify: "none"}
		}
		d := mustBuild(t, "modbus", func(o any) { o.(*modbusOptions).Bus, o.(*modbusOptions).Unit = "line", id }, entities)
		devices = append(devices, sensors.Device{Name: fmt.Sprint("unit", id), Driver: d, Interval: interval})
	}
	m, err := sensors.New(sensors.Options{
		Devices: devices, Buses: h, Base: "dunlin/barn", ClockSynced: func() bool { return true },
		Attach: func(string, *mqtt.Will, func()) (sensors.Session, error) { return mutedSession{}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := m.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return m
}

// A line that spoils every answer of a unit in one way takes its device offline
// with that one reason, within fail_after intervals; well again, it comes back.
func TestModbusHealth(t *testing.T) {
	for want, spoil := range map[sensors.Reason]func(request, answer []byte) []byte{
		sensors.Timeout:        func(r, a []byte) []byte { return nil },
		sensors.Garbage:        func(r, a []byte) []byte { return []byte("#!rkPq") },
		sensors.CRC:            func(r, a []byte) []byte { a[3] ^= 1; return a },
		sensors.WrongUnit:      func(r, a []byte) []byte { return modbustest.WithCRC([]byte{7, 3, 2, 0, 1}) },
		sensors.Truncated:      func(r, a []byte) []byte { return a[:4] },
		sensors.Echo:           func(r, a []byte) []byte { return r },
		sensors.IllegalAddress: func(r, a []byte) []byte { return modbustest.WithCRC([]byte{r[0], 0x83, 2}) },
		sensors.DeviceFailure:  func(r, a []byte) []byte { return modbustest.WithCRC([]byte{r[0], 0x83, 4}) },
	} {
		t.Run(string(want), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				bad := false
				set := func(on bool) { mu.Lock(); bad = on; mu.Unlock() }
				u := &modbustest.Units{Twist: func(_ int, r, a []byte, send func([]byte)) {
					mu.Lock()
					defer mu.Unlock()
					if bad {
						a = spoil(r, a)
					}
					send(a)
				}}
				for i := range uint16(5) {
					u.Set(1, modbustest.Holding, 200*i, i)
				}
				m := manage(t, modbusLine(t, u), 10*time.Second, 1)
				time.Sleep(15 * time.Second)
				if s := m.Status()[0].Health; s.State != sensors.Online || s.Err > 0 {
					t.Fatalf("%+v", s)
				}
				set(true)
				time.Sleep(35 * time.Second) // three intervals and the last one's tries
				if s := m.Status()[0].Health; s.State != sensors.Offline || s.Reason != want {
					t.Errorf("%s %s: %s", s.State, s.Reason, s.Error)
				}
				for reason := range m.Status()[0].Health.Reasons {
					if reason != want {
						t.Errorf("also counted as %s", reason)
					}
				}
				set(false)
				time.Sleep(time.Minute)
				if s := m.Status()[0].Health; s.State != sensors.Online {
					t.Errorf("not back: %s %s", s.Reason, s.Error)
				}
			})
		})
	}
}

// Ten minutes of a line on which one of three units is dead: the others never
// miss an interval.
func TestModbusDeadUnitOnASharedLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &modbustest.Units{}
		for _, id := range []byte{1, 2} {
			for i := range uint16(5) {
				u.Set(id, modbustest.Holding, 200*i, i)
			}
		}
		m := manage(t, modbusLine(t, u), 2*time.Second, 1, 9, 2)
		time.Sleep(10 * time.Minute)
		for i, s := range m.Status() {
			h := s.Health
			switch {
			case i == 1 && (h.State != sensors.Offline || h.Reason != sensors.Timeout):
				t.Errorf("%s is %s %s", s.Name, h.State, h.Reason)
			case i != 1 && (h.State != sensors.Online || h.Err > 0 || h.OK < 295 || time.Since(h.LastOK) > 4*time.Second):
				t.Errorf("%s beside a dead unit: %+v", s.Name, h)
			}
		}
	})
}
