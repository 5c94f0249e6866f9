package drivers

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/i2c"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/sensors/bus"
	"github.com/dunlin-mqtt/dunlin/serial"
	"github.com/dunlin-mqtt/dunlin/serial/modbus"
)

// fakeHardware hands out what a test put in.
type fakeHardware struct {
	i2c  map[string]i2c.Bus
	spi  *bus.SPI
	line func(sensors.LineOptions) (sensors.Line, error)
	port func(serial.Config) (serial.Port, error)
	// modbus are the lines by id.
	modbus map[string]*modbus.Master
}

var _ sensors.Buses = (*fakeHardware)(nil)

func (h *fakeHardware) I2C(id string) (i2c.Bus, error) {
	if b, ok := h.i2c[id]; ok {
		return b, nil
	}
	return nil, &sensors.Fault{Reason: sensors.NotFound, Err: fmt.Errorf("no bus %q", id)}
}

func (h *fakeHardware) I2CNumber(id string) (int, error) {
	if n, err := strconv.Atoi(strings.TrimPrefix(id, "i2c")); err == nil {
		return n, nil
	}
	return 0, &sensors.Fault{Reason: sensors.NotFound, Err: fmt.Errorf("no bus %q", id)}
}

func (h *fakeHardware) SPI(_ string, hertz int) (conn.Conn, error) {
	if h.spi == nil {
		return nil, &sensors.Fault{Reason: sensors.NotFound, Err: errors.New("no SPI here")}
	}
	return h.spi.At(hertz), nil
}

func (h *fakeHardware) Line(o sensors.LineOptions) (sensors.Line, error) {
	if h.line == nil {
		return nil, &sensors.Fault{Reason: sensors.NotFound, Err: errors.New("no lines here")}
	}
	return h.line(o)
}

func (h *fakeHardware) Port(c serial.Config) (serial.Port, error) {
	if h.port == nil {
		return serial.Open(c)
	}
	return h.port(c)
}

func (h *fakeHardware) Modbus(id string) (*modbus.Master, error) {
	if m, ok := h.modbus[id]; ok {
		return m, nil
	}
	return nil, &sensors.Fault{Reason: sensors.NotFound, Err: fmt.Errorf("no bus %q", id)}
}

func (h *fakeHardware) Root() string { return "/" }

// build makes a driver out of the table as a configuration would.
func build(t *testing.T, name string, set func(options any), entities map[string]any) (sensors.Driver, error) {
	t.Helper()
	spec, ok := Table()[name]
	if !ok {
		t.Fatalf("no driver %q", name)
	}
	o := spec.Options()
	if set != nil {
		set(o)
	}
	return spec.New(o, entities)
}

// mustBuild is build for options that are right.
func mustBuild(t *testing.T, name string, set func(options any), entities map[string]any) sensors.Driver {
	t.Helper()
	d, err := build(t, name, set, entities)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return d
}

// values are the readings by entity.
func values(list []sensors.Reading) map[string]any {
	m := map[string]any{}
	for _, r := range list {
		m[r.Entity] = r.Value
	}
	return m
}
