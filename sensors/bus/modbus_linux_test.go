package bus

import (
	"net"
	"sync"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/serial"
	"github.com/dunlin-mqtt/dunlin/serial/modbus"
	"github.com/dunlin-mqtt/dunlin/serial/modbus/modbustest"
	"github.com/dunlin-mqtt/dunlin/serial/serialtest"
)

// Both kinds of line work through the buses, are shared by all who ask for
// them, and end with the buses.
func TestModbusLines(t *testing.T) {
	u := &modbustest.Units{}
	u.Set(3, modbustest.Holding, 7, 4711)
	var serving sync.WaitGroup
	d := serialtest.Pty(t)
	serving.Go(func() { u.ServeRTU(d) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { defer c.Close(); u.ServeTCP(c) })
		}
	})
	port := serial.DefaultConfig()
	port.Path = d.Path()
	o := modbus.Options{Baud: 115200, Timeout: 10 * time.Second}
	b, err := New([]Spec{
		{ID: "rtu", Type: "modbus_rtu", Port: port, Modbus: o},
		{ID: "tcp", Type: "modbus_tcp", Host: l.Addr().String(), Modbus: o},
		{ID: "i2c1", Type: "i2c", Path: "/dev/i2c-1"},
	}, "")
	if err != nil {
		t.Fatal(err)
	}
	var lines []*modbus.Master
	for _, id := range []string{"rtu", "tcp"} {
		m, err := b.Modbus(id)
		if err != nil {
			t.Fatal(id, err)
		}
		into := make([]uint16, 1)
		if err := m.Read(t.Context(), 3, modbus.Holding, 7, into); err != nil || into[0] != 4711 {
			t.Errorf("%s: %v, %v", id, into, err)
		}
		if again, err := b.Modbus(id); again != m || err != nil {
			t.Errorf("%s is not shared: %v", id, err)
		}
		lines = append(lines, m)
	}
	for _, id := range []string{"i2c1", "none", ""} {
		if _, err := b.Modbus(id); sensors.ReasonOf(err) != sensors.NotFound {
			t.Errorf("%q: %v", id, err)
		}
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	for _, m := range lines {
		if err := m.Read(t.Context(), 3, modbus.Holding, 7, make([]uint16, 1)); err == nil {
			t.Error("a line outlives its buses")
		}
	}
	if _, err := b.Modbus("tcp"); sensors.ReasonOf(err) != sensors.Shutdown {
		t.Errorf("closed buses: %v", err)
	}
	l.Close()
	d.Unplug()
	serving.Wait()
}

func TestModbusSpecs(t *testing.T) {
	if _, err := New([]Spec{{ID: "tcp", Type: "modbus_tcp"}}, ""); err == nil {
		t.Error("a server without an address was taken")
	}
}
