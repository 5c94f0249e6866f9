package drivers

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/serial"
	"github.com/dunlin-mqtt/dunlin/serial/modbus"
	"github.com/dunlin-mqtt/dunlin/serial/modbus/modbustest"
	"github.com/dunlin-mqtt/dunlin/serial/serialtest"
)

// The adapter is pulled: both devices of its line say so at once. It is
// plugged in again: both are back within the five seconds of will_delay.
func TestModbusReplug(t *testing.T) {
	u := &modbustest.Units{}
	for _, id := range []byte{1, 2} {
		for i := range uint16(5) {
			u.Set(id, modbustest.Holding, 200*i, i)
		}
	}
	pty := serialtest.Pty(t)
	var serving sync.WaitGroup
	serve := func() { serving.Go(func() { u.ServeRTU(pty) }) }
	serve()
	line := modbus.New(modbus.Options{Baud: 115200, Timeout: 2 * time.Second, Recovery: time.Second,
		Open: func(context.Context) (modbus.Conn, error) {
			c := serial.DefaultConfig()
			c.Path = pty.Path()
			p, err := serial.Open(c)
			if err != nil {
				return nil, err
			}
			return p, nil
		}})
	defer func() {
		line.Close()
		pty.Unplug()
		serving.Wait()
	}()
	m := manage(t, &fakeHardware{modbus: map[string]*modbus.Master{"line": line}}, 100*time.Millisecond, 1, 2)
	until := func(what string, limit time.Duration, ok func(h sensors.Health) bool) {
		t.Helper()
		for end := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
			s := m.Status()
			if ok(s[0].Health) && ok(s[1].Health) {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("not %s: %+v, %+v", what, s[0].Health, s[1].Health)
			}
		}
	}
	online := func(h sensors.Health) bool { return h.State == sensors.Online }
	until("online", patience, online)
	cycles := 3
	if testing.Short() {
		cycles = 1
	}
	for range cycles {
		pty.Unplug()
		serving.Wait()
		until("unplugged", patience, func(h sensors.Health) bool { return h.State == sensors.Offline && h.Reason == sensors.Unplugged })
		pty.Replug()
		serve()
		until("back", patience, online)
	}
}
