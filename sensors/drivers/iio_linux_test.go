package drivers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

const iioDir = "/sys/bus/iio/devices/"

func TestIIO(t *testing.T) {
	named := func(names ...string) func(any) { return func(o any) { o.(*chipOptions).Match.Name = names } }
	bmp := map[string]string{
		iioDir + "iio:device3/name": "bmp280", iioDir + "iio:device3/in_temp_input": "23500", iioDir + "iio:device3/in_pressure_input": "100.5",
		iioDir + "iio:device3/in_temp_raw": "1", iioDir + "iio:device3/in_temp_oversampling_ratio": "2", iioDir + "iio:device3/sampling_frequency": "1",
		iioDir + "iio:device0/name": "ads1015", iioDir + "iio:device0/label": "tank board", iioDir + "iio:device0/in_voltage0_raw": "100",
		iioDir + "iio:device0/in_voltage0_scale": "2", iioDir + "trigger0/name": "sysfstrig",
	}
	t.Run("a chip is found by name, its values come in the units that people use", func(t *testing.T) {
		h := newTree(t, bmp)
		wantShown(t, shows(t, open(t, mustBuild(t, "iio", named("bmp280"), nil), h)), "temperature=23.5 °C", "pressure=1005 hPa")
	})
	t.Run("a chip is found by its label", func(t *testing.T) {
		h := newTree(t, bmp)
		d := mustBuild(t, "iio", func(o any) { o.(*chipOptions).Match.Label = []string{"tank*"} }, nil)
		wantShown(t, shows(t, open(t, d, h)), "voltage0=0.2 V")
	})
	t.Run("several chips carry their names", func(t *testing.T) {
		h := newTree(t, bmp)
		wantShown(t, shows(t, open(t, mustBuild(t, "iio", nil, nil), h)), "ads1015_voltage0=0.2 V", "bmp280_temperature=23.5 °C", "bmp280_pressure=1005 hPa")
	})
	t.Run("raw counts with an offset and a scale, their own or that of their kind", func(t *testing.T) {
		dir := iioDir + "iio:device0/"
		h := newTree(t, map[string]string{
			dir + "name": "chip", dir + "in_voltage0_raw": "50", dir + "in_voltage10_raw": "-3", dir + "in_voltage_scale": "0.5", dir + "in_voltage10_scale": "1000",
			dir + "in_voltage0_offset": "-10", dir + "in_voltage0-voltage1_raw": "8", dir + "in_voltage-voltage_scale": "250",
			dir + "in_concentration_co2_raw": "4", dir + "in_concentration_scale": "0.01", dir + "in_humidityrelative_raw": "45300",
			dir + "in_humidityrelative_scale": "1", dir + "in_accel_x_raw": "2", dir + "in_accel_scale": "4.5", dir + "in_proximity_raw": "17",
			dir + "in_voltage2_raw": "7", dir + "in_voltage2_label": "Tank Level", dir + "in_temp_raw": "12", dir + "in_distance_raw": "x", dir + "in_distance_scale": "1",
		})
		wantShown(t, shows(t, open(t, mustBuild(t, "iio", nil, nil), h)),
			"chip_temperature=12", "chip_accel_x=9 m/s²", "chip_distance=!parse m", "chip_proximity=17", "chip_humidity=45.3 %", "chip_co2=400 ppm",
			"chip_voltage0=0.02 V", "chip_tank_level=0.0035 V", "chip_voltage10=-3 V", "chip_voltage0_voltage1=2 V")
	})
	t.Run("include and exclude", func(t *testing.T) {
		h := newTree(t, bmp)
		d := mustBuild(t, "iio", func(o any) {
			o.(*chipOptions).Include, o.(*chipOptions).Exclude = []string{"in_temp", "in_voltage*"}, []string{"in_voltage0"}
		}, nil)
		wantShown(t, shows(t, open(t, d, h)), "bmp280_temperature=23.5 °C")
		for _, bad := range []func(o *chipOptions){
			func(o *chipOptions) { o.Include = nil }, func(o *chipOptions) { o.Exclude = []string{"["} }, func(o *chipOptions) { o.Match.Label = []string{"["} },
		} {
			if _, err := build(t, "iio", func(o any) { bad(o.(*chipOptions)) }, nil); err == nil {
				t.Error("bad options are taken")
			}
		}
	})
	t.Run("one channel fails with EIO, the other does not", func(t *testing.T) {
		h := newTree(t, bmp)
		d := open(t, mustBuild(t, "iio", named("bmp280"), nil), h)
		h.broken(iioDir + "iio:device3/in_pressure_input")
		wantShown(t, shows(t, d), "temperature=23.5 °C", "pressure=!io hPa")
	})
	t.Run("a scale of 0 makes no value", func(t *testing.T) {
		h := newTree(t, map[string]string{iioDir + "iio:device0/name": "adc", iioDir + "iio:device0/in_voltage0_raw": "50", iioDir + "iio:device0/in_voltage_scale": "0"})
		wantShown(t, shows(t, open(t, mustBuild(t, "iio", named("adc"), nil), h)), "voltage0=!parse V")
	})
	t.Run("another chip that has its number is never read in its place", func(t *testing.T) {
		h := newTree(t, bmp)
		d := open(t, mustBuild(t, "iio", named("bmp280"), nil), h)
		h.remove(iioDir + "iio:device0")
		if err := os.Rename(filepath.Join(h.root, iioDir, "iio:device3"), filepath.Join(h.root, iioDir, "iio:device0")); err != nil {
			t.Fatal(err)
		}
		h.write(iioDir+"iio:device3/name", "bmp280")
		h.write(iioDir+"iio:device3/in_temp_input", "99000")
		h.write(iioDir+"iio:device3/in_pressure_input", "1")
		if all, err := d.Read(t.Context()); sensors.ReasonOf(err) != sensors.Unplugged {
			t.Errorf("Read: %v, %v", all, err)
		}
	})
	t.Run("unplugged, and back under another number", func(t *testing.T) {
		h := newTree(t, bmp)
		d := open(t, mustBuild(t, "iio", named("bmp280"), nil), h)
		h.remove(iioDir + "iio:device3")
		if _, err := d.Read(t.Context()); sensors.ReasonOf(err) != sensors.Unplugged {
			t.Errorf("Read: %v", err)
		}
		if err := d.Open(t.Context(), h); sensors.ReasonOf(err) != sensors.NotFound || !strings.Contains(err.Error(), "ads1015") {
			t.Errorf("Open: %v", err)
		}
		h.write(iioDir+"iio:device7/name", "bmp280")
		h.write(iioDir+"iio:device7/in_temp_input", "-500")
		wantShown(t, shows(t, open(t, d, h)), "temperature=-0.5 °C")
	})
}

// binder is the kernel's side of new_device: a FIFO whose reader makes the
// device that is written to it, unless it is told not to.
func binder(t *testing.T, h *tree, driver bool) (written <-chan string) {
	dir := filepath.Join(h.root, "sys/bus/i2c/devices/i2c-1")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(dir, "new_device"), 0o644); err != nil {
		t.Fatal(err)
	}
	out := make(chan string, 8)
	f, err := os.OpenFile(filepath.Join(dir, "new_device"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { f.Close(); <-done })
	go func() {
		defer close(done)
		for buf := make([]byte, 100); ; {
			n, err := f.Read(buf)
			if err != nil {
				return
			}
			out <- string(buf[:n])
		}
	}()
	// A FIFO cannot answer before the write returns: the device is there as
	// the kernel would have made it.
	h.write("/sys/bus/i2c/devices/real/name", "bmp280")
	if driver {
		h.write("/sys/bus/i2c/devices/real/driver/x", "")
	}
	return out
}

func TestBind(t *testing.T) {
	const device = "/sys/bus/i2c/devices/1-0076"
	bind := func(o any) { o.(*chipOptions).Bind = bindOptions{Bus: "i2c1", Chip: "bmp280", Address: 0x76} }
	bmp := func(h *tree) {
		h.write(device+"/iio:device2/name", "bmp280")
		h.write(device+"/iio:device2/in_temp_input", "23500")
		h.write(iioDir+"iio:device1/name", "bmp280") // another one of that name
		h.write(iioDir+"iio:device1/in_temp_input", "1")
		if err := os.Symlink(filepath.Join(h.root, device, "iio:device2"), filepath.Join(h.root, iioDir, "iio:device2")); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("a device that is there is used, and it alone", func(t *testing.T) {
		h := newTree(t, map[string]string{device + "/name": "bmp280", device + "/driver/x": ""})
		bmp(h)
		wantShown(t, shows(t, open(t, mustBuild(t, "iio", bind, nil), h)), "temperature=23.5 °C")
	})
	t.Run("another chip is there", func(t *testing.T) {
		h := newTree(t, map[string]string{device + "/name": "bmp180", device + "/driver/x": ""})
		err := mustBuild(t, "iio", bind, nil).Open(t.Context(), h)
		if sensors.ReasonOf(err) != sensors.Busy || !strings.Contains(err.Error(), "bmp180") {
			t.Errorf("Open: %v", err)
		}
	})
	t.Run("it is made", func(t *testing.T) {
		h := newTree(t, nil)
		written := binder(t, h, true)
		err := mustBuild(t, "iio", bind, nil).Open(t.Context(), h)
		if got := <-written; got != "bmp280 0x76\n" {
			t.Errorf("wrote %q", got)
		}
		// This kernel made none.
		if sensors.ReasonOf(err) != sensors.NotFound || !strings.Contains(err.Error(), "module") {
			t.Errorf("Open: %v", err)
		}
	})
	t.Run("one without a driver is made anew", func(t *testing.T) {
		h := newTree(t, map[string]string{device + "/name": "bmp280", "/sys/bus/i2c/devices/i2c-1/delete_device": ""})
		written := binder(t, h, true)
		if err := mustBuild(t, "iio", bind, nil).Open(t.Context(), h); sensors.ReasonOf(err) != sensors.NotFound {
			t.Errorf("Open: %v", err)
		}
		if got := <-written; got != "bmp280 0x76\n" {
			t.Errorf("wrote %q", got)
		}
		if text, _ := os.ReadFile(filepath.Join(h.root, "sys/bus/i2c/devices/i2c-1/delete_device")); string(text) != "0x76\n" {
			t.Errorf("deleted %q", text)
		}
	})
	t.Run("no such bus, no new_device", func(t *testing.T) {
		h := newTree(t, nil)
		err := mustBuild(t, "iio", bind, nil).Open(t.Context(), h)
		if sensors.ReasonOf(err) != sensors.NotFound || !strings.Contains(err.Error(), "new_device") {
			t.Errorf("Open: %v", err)
		}
		d := mustBuild(t, "hwmon", func(o any) { o.(*chipOptions).Bind = bindOptions{Bus: "x", Chip: "lm75", Address: 0x48} }, nil)
		if err := d.Open(t.Context(), h); sensors.ReasonOf(err) != sensors.NotFound {
			t.Errorf("Open: %v", err)
		}
	})
	t.Run("options", func(t *testing.T) {
		for _, o := range []bindOptions{{Bus: "i2c1"}, {Bus: "i2c1", Chip: "a b", Address: 0x48}, {Bus: "i2c1", Chip: "lm75", Address: 0x78}, {Chip: "lm75", Address: 0x48}} {
			if _, err := build(t, "iio", func(all any) { all.(*chipOptions).Bind = o }, nil); err == nil {
				t.Errorf("%+v is taken", o)
			}
		}
	})
}
