package drivers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

func TestHwmon(t *testing.T) {
	lm75 := map[string]string{
		"/sys/class/hwmon/hwmon3/name": "lm75", "/sys/class/hwmon/hwmon3/temp1_input": "23500",
		"/sys/class/hwmon/hwmon1/name": "other", "/sys/class/hwmon/hwmon1/temp1_input": "1",
	}
	match := func(names ...string) func(any) {
		return func(o any) { o.(*chipOptions).Match.Name = names }
	}
	t.Run("a chip is found by name and its milli units become units", func(t *testing.T) {
		h := newTree(t, lm75)
		wantShown(t, shows(t, open(t, mustBuild(t, "hwmon", match("lm75"), nil), h)), "temp1=23.5 °C")
	})
	t.Run("what no thermometer shows is out of range", func(t *testing.T) {
		h := newTree(t, lm75)
		d := open(t, mustBuild(t, "hwmon", match("lm75"), nil), h)
		h.write("/sys/class/hwmon/hwmon3/temp1_input", "-274000")
		list, err := d.Read(t.Context())
		if err != nil || len(list) != 1 || sensors.ReasonOf(list[0].Err) != sensors.OutOfRange {
			t.Errorf("%+v, %v", list, err)
		}
	})
	t.Run("labels, order, faults and every unit of the kernel's documentation", func(t *testing.T) {
		h := newTree(t, map[string]string{
			"/sys/class/hwmon/hwmon0/name":            "board",
			"/sys/class/hwmon/hwmon0/temp10_input":    "10000",
			"/sys/class/hwmon/hwmon0/temp2_input":     "20000",
			"/sys/class/hwmon/hwmon0/temp2_fault":     "1",
			"/sys/class/hwmon/hwmon0/temp2_label":     "Motor Left",
			"/sys/class/hwmon/hwmon0/temp10_fault":    "0",
			"/sys/class/hwmon/hwmon0/in0_input":       "3301",
			"/sys/class/hwmon/hwmon0/in1_input":       "5000",
			"/sys/class/hwmon/hwmon0/in0_label":       "+5V",
			"/sys/class/hwmon/hwmon0/in1_label":       "+5V",
			"/sys/class/hwmon/hwmon0/fan1_input":      "1200",
			"/sys/class/hwmon/hwmon0/curr1_input":     "-1500",
			"/sys/class/hwmon/hwmon0/power1_input":    "7500000",
			"/sys/class/hwmon/hwmon0/humidity1_input": "45300",
			"/sys/class/hwmon/hwmon0/pwm1":            "255",
			"/sys/class/hwmon/hwmon0/intrusion0_x":    "0",
		})
		wantShown(t, shows(t, open(t, mustBuild(t, "hwmon", match("board"), nil), h)),
			"curr1=-1.5 A", "fan1=1200 RPM", "humidity1=45.3 %", "5v=3.301 V", "5v_2=5 V", "power1=7.5 W",
			"motor_left=!wire_break °C", "temp10=10 °C")
	})
	t.Run("names are the same after a restart, whichever chip is there and whichever came first", func(t *testing.T) {
		h, kept := newTree(t, nil), &memoryTotals{kept: map[string]float64{}}
		plug := func(number, address string) {
			dir := "/sys/devices/i2c-1/" + address + "/hwmon/hwmon" + number
			h.write(dir+"/name", "lm75")
			h.write(dir+"/temp1_input", address[len(address)-2:]+"000")
			h.link(dir+"/device", "/sys/devices/i2c-1/"+address)
			h.link("/sys/class/hwmon/hwmon"+number, dir)
		}
		unplug := func(number, address string) {
			h.remove("/sys/class/hwmon/hwmon" + number)
			h.remove("/sys/devices/i2c-1/" + address)
		}
		restarted := func() sensors.Driver {
			d := mustBuild(t, "hwmon", match("lm75"), nil)
			d.(sensors.Keeper).Keep(kept)
			return open(t, d, h)
		}
		plug("3", "1-0049")
		wantShown(t, shows(t, restarted()), "temp1=49 °C")
		plug("1", "1-0048")
		both := []string{"lm75_1_0048_temp1=48 °C", "temp1=49 °C"}
		wantShown(t, shows(t, restarted()), both...)
		unplug("3", "1-0049")
		wantShown(t, shows(t, restarted()), both[:1]...)
		plug("7", "1-0049")
		wantShown(t, shows(t, restarted()), both...)
		unplug("1", "1-0048")
		wantShown(t, shows(t, restarted()), both[1:]...)
		clear(kept.kept)
		restarted()
		unplug("7", "1-0049")
		plug("2", "20-0049") // the kernel has numbered its buses anew
		wantShown(t, shows(t, restarted()), "temp1=49 °C")
	})
	t.Run("several chips carry their names", func(t *testing.T) {
		h := newTree(t, lm75)
		wantShown(t, shows(t, open(t, mustBuild(t, "hwmon", nil, nil), h)), "lm75_temp1=23.5 °C", "other_temp1=0.001 °C")
	})
	t.Run("a meter that only averages, and what is excluded", func(t *testing.T) {
		h := newTree(t, map[string]string{
			"/sys/class/hwmon/hwmon0/name": "acpi", "/sys/class/hwmon/hwmon0/power1_average": "1500000", "/sys/class/hwmon/hwmon0/label": "ups",
			"/sys/class/hwmon/hwmon0/power2_average": "1", "/sys/class/hwmon/hwmon0/power2_input": "2000000", "/sys/class/hwmon/hwmon0/temp1_input": "1",
			"/sys/class/hwmon/hwmon1/name": "acpi", "/sys/class/hwmon/hwmon1/temp1_input": "1",
		})
		d := mustBuild(t, "hwmon", func(o any) {
			o.(*chipOptions).Match.Label, o.(*chipOptions).Exclude = []string{"ups"}, []string{"temp*"}
		}, nil)
		wantShown(t, shows(t, open(t, d, h)), "power1=1.5 W", "power2=2 W")
	})
	t.Run("EIO of one channel, and of all", func(t *testing.T) {
		h := newTree(t, lm75)
		h.write("/sys/class/hwmon/hwmon3/temp2_input", "1000")
		h.broken("/sys/class/hwmon/hwmon3/temp1_input")
		h.broken("/sys/class/hwmon/hwmon3/temp2_fault")
		wantShown(t, shows(t, open(t, mustBuild(t, "hwmon", match("lm75"), nil), h)), "temp1=!io °C", "temp2=!io °C")
	})
	t.Run("no such chip", func(t *testing.T) {
		h := newTree(t, lm75)
		err := mustBuild(t, "hwmon", match("ina226"), nil).Open(t.Context(), h)
		if sensors.ReasonOf(err) != sensors.NotFound || !strings.Contains(err.Error(), "ina226") {
			t.Errorf("Open: %v", err)
		}
	})
	t.Run("a chip that vanishes is unplugged, and found again under another number", func(t *testing.T) {
		h := newTree(t, lm75)
		d := open(t, mustBuild(t, "hwmon", match("lm75"), nil), h)
		h.remove("/sys/class/hwmon/hwmon3")
		if _, err := d.Read(t.Context()); sensors.ReasonOf(err) != sensors.Unplugged {
			t.Errorf("Read: %v", err)
		}
		h.write("/sys/class/hwmon/hwmon9/name", "lm75")
		h.write("/sys/class/hwmon/hwmon9/temp1_input", "-500")
		wantShown(t, shows(t, open(t, d, h)), "temp1=-0.5 °C")
	})
	t.Run("of two chips the one that is left keeps its name", func(t *testing.T) {
		h := newTree(t, nil)
		plug := func(number, address string, milli string) {
			dir := "/sys/devices/i2c-1/" + address + "/hwmon/hwmon" + number
			h.write(dir+"/name", "lm75")
			h.write(dir+"/temp1_input", milli)
			h.link(dir+"/device", "/sys/devices/i2c-1/"+address)
			h.link("/sys/class/hwmon/hwmon"+number, dir)
		}
		unplug := func(number, address string) {
			h.remove("/sys/class/hwmon/hwmon" + number)
			h.remove("/sys/devices/i2c-1/" + address)
		}
		plug("3", "1-0048", "20000")
		plug("4", "1-0049", "30000")
		d := open(t, mustBuild(t, "hwmon", match("lm75"), nil), h)
		wantShown(t, shows(t, d), "lm75_1_0048_temp1=20 °C", "lm75_1_0049_temp1=30 °C")
		unplug("3", "1-0048")
		if _, err := d.Read(t.Context()); sensors.ReasonOf(err) != sensors.Unplugged {
			t.Errorf("Read: %v", err)
		}
		open(t, d, h)
		wantShown(t, shows(t, d), "lm75_1_0049_temp1=30 °C")
		after := shows(t, open(t, mustBuild(t, "hwmon", match("lm75"), nil), h)) // a restart
		for _, name := range []string{"lm75_1_0048_temp1", "lm75_temp1"} {
			if strings.Contains(strings.Join(after, " "), name+"=") {
				t.Errorf("after a restart it shows %q, a name of the chip that is missing", after)
			}
		}
		unplug("4", "1-0049")
		plug("7", "1-0048", "21000")
		plug("3", "1-0049", "31000")
		plug("4", "1-004a", "41000")
		open(t, d, h)
		wantShown(t, shows(t, d), "lm75_1_0048_temp1=21 °C", "lm75_1_0049_temp1=31 °C", "lm75_1_004a_temp1=41 °C")
		one := mustBuild(t, "hwmon", func(o any) { o.(*chipOptions).Match = chipMatch{Device: []string{"1-0049"}} }, nil)
		wantShown(t, shows(t, open(t, one, h)), "temp1=31 °C")
	})
	t.Run("a chip that comes later is read too", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newTree(t, lm75)
			d := open(t, mustBuild(t, "hwmon", match("lm75", "pch*"), nil), h)
			wantShown(t, shows(t, d), "lm75_temp1=23.5 °C")
			h.write("/sys/class/hwmon/hwmon8/name", "pch_late")
			h.write("/sys/class/hwmon/hwmon8/temp1_input", "40000")
			time.Sleep(10 * time.Second)
			shows(t, d)
			wantShown(t, shows(t, d), "lm75_temp1=23.5 °C", "pch_late_temp1=40 °C")
		})
	})
	t.Run("of chips of several names the one that is there has its own", func(t *testing.T) {
		for _, names := range [][]string{{"lm75", "tmp102"}, {"lm*"}} {
			wantShown(t, shows(t, open(t, mustBuild(t, "hwmon", match(names...), nil), newTree(t, lm75))), "lm75_temp1=23.5 °C")
		}
	})
	t.Run("another chip that has its number is never read in its place", func(t *testing.T) {
		h := newTree(t, lm75)
		d := open(t, mustBuild(t, "hwmon", match("lm75"), nil), h)
		for _, names := range [][2]string{{"hwmon3", "hwmon4"}, {"hwmon1", "hwmon3"}} { // the kernel counts anew
			if err := os.Rename(filepath.Join(h.root, "/sys/class/hwmon", names[0]), filepath.Join(h.root, "/sys/class/hwmon", names[1])); err != nil {
				t.Fatal(err)
			}
		}
		if all, err := d.Read(t.Context()); sensors.ReasonOf(err) != sensors.Unplugged {
			t.Errorf("Read: %v, %v", all, err)
		}
		wantShown(t, shows(t, open(t, d, h)), "temp1=23.5 °C")
	})
	t.Run("one bad channel does not spoil the others", func(t *testing.T) {
		h := newTree(t, lm75)
		h.write("/sys/class/hwmon/hwmon3/temp2_input", "many")
		wantShown(t, shows(t, open(t, mustBuild(t, "hwmon", match("lm75"), nil), h)), "temp1=23.5 °C", "temp2=!parse °C")
	})
}
