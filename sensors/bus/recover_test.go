package bus

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/sensors/chipsim"
)

// heldBus is the two lines of a bus that a chip holds: it lets go of SDA after
// so many falling edges of SCL.
type heldBus struct {
	clocks, left int
	scl          bool
	open         int
	glitch       bool // SCL was driven low by its request
}

func (h *heldBus) line(o sensors.LineOptions) (sensors.Line, error) {
	h.open++
	if o.Output {
		h.scl, h.glitch = o.Initial, !o.Initial || o.Drive != sensors.OpenDrain
	}
	return &heldLine{h, o.Output}, nil
}

type heldLine struct {
	*heldBus
	clock bool
}

func (l *heldLine) Read() (bool, error) { return l.left <= 0, nil }

func (l *heldLine) Write(high bool) error {
	if !l.clock {
		return errors.New("SDA was driven")
	}
	if l.scl && !high {
		l.clocks++
		l.left--
	}
	l.scl = high
	return nil
}

func (l *heldLine) Event(context.Context) (sensors.LineEvent, error) {
	return sensors.LineEvent{}, errors.New("no edges")
}

func (l *heldLine) Close() error { l.open--; return nil }

func TestNineClocks(t *testing.T) {
	both := Recovery{SCL: sensors.LineOptions{Name: "GPIO3"}, SDA: sensors.LineOptions{Name: "GPIO2"}}
	for _, tc := range []struct {
		left   int
		r      Recovery
		clocks int
		ok     bool
	}{
		{0, both, 0, true}, {1, both, 1, true}, {9, both, 9, true}, {10, both, 9, false},
		{3, Recovery{SCL: both.SCL}, 9, true},
	} {
		h := &heldBus{left: tc.left}
		err := clockOut(t.Context(), h.line, tc.r)
		if h.clocks != tc.clocks || (err == nil) != tc.ok || !h.scl || h.open != 0 || h.glitch {
			t.Errorf("held for %d clocks: %d given, %v, SCL %v, %d lines open, glitch %v", tc.left, h.clocks, err, h.scl, h.open, h.glitch)
		}
	}
}

func TestRebind(t *testing.T) {
	root := t.TempDir()
	controller := filepath.Join(root, "sys/devices/platform/soc/fe804000.i2c")
	driver := filepath.Join(root, "sys/bus/platform/drivers/i2c-bcm2835")
	devices := filepath.Join(root, "sys/bus/i2c/devices")
	for _, dir := range []string{filepath.Join(controller, "i2c-1"), driver, devices} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for from, to := range map[string]string{
		filepath.Join(controller, "driver"): driver, filepath.Join(devices, "i2c-1"): filepath.Join(controller, "i2c-1"),
	} {
		if err := os.Symlink(to, from); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"bind", "unbind"} {
		if err := os.WriteFile(filepath.Join(driver, f), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	specs := []Spec{
		{ID: "i2c1", Type: "i2c", Path: "/dev/i2c-1", Recovery: Recovery{Rebind: true}},
		{ID: "mux0", Type: "tca9548a", Bus: "i2c1", Address: 0x70}, {ID: "i2c2", Type: "i2c", Path: "/dev/i2c-2"},
	}
	b, err := New(specs, root)
	if err != nil {
		t.Fatal(err)
	}
	g := NewGuard("i2c1", &chipsim.Bus{}, time.Second)
	defer g.Close()
	b.guards[1] = g
	if tried, err := b.Recover(t.Context(), "mux0/3"); !tried || err != nil {
		t.Fatal(tried, err)
	}
	for _, f := range []string{"bind", "unbind"} {
		if text, err := os.ReadFile(filepath.Join(driver, f)); string(text) != "fe804000.i2c" || err != nil {
			t.Errorf("%s got %q, %v", f, text, err)
		}
	}
	if !g.gone.Load() {
		t.Error("the bus is not opened anew")
	}
	for _, id := range []string{"i2c2", "1", "nothing"} {
		if tried, err := b.Recover(t.Context(), id); tried || err != nil {
			t.Errorf("%s: tried %v, %v", id, tried, err)
		}
	}
}
