package drivers

import (
	"context"
	"fmt"
	"path"
	"sort"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

func init() {
	register("iio", sensors.DriverSpec{
		Doc:     "Chips that the kernel's IIO drivers read: BME280, DHT11/22, HX711, ADS1015, VL53L0X, SCD30 and hundreds more.",
		Options: func() any { return &iioOptions{Include: []string{"in_*"}} },
		New: func(options any, _ map[string]any) (sensors.Driver, error) {
			o := options.(*iioOptions)
			return &iio{iioOptions: *o}, validated(o)
		},
	})
}

type iioOptions struct {
	Bind    bindOptions `yaml:"bind" doc:"creates the chip in the kernel first, as {bus: i2c1, chip: bmp280, address: 0x76}"`
	Match   chipMatch   `yaml:"match" doc:"which chips; without it all of them, or the one of bind"`
	Include []string    `yaml:"include" doc:"channels to read, as in_temp or in_voltage*"`
	Exclude []string    `yaml:"exclude" doc:"channels to leave out of those"`
}

// Validate reports patterns that cannot be read.
func (o *iioOptions) Validate(report func(path, msg string)) {
	checkPatterns("include", o.Include, report)
	checkPatterns("exclude", o.Exclude, report)
	o.Match.check(report)
	o.Bind.check(report)
	if len(o.Include) == 0 {
		report("include", "is empty: nothing would be read")
	}
}

// iioKinds is what the kernel's documentation (ABI/testing/sysfs-bus-iio) says
// of the kinds of channels, brought to the units that people use: name of the
// entity, unit, and how many of the kernel's make one.
var iioKinds = [...]struct {
	kind, entity, unit string
	per                float64
}{
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

// iio reads the channels of all matching chips.
type iio struct {
	iioOptions
	kernel   kernel
	chips    []kernelChip
	channels []iioChannel
}

// iioChannel is one channel: a file with its value, or a raw one with the files
// that make a value of it, "" for none.
type iioChannel struct {
	input, raw, scale, offset string
	entity, unit              string
	per                       float64
}

// Open finds the chips and their channels.
func (d *iio) Open(_ context.Context, b sensors.Buses) error {
	d.kernel, d.channels = kernel(b.Root()), nil
	device, err := d.Bind.bind(d.kernel, b)
	if err != nil {
		return err
	}
	chips, err := d.kernel.chips("/sys/bus/iio/devices/iio:device*", d.Match, device)
	if err != nil {
		return err
	}
	d.chips = chips
	for _, c := range chips {
		d.addChannels(c)
	}
	if len(d.channels) == 0 {
		return &sensors.Fault{Reason: sensors.NotFound, Err: fmt.Errorf("the chip has no channel %s", strings.Join(d.Include, " or "))}
	}
	return nil
}

// addChannels adds what the chip has as a value, or as raw counts alone.
func (d *iio) addChannels(chip kernelChip) {
	files := append(d.kernel.glob(chip.dir+"/in_*_input"), d.kernel.glob(chip.dir+"/in_*_raw")...)
	sort.SliceStable(files, func(i, j int) bool { return byNumber(channelOf(files[i]), channelOf(files[j])) < 0 })
	before := ""
	for _, file := range files {
		base := channelOf(file)
		channel := path.Base(base)
		if base == before || !matches(d.Include, channel) || matches(d.Exclude, channel) {
			continue // the value came first
		}
		before = base
		c := iioChannel{per: 1}
		if strings.HasSuffix(file, "_input") {
			c.input = file
		} else {
			c.raw, c.scale, c.offset = file, d.shared(base, "_scale"), d.shared(base, "_offset")
		}
		c.entity = strings.TrimPrefix(channel, "in_")
		for _, k := range iioKinds {
			if rest, ok := strings.CutPrefix(c.entity, k.kind); ok && (rest == "" || rest[0] < 'a' || rest[0] > 'z') {
				c.entity, c.unit, c.per = k.entity+rest, k.unit, k.per
				break
			}
		}
		if c.raw != "" && c.scale == "" {
			c.unit, c.per = "", 1 // counts of something
		}
		if label, err := d.kernel.text(base + "_label"); err == nil && label != "" {
			c.entity = label
		}
		c.entity = unique(chip.prefix+sensors.EntityName(c.entity), d.taken)
		d.channels = append(d.channels, c)
	}
}

// channelOf is in_voltage0 of in_voltage0_raw, with its directory.
func channelOf(file string) string { return file[:strings.LastIndexByte(file, '_')] }

// shared finds the file of a channel that is its own or that of all of its
// kind: in_voltage0_scale, in_voltage_scale.
func (d *iio) shared(base, suffix string) string {
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

func (d *iio) taken(entity string) bool {
	for i := range d.channels {
		if d.channels[i].entity == entity {
			return true
		}
	}
	return false
}

// Read returns every channel; one that fails carries its reason. A chip that
// is gone fails the whole device, which is then looked for again.
func (d *iio) Read(ctx context.Context) ([]sensors.Reading, error) {
	list := make([]sensors.Reading, 0, len(d.channels))
	for i := range d.channels {
		c := &d.channels[i]
		if err := ctx.Err(); err != nil {
			return list, err
		}
		v, err := d.read(c)
		list = append(list, sensors.Reading{Entity: c.entity, Value: v, Unit: c.unit, At: time.Now(), Err: err})
	}
	if err := d.kernel.still(d.chips); err != nil {
		return nil, err
	}
	return list, nil
}

// read makes a value: scale and offset are read each time, since a change of
// the chip's gain changes them.
func (d *iio) read(c *iioChannel) (float64, error) {
	if c.input != "" {
		v, err := d.kernel.number(c.input)
		return v / c.per, err
	}
	v, err := d.kernel.number(c.raw)
	if err == nil && c.offset != "" {
		var offset float64
		offset, err = d.kernel.number(c.offset)
		v += offset
	}
	if err == nil && c.scale != "" {
		var scale float64
		scale, err = d.kernel.number(c.scale)
		v *= scale
		if err == nil && scale == 0 { // it would make a good reading of 0 of anything
			err = &sensors.Fault{Reason: sensors.Parse, Err: fmt.Errorf("the scale %s is 0", path.Base(c.scale))}
		}
	}
	return v / c.per, err
}

// Close has nothing to release.
func (d *iio) Close() error { return nil }
