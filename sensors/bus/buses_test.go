package bus

import (
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"periph.io/x/conn/v3/i2c"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/sensors/chipsim"
	"github.com/dunlin-mqtt/dunlin/serial"
)

func TestNewChecksSpecs(t *testing.T) {
	for _, tc := range []struct {
		want  string
		specs []Spec
	}{
		{"", []Spec{{ID: "a", Type: "i2c", Path: "/dev/i2c-1"}}},
		{"configured twice", []Spec{{ID: "a", Type: "i2c", Path: "/dev/i2c-1"}, {ID: "a", Type: "i2c", Path: "/dev/i2c-2"}}},
		{"path is missing", []Spec{{ID: "a", Type: "i2c"}}},
		{"has no id", []Spec{{Type: "i2c", Path: "/dev/i2c-1"}}},
		{"there is no type", []Spec{{ID: "a", Type: "can"}}},
		{"answers at 0x70", []Spec{{ID: "m", Type: "tca9548a", Bus: "a", Address: 0x10}}},
		{"no configured i2c bus", []Spec{{ID: "m", Type: "tca9548a", Bus: "a", Address: 0x70}}},
	} {
		_, err := New(tc.specs, "")
		if tc.want == "" && err != nil || !strings.Contains(fmt.Sprint(err), tc.want) {
			t.Errorf("New(%v) = %v, want %q", tc.specs, err, tc.want)
		}
	}
}

func TestI2CIsOpenedOnceAndAgainWhenItWasPulled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := New([]Spec{{ID: "main", Type: "i2c", Path: "/dev/i2c-1"}}, "")
		if err != nil {
			t.Fatal(err)
		}
		sim, opened := &chipsim.Bus{}, 0
		sim.Plug(0x20, chipsim.Stuck(1))
		b.openI2C = func(n int) (i2c.BusCloser, error) {
			if opened++; n != 1 {
				t.Errorf("opened number %d", n)
			}
			return sim, nil
		}
		tx := func(id string) error {
			bus, err := b.I2C(id)
			if err != nil {
				return err
			}
			return bus.Tx(0x20, []byte{0}, make([]byte, 1))
		}
		for _, id := range []string{"main", "1", "main"} {
			if err := tx(id); err != nil {
				t.Error(err)
			}
		}
		if opened != 1 {
			t.Errorf("opened %d times", opened)
		}
		sim.Fault(func(int, uint16) error { return syscall.ENODEV })
		if err := tx("main"); sensors.ReasonOf(err) != sensors.Unplugged {
			t.Errorf("a pulled adapter: %v", err)
		}
		sim.Fault(nil)
		if err := tx("main"); err != nil || opened != 2 {
			t.Errorf("after plugging in: %v, opened %d times", err, opened)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if err := tx("main"); sensors.ReasonOf(err) != sensors.Shutdown {
			t.Errorf("after Close: %v", err)
		}
	})
}

func TestI2COpenFaults(t *testing.T) {
	b, err := New(nil, "")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for errno, want := range map[syscall.Errno]sensors.Reason{
		syscall.ENOENT: sensors.NotFound, syscall.ENXIO: sensors.NotFound,
		syscall.EACCES: sensors.Permission, syscall.ENOTTY: sensors.IO, syscall.EBUSY: sensors.Busy,
	} {
		b.openI2C = func(int) (i2c.BusCloser, error) {
			return nil, &fs.PathError{Op: "open", Path: "/dev/i2c-7", Err: errno}
		}
		_, err := b.I2C("7")
		if sensors.ReasonOf(err) != want || strings.Count(err.Error(), "open /dev/i2c-7") != 1 || want == sensors.Permission && !strings.Contains(err.Error(), "group i2c") {
			t.Errorf("%v: %v, want reason %s", errno, err, want)
		}
	}
	for _, id := range []string{"", "one", "../sda", "12345"} {
		if _, err := b.I2C(id); sensors.ReasonOf(err) != sensors.NotFound {
			t.Errorf("I2C(%q) = %v", id, err)
		}
	}
}

func TestPortFaults(t *testing.T) {
	b, err := New(nil, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c := serial.DefaultConfig()
	c.Path = t.TempDir() + "/ttyUSB0"
	if _, err := b.Port(c); sensors.ReasonOf(err) != sensors.NotFound {
		t.Errorf("a port that is not there: %v", err)
	}
	for kind, want := range map[error]sensors.Reason{
		serial.ErrBusy: sensors.Busy, serial.ErrPermission: sensors.Permission, serial.ErrUnplugged: sensors.Unplugged,
		serial.ErrConfig: sensors.IO,
	} {
		if got := sensors.ReasonOf(sensors.PortFault(&serial.Error{Op: "open", Port: "x", Kind: kind})); got != want {
			t.Errorf("%v: reason %q, want %q", kind, got, want)
		}
	}
}
