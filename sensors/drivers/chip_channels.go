package drivers

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// chipOptions are those of hwmon and iio.
type chipOptions struct {
	Bind    bindOptions `yaml:"bind" doc:"creates the chip in the kernel first, as {bus: i2c1, chip: bmp280, address: 0x76}"`
	Match   chipMatch   `yaml:"match" doc:"which chips; without it all of them, or the one of bind"`
	Include []string    `yaml:"include" doc:"what to read, as temp*_input of hwmon, in_voltage* of iio"`
	Exclude []string    `yaml:"exclude" doc:"what to leave out of that"`
}

// Validate reports patterns that cannot be read.
func (o *chipOptions) Validate(report func(path, msg string)) {
	checkPatterns("include", o.Include, report)
	checkPatterns("exclude", o.Exclude, report)
	o.Match.check(report)
	o.Bind.check(report)
	if len(o.Include) == 0 {
		report("include", "is empty: nothing would be read")
	}
}

var (
	_ sensors.Keeper   = (*chipReader)(nil)
	_ sensors.Selector = (*chipReader)(nil)
)

// Selection implements sensors.Selector.
func (o *chipOptions) Selection() any { return o }

// wants reports whether a channel is to be read.
func (o *chipOptions) wants(name string) bool {
	return matches(o.Include, name) && !matches(o.Exclude, name)
}

// quantity is what the kernel's documentation says of a kind of channels,
// brought to the unit that people use: name of the entity, unit, and how many of
// the kernel's make one.
type quantity struct {
	kind, entity, unit string
	per                float64
}

// quantityOf finds the quantity of a channel whose name begins with its kind,
// and what follows that.
func quantityOf(all []quantity, name string) (q quantity, rest string, ok bool) {
	for _, q := range all {
		if rest, ok := strings.CutPrefix(name, q.kind); ok && (rest == "" || rest[0] < 'a' || rest[0] > 'z') {
			return q, rest, true
		}
	}
	return q, "", false
}

// channel is a file with a value, or a raw one with the files that make a value
// of it. What a chip does not have is "".
type channel struct {
	file, scale, offset string
	fault               string // says whether the sensor is broken
	entity, unit        string
	per                 float64
}

// chipReader reads the channels of all matching chips: the driver of hwmon and
// iio.
type chipReader struct {
	chipOptions
	dirs     string // pattern of the chips' directories
	add      func(d *chipReader, c kernelChip)
	kernel   kernel
	device   string // of bind
	chips    []kernelChip
	channels []channel
	all      []string // directories of chips, when they were looked at
	looked   time.Time
	// names are those of all channels since the start, by chip and attribute: of
	// two chips the one that is left does not get the name of the one that went.
	names map[string]string
	// kept is, by name, the chip that has the names without a device; less than 0
	// when it is not alone.
	kept sensors.Totals
}

// Keep implements sensors.Keeper.
func (d *chipReader) Keep(t sensors.Totals) { d.kept = t }

// Open finds the chips by name, and their channels.
func (d *chipReader) Open(_ context.Context, b sensors.Buses) error {
	d.kernel, d.channels = kernelOf(b), nil
	var err error
	if d.device, err = d.Bind.bind(d.kernel, b); err != nil {
		return err
	}
	if err := d.find(); err != nil {
		return err
	}
	if len(d.channels) == 0 {
		return &sensors.Fault{Reason: sensors.NotFound, Err: fmt.Errorf("the chip has no %s", strings.Join(d.Include, " or "))}
	}
	return nil
}

// find takes the chips and channels that are there now in place of those that
// were.
func (d *chipReader) find() error {
	d.all, d.looked = d.kernel.glob(d.dirs), time.Now()
	chips, err := d.kernel.chips(d.dirs, d.Match, d.device)
	if err != nil {
		return err
	}
	d.prefix(chips)
	d.chips, d.channels = chips, nil
	for _, c := range chips {
		d.add(d, c)
	}
	return nil
}

// lookAgain is how often a reading looks whether chips have come: those of a USB
// device, or of a module that was loaded after the gateway had started.
const lookAgain = 10 * time.Second

// files are those of a chip that match, in the order of their channels.
func (d *chipReader) files(c kernelChip, patterns ...string) (all []string) {
	for _, p := range patterns {
		all = append(all, d.kernel.glob(c.dir+p)...)
	}
	sort.SliceStable(all, func(i, j int) bool { return byNumber(channelOf(all[i]), channelOf(all[j])) < 0 })
	return all
}

// byNumber puts temp2 before temp10.
func byNumber(a, b string) int {
	kind := func(file string) string {
		name := path.Base(file)
		return name[:max(strings.IndexAny(name, "0123456789"), 0)]
	}
	return cmp.Or(strings.Compare(kind(a), kind(b)), len(a)-len(b), strings.Compare(a, b))
}

// channelOf is in_voltage0 of in_voltage0_raw, with its directory.
func channelOf(file string) string { return file[:strings.LastIndexByte(file, '_')] }

// named adds a channel, called by its label if it has one.
func (d *chipReader) named(c channel, chip kernelChip, base string) {
	key := chip.of + "/" + chip.name + "/" + path.Base(base)
	shown := func(entity string) bool {
		return slices.ContainsFunc(d.channels, func(c channel) bool { return c.entity == entity })
	}
	if name, known := d.names[key]; known && !shown(name) {
		c.entity = name
		d.channels = append(d.channels, c)
		return
	}
	if label, err := d.kernel.text(base + "_label"); err == nil && sensors.EntityName(label) != "" {
		c.entity = label
	}
	c.entity = unique(chip.prefix+sensors.EntityName(c.entity), func(entity string) bool {
		for _, taken := range d.names {
			if taken == entity {
				return true
			}
		}
		return shown(entity)
	})
	if d.names == nil {
		d.names = map[string]string{}
	}
	if _, twice := d.names[key]; !twice {
		d.names[key] = c.entity
	}
	d.channels = append(d.channels, c)
}

// Read returns every channel; one that fails carries its reason. A chip that
// is gone fails the whole device, which is then looked for again.
func (d *chipReader) Read(ctx context.Context) ([]sensors.Reading, error) {
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
	if time.Since(d.looked) >= lookAgain {
		if d.looked = time.Now(); !slices.Equal(d.kernel.glob(d.dirs), d.all) {
			return list, d.find()
		}
	}
	return list, nil
}

// read makes a value. Scale and offset are read each time, since a change of
// the chip's gain changes them.
func (d *chipReader) read(c *channel) (v float64, err error) {
	number := func(file string, none float64) float64 {
		if file == "" || err != nil {
			return none
		}
		var n float64
		n, err = d.kernel.number(file)
		return n
	}
	if number(c.fault, 0) != 0 {
		return 0, &sensors.Fault{Reason: sensors.WireBreak, Err: fmt.Errorf("%s says that the sensor is broken", path.Base(c.fault))}
	}
	v = number(c.file, 0) + number(c.offset, 0)
	scale := number(c.scale, 1)
	if err == nil && scale == 0 { // it would make a good reading of 0 of anything
		err = &sensors.Fault{Reason: sensors.Parse, Err: fmt.Errorf("the scale %s is 0", path.Base(c.scale))}
	}
	if v = v * scale / c.per; err == nil && c.unit == "°C" && v < -273.15 {
		err = &sensors.Fault{Reason: sensors.OutOfRange, Err: fmt.Errorf("%v °C is below absolute zero", v)}
	}
	return v, err
}

// Close has nothing to release.
func (d *chipReader) Close() error { return nil }
