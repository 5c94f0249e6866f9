package scan

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/sensors/bus"
	"github.com/dunlin-mqtt/dunlin/sensors/chipsim"
	"github.com/dunlin-mqtt/dunlin/serial/serialtest"
)

// watched answers as an expander or a multiplexer does and remembers what is
// written to it: each byte moves a relay.
type watched struct {
	state   byte
	written []byte
	reads   int
}

func (c *watched) Tx(_ time.Time, w, r []byte) error {
	c.written = append(c.written, w...)
	if len(w) > 0 {
		c.state = w[len(w)-1]
	}
	for i := range r {
		r[i] = c.state
		c.reads++
	}
	return nil
}

// machine is a tree of files with buses of chip models.
type machine struct {
	*serialtest.Tree
	t     *testing.T
	buses map[string]*chipsim.Bus
	o     Options
}

func newMachine(t *testing.T) *machine {
	m := &machine{Tree: serialtest.NewTree(t), t: t, buses: map[string]*chipsim.Bus{}}
	m.o = Options{
		Root: m.Root(),
		I2C: func(number string) (i2c.Bus, error) {
			b, ok := m.buses[number]
			if !ok {
				return nil, &sensors.Fault{Reason: sensors.Permission, Err: fmt.Errorf("open /dev/i2c-%s: the user of this process must be a member of group i2c", number)}
			}
			g := bus.NewGuard("i2c-"+number, b, time.Second)
			t.Cleanup(func() { g.Close() })
			return g, nil
		},
		GPIO: func(string) ([]bus.GPIOChip, error) {
			return []bus.GPIOChip{{Name: "gpiochip0", Label: "pinctrl-bcm2835", Lines: 3, InUse: 1, Used: []string{"GPIO17 (dunlin)"}, Free: []string{"GPIO4", "GPIO5"}}}, nil
		},
		Driver: func(string) bool { return true },
	}
	return m
}

func (m *machine) file(name, content string) {
	m.t.Helper()
	p := filepath.Join(m.Root(), name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(content+"\n"), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

// adapter adds an I2C bus with chips.
func (m *machine) adapter(number, name string, chips map[uint16]chipsim.Chip) {
	m.file("sys/class/i2c-dev/i2c-"+number+"/name", name)
	m.buses[number] = &chipsim.Bus{}
	for addr, c := range chips {
		m.buses[number].Plug(addr, c)
	}
}

// run scans in a bubble and returns items as "where what driver".
func (m *machine) run() (r *Report, lines []string) {
	r = Run(m.t.Context(), m.o)
	for _, i := range r.Items {
		lines = append(lines, strings.TrimSpace(i.Where+" "+i.What+" "+i.Driver))
	}
	return r, lines
}

func TestChipsAreKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		m.adapter("1", "bcm2835 (i2c@7e804000)", map[uint16]chipsim.Chip{
			0x10: chipsim.NewVEML7700(), 0x18: chipsim.NewMCP9808(), 0x23: chipsim.NewBH1750(),
			0x40: chipsim.NewINA219(), 0x41: chipsim.NewINA226(), 0x44: chipsim.NewSHT3x(), 0x45: chipsim.NewSHT4x(),
			0x48: chipsim.NewADS1115(), 0x49: chipsim.NewTMP102(), 0x4A: chipsim.NewLM75(), 0x62: chipsim.NewSCD4x(),
			0x76: chipsim.NewBME280(0x60, chipsim.Typical()), 0x77: chipsim.NewBME280(0x58, chipsim.Typical()),
			0x11: chipsim.Stuck(0x42),
		})
		time.Sleep(time.Second)
		_, got := m.run()
		want := []string{
			"i2c-1 0x10 VEML7700 veml7700", "i2c-1 0x11 unknown", "i2c-1 0x18 MCP9808 mcp9808", "i2c-1 0x23 BH1750 or an I/O expander? bh1750",
			"i2c-1 0x40 INA219 ina219", "i2c-1 0x41 INA226 ina226", "i2c-1 0x44 SHT3x sht3x", "i2c-1 0x45 SHT4x sht4x",
			"i2c-1 0x48 ADS1115 (or ADS1015: then driver ads1015) ads1115", "i2c-1 0x49 TMP102 tmp102",
			"i2c-1 0x4a LM75 or compatible (TMP105: driver tmp105) lm75", "i2c-1 0x62 SCD40 or SCD41 scd4x",
			"i2c-1 0x76 BME280 bme280", "i2c-1 0x77 BMP280 bmp280", "gpiochip0 pinctrl-bcm2835, 3 lines",
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// On an empty bus every address is read once, and only those where Sensirion's
// chips may sleep are asked: SHT3x at two, SHT4x at three, SCD4x at one.
func TestAnEmptyBusIsHardlyUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		m.adapter("1", "bcm2835", nil)
		m.run()
		if n := m.buses["1"].Transfers(); n != 112-8+6 {
			t.Errorf("%d transfers", n)
		}
	})
}

// One bit of noise makes no chip into another.
func TestAFlippedBitNamesNoChip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, struck := newMachine(t), false
		m.adapter("1", "bcm2835", map[uint16]chipsim.Chip{0x76: chipsim.NewBME280(0x61, chipsim.Typical())})
		m.buses["1"].Noise(func(_ int, r []byte) {
			if r[0] == 0x61 && !struck {
				r[0], struck = 0x60, true
			}
		})
		if _, got := m.run(); !struck || got[0] != "i2c-1 0x76 BME680: no driver" {
			t.Errorf("found %q, struck: %v", got, struck)
		}
	})
}

// An AHT20 shows its checksum once it has measured.
func TestAHT20IsKnownWithoutAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, chip := newMachine(t), chipsim.NewAHT20()
		m.adapter("1", "i2c", map[uint16]chipsim.Chip{0x38: chip})
		if err := m.buses["1"].Tx(0x38, []byte{0xAC, 0x33, 0x00}, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if _, got := m.run(); got[0] != "i2c-1 0x38 AHT20 aht20" {
			t.Errorf("found %q", got)
		}
	})
}

// Where a byte is an order, none is sent; a memory is not even read; what the
// kernel or a configured device uses is left alone.
func TestNothingIsTouchedThatMayNotBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		chips, all := map[uint16]chipsim.Chip{}, map[uint16]*watched{}
		for addr := uint16(0); addr <= 0x7F; addr++ {
			all[addr] = &watched{state: 0x04}
			chips[addr] = all[addr]
		}
		m.adapter("1", "bcm2835", chips)
		m.file("sys/bus/i2c/devices/1-0068/name", "ds3231")
		m.o.Used = map[string]string{"i2c-1 0x40": "solar"}
		r, _ := m.run()
		for addr, c := range all {
			none := addr < 8 || addr > 0x77 || addr >= 0x50 && addr < 0x58 || addr == 0x68 || addr == 0x40
			if none && c.reads+len(c.written) > 0 {
				t.Errorf("0x%02x was touched: %d bytes read, % x written", addr, c.reads, c.written)
			}
			order := addr >= 0x20 && addr < 0x28 || addr >= 0x38 && addr < 0x3E || addr >= 0x70 && addr < 0x76
			if order && (len(c.written) > 0 || c.reads == 0) {
				t.Errorf("0x%02x: % x written, %d bytes read", addr, c.written, c.reads)
			}
			if (addr == 0x76 || addr == 0x77) && c.state != 0x04 {
				t.Errorf("the multiplexer at 0x%02x was left with %02x", addr, c.state)
			}
		}
		text := ""
		for _, i := range r.Items {
			text += i.Where + " " + i.What + " " + i.UsedBy + " " + i.Note + "\n"
		}
		for _, want := range []string{"i2c-1 0x68 ds3231  the kernel's; not touched", "i2c-1 0x40  solar not touched", "i2c-1 0x77 TCA9548A multiplexer"} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
		m.o.All = true
		m.run()
		if c := all[0x50]; c.reads == 0 || len(c.written) > 0 {
			t.Errorf("with All: %d bytes of a memory read, % x written", c.reads, c.written)
		}
	})
}

func TestBusesThatAreNotForSensors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		monitor := &watched{}
		m.adapter("0", "SMBus I801 adapter at efa0", map[uint16]chipsim.Chip{0x48: monitor})
		m.adapter("20", "fef04500.i2c", map[uint16]chipsim.Chip{0x76: chipsim.NewBME280(0x60, chipsim.Typical())})
		m.file("sys/class/i2c-dev/i2c-3/name", "no right to open it")
		m.adapter("4", "hangs", nil)
		stop := make(chan struct{})
		m.buses["4"].Fault(func(int, uint16) error { <-stop; return syscall.EIO })
		r, got := m.run()
		close(stop)
		if len(got) != 2 || got[0] != "i2c-20 0x76 BME280 bme280" || monitor.reads > 0 {
			t.Errorf("found %q, %d bytes read on the SMBus", got, monitor.reads)
		}
		skipped := strings.Join(r.Skipped, "\n")
		for _, want := range []string{"i2c-0 (SMBus I801 adapter at efa0): the machine's own; --bus i2c-0", "i2c-3 (no right to open it): permission: ", "member of group i2c", "i2c-4 (hangs): hung: "} {
			if !strings.Contains(skipped, want) {
				t.Errorf("no %q in\n%s", want, skipped)
			}
		}
		for _, name := range []string{"i2c-0", "0"} {
			m.o.Bus = name
			if _, got := m.run(); len(got) != 2 || got[0] != "i2c-0 0x48 unknown" {
				t.Errorf("--bus %s: %q", name, got)
			}
		}
		m.o.Bus = "i2c-9"
		if r, got := m.run(); len(got) != 1 || r.Skipped[0] != "i2c-9: there is no such I2C bus" {
			t.Errorf("--bus i2c-9: %q, %q", got, r.Skipped)
		}
	})
}

// kernelMachine has something of every kind that the kernel knows.
func kernelMachine(t *testing.T) *machine {
	m := newMachine(t)
	m.Plug(serialtest.Adapter{Name: "ttyUSB0", PortPath: "1-1.3", Interface: "00", VID: "0403", PID: "6001", Serial: "A50285BI", Product: "FT232R"}, "")
	m.file("dev/spidev0.1", "")
	m.file("sys/class/hwmon/hwmon0/name", "cpu_thermal")
	m.file("sys/class/hwmon/hwmon0/temp1_input", "42000")
	m.file("sys/class/hwmon/hwmon1/name", "empty")
	m.file("sys/bus/iio/devices/iio:device0/name", "dht11")
	m.file("sys/bus/iio/devices/iio:device0/in_temp_input", "21000")
	m.file("sys/bus/iio/devices/iio:device0/in_humidityrelative_raw", "1")
	m.file("sys/bus/iio/devices/iio:device0/in_humidityrelative_scale", "1")
	m.file("sys/bus/iio/devices/iio:device0/in_humidityrelative_input", "45000")
	m.file("sys/bus/iio/devices/iio:device1/name", "dht11") // the device reads both
	m.file("sys/bus/iio/devices/iio:device1/in_temp_input", "21000")
	m.file("sys/bus/w1/devices/28-3c01e076877d/name", "28-3c01e076877d")
	m.file("sys/bus/w1/devices/01-000000000001/name", "01-000000000001")
	m.file("sys/bus/w1/devices/w1_bus_master1/name", "x")
	return m
}

func TestWhatTheKernelKnows(t *testing.T) {
	m := kernelMachine(t)
	m.o.Used = map[string]string{"28-3c01e076877d": "boiler"}
	r, got := m.run()
	want := []string{
		"/dev/spidev0.1 chip select", "cpu_thermal 1 value hwmon", "dht11 3 values iio", "01-000000000001 family 01", "28-3c01e076877d DS18B20 w1_therm",
		"/dev/ttyUSB0 FT232R", "gpiochip0 pinctrl-bcm2835, 3 lines",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"used by boiler", "new: driver hwmon", "usb 0403:6001 serial A50285BI", "1 in use: GPIO17 (dunlin); free: GPIO4 GPIO5", "\nNot touched:\n  I2C: there is no bus"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, &text)
		}
	}
	b, err := json.Marshal(r)
	if err != nil || !strings.Contains(string(b), `"where":"28-3c01e076877d","what":"DS18B20","driver":"w1_therm","used_by":"boiler"`) {
		t.Errorf("%s, %v", b, err)
	}
}

func TestYAML(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := kernelMachine(t)
		m.adapter("1", "bcm2835", map[uint16]chipsim.Chip{
			0x76: chipsim.NewBME280(0x60, chipsim.Typical()), 0x77: chipsim.NewBME280(0x60, chipsim.Typical()), 0x23: chipsim.NewBH1750(),
		})
		m.o.Used = map[string]string{"28-3c01e076877d": "boiler"}
		r, _ := m.run()
		r.Configure(map[string]bool{"bme280": true})
		const want = `devices:
  - {name: bme280_2, driver: bme280, bus: "1", address: 0x76}   # i2c-1 0x76 BME280
  - {name: bme280_3, driver: bme280, bus: "1", address: 0x77}   # i2c-1 0x77 BME280
  - {name: cpu_thermal, driver: hwmon, match: {name: ["cpu_thermal"]}}   # cpu_thermal 1 value
  - {name: dht11, driver: iio, match: {name: ["dht11"]}}   # dht11 3 values
  # - {name: bh1750, driver: bh1750, bus: "1", address: 0x23}   # i2c-1 0x23 BH1750 or an I/O expander?
  # - {name: ttyusb0, driver: DRIVER, port: {usb: {vid: "0403", pid: "6001", serial: "A50285BI"}}}   # /dev/ttyUSB0 FT232R
`
		if r.YAML != want {
			t.Errorf("got\n%s\nwant\n%s", r.YAML, want)
		}
	})
	var none Report
	if none.Configure(nil); none.YAML != "devices: []\n" {
		t.Errorf("nothing: %q", none.YAML)
	}
	var empty strings.Builder
	if err := (&Report{}).WriteText(&empty); err != nil || empty.String() != "Nothing was found.\n" {
		t.Errorf("nothing: %q, %v", &empty, err)
	}
}
