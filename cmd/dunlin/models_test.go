//go:build linux

package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/i2c"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/sensors/bus"
	"github.com/dunlin-mqtt/dunlin/sensors/chipsim"
	"github.com/dunlin-mqtt/dunlin/serial"
	"github.com/dunlin-mqtt/dunlin/serial/modbus"
	"github.com/dunlin-mqtt/dunlin/serial/modbus/modbustest"
)

// models is a machine without hardware: chip models on its buses, lines that
// tests drive, ptys for its ports, units on its Modbus lines, a tree of files
// for its kernel.
type models struct {
	*bus.Buses
	root string
	// plug puts the chips on a bus when it is asked for first.
	plug  func(id string, b *chipsim.Bus)
	ports map[string]string // path of a pty by serial.Config.USB.VID, or by its path
	units modbustest.Units
	gpio  contacts
	// sketch is what a board does when it is told to.
	sketch func()

	mu     sync.Mutex
	i2c    map[string]*chipsim.Bus
	modbus map[string]*modbus.Master
}

func newModels(t testing.TB) *models {
	t.Helper()
	real, err := bus.New(nil, "/")
	if err != nil {
		t.Fatal(err)
	}
	m := &models{Buses: real, root: t.TempDir(), ports: map[string]string{}, i2c: map[string]*chipsim.Bus{}, modbus: map[string]*modbus.Master{}}
	m.gpio.lines = map[string]*contact{}
	t.Cleanup(m.close)
	return m
}

func (m *models) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, line := range m.modbus {
		line.Close()
	}
}

func (m *models) bus(id string) *chipsim.Bus {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.i2c[id] == nil {
		m.i2c[id] = &chipsim.Bus{}
		m.plug(id, m.i2c[id])
	}
	return m.i2c[id]
}

// I2C implements sensors.Buses.
func (m *models) I2C(id string) (i2c.Bus, error) { return m.bus(id), nil }

// SPI implements sensors.Buses: the chip is plugged in at number 0.
func (m *models) SPI(id string, hertz int) (conn.Conn, error) {
	return selected{chipsim.Select{Bus: m.bus(id)}, hertz}, nil
}

type selected struct {
	chipsim.Select
	hertz int
}

func (s selected) Tx(w, r []byte) error { return s.Select.Tx(s.hertz, w, r) }
func (s selected) Duplex() conn.Duplex  { return conn.Full }
func (s selected) String() string       { return fmt.Sprint("model ", s.At) }
func (m *models) Root() string          { return m.root }
func (m *models) file(name, text string) {
	name = filepath.Join(m.root, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		panic(err)
	}
	if err := os.WriteFile(name, []byte(text+"\n"), 0o600); err != nil {
		panic(err)
	}
}

// Line implements sensors.Buses.
func (m *models) Line(o sensors.LineOptions) (sensors.Line, error) { return m.gpio.line(o), nil }

// Port implements sensors.Buses.
func (m *models) Port(c serial.Config) (serial.Port, error) {
	path := m.ports[c.Path]
	if c.USB.VID != "" {
		path = m.ports[c.USB.VID]
	}
	if path == "" {
		return nil, &sensors.Fault{Reason: sensors.NotFound, Err: fmt.Errorf("no model of port %s%s", c.Path, c.USB.VID)}
	}
	c.Path, c.USB = path, serial.USBID{}
	return m.Buses.Port(c)
}

// Modbus implements sensors.Buses.
func (m *models) Modbus(id string) (*modbus.Master, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.modbus[id] == nil {
		m.modbus[id] = modbus.New(modbus.Options{TCP: true, Timeout: 5 * time.Second, Open: func(context.Context) (modbus.Conn, error) {
			near, far := modbustest.Wire()
			go m.units.ServeTCP(far)
			return near, nil
		}})
	}
	return m.modbus[id], nil
}

// contacts are GPIO lines by name, or "chip/offset".
type contacts struct {
	room  int // edges that a line keeps; 0 is 256
	mu    sync.Mutex
	lines map[string]*contact
}

// contact is one line: an input that a test switches, or an output.
type contact struct {
	mu     sync.Mutex
	active bool
	seq    uint32
	edges  chan sensors.LineEvent
}

func (c *contacts) line(o sensors.LineOptions) *contact {
	name := o.Name
	if name == "" {
		name = fmt.Sprintf("%s/%d", o.Chip, o.Offset)
	}
	l := c.named(name)
	if o.Output {
		l.mu.Lock()
		l.active = o.Initial
		l.mu.Unlock()
	}
	return l
}

func (c *contacts) named(name string) *contact {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lines[name] == nil {
		c.lines[name] = &contact{edges: make(chan sensors.LineEvent, cmp.Or(c.room, 256))}
	}
	return c.lines[name]
}

// set is an edge from outside.
func (l *contact) set(active bool) {
	l.mu.Lock()
	l.active = active
	l.seq++
	e := sensors.LineEvent{Active: active, At: time.Now(), Seq: l.seq}
	l.mu.Unlock()
	l.edges <- e
}

func (l *contact) Read() (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.active, nil
}

func (l *contact) Write(active bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active = active
	return nil
}

func (l *contact) Event(ctx context.Context) (sensors.LineEvent, error) {
	select {
	case e := <-l.edges:
		return e, nil
	case <-ctx.Done():
		return sensors.LineEvent{}, ctx.Err()
	}
}

func (l *contact) Close() error { return nil }
