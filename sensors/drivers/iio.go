package drivers

import (
	"path"
	"strings"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

func init() {
	register("iio", sensors.DriverSpec{
		Doc:     "Chips that the kernel's IIO drivers read: BME280, DHT11/22, HX711, ADS1015, VL53L0X, SCD30 and hundreds more.",
		Options: func() any { return &chipOptions{Include: []string{"in_*"}} },
		New: func(options any, _ map[string]any) (sensors.Driver, error) {
			o := options.(*chipOptions)
			return &chipReader{chipOptions: *o, dirs: "/sys/bus/iio/devices/iio:device*", add: addChannels}, validated(o)
		},
	})
}

// iioKinds is from the kernel's ABI/testing/sysfs-bus-iio.
var iioKinds = []quantity{
	{"temp", "temperature", "°C", 1000},
	{"humidityrelative", "humidity", "%", 1000},
	{"pressure", "pressure", "hPa", 0.1},
	{"voltage", "voltage", "V", 1000},
	{"altvoltage", "altvoltage", "V", 1000},
	{"current", "current", "A", 1000},
	{"power", "power", "W", 1000},
	{"energy", "energy", "J", 1},
	{"illuminance", "illuminance", "lx", 1},
	{"concentration_co2", "co2", "ppm", 1e-4},
	{"concentration_voc", "voc", "ppm", 1e-4},
	{"concentration", "concentration", "%", 1},
	{"massconcentration", "massconcentration", "µg/m³", 1},
	{"resistance", "resistance", "Ω", 1},
	{"capacitance", "capacitance", "nF", 1},
	{"electricalconductivity", "conductivity", "S/m", 1},
	{"accel", "accel", "m/s²", 1},
	{"anglvel", "angular_velocity", "rad/s", 1},
	{"magn", "magnetic_field", "G", 1},
	{"incli", "inclination", "°", 1},
	{"distance", "distance", "m", 1},
	{"velocity", "velocity", "m/s", 1},
}

// addChannels adds what a chip has as a value, or as raw counts alone.
func addChannels(d *chipReader, chip kernelChip) {
	before := ""
	for _, file := range d.files(chip, "/in_*_input", "/in_*_raw") {
		base := channelOf(file)
		name := path.Base(base)
		if base == before || !d.wants(name) {
			continue // the value came first
		}
		before = base
		c := channel{file: file, entity: strings.TrimPrefix(name, "in_"), per: 1}
		raw := strings.HasSuffix(file, "_raw")
		if raw {
			c.scale, c.offset = d.shared(base, "_scale"), d.shared(base, "_offset")
		}
		if q, rest, ok := quantityOf(iioKinds, c.entity); ok {
			c.entity = q.entity + rest
			if !raw || c.scale != "" { // else counts of something
				c.unit, c.per = q.unit, q.per
			}
		}
		d.named(c, chip, base)
	}
}

// shared finds the file of a channel that is its own or that of all of its
// kind: in_voltage0_scale, in_voltage_scale.
func (d *chipReader) shared(base, suffix string) string {
	dir, channel := path.Split(base)
	kind := channel[:3+len(channel[3:])-len(strings.TrimLeft(channel[3:], "abcdefghijklmnopqrstuvwxyz"))]
	for _, name := range [...]string{channel, strings.Map(withoutDigits, channel), kind} {
		if d.kernel.exists(dir + name + suffix) {
			return dir + name + suffix
		}
	}
	return ""
}

func withoutDigits(r rune) rune {
	if r >= '0' && r <= '9' {
		return -1
	}
	return r
}
