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

func init() {
	register("hwmon", sensors.DriverSpec{
		Doc: "Chips that the kernel's hwmon drivers read: lm75, ina226, board sensors and hundreds more.",
		Options: func() any {
			return &hwmonOptions{Include: []string{
				"temp*_input", "in*_input", "fan*_input", "curr*_input", "power*_input", "power*_average", "humidity*_input",
			}}
		},
		New: func(options any, _ map[string]any) (sensors.Driver, error) {
			return &hwmon{hwmonOptions: *options.(*hwmonOptions)}, nil
		},
	})
}

type hwmonOptions struct {
	Bind    bindOptions `yaml:"bind" doc:"creates the chip in the kernel first, as {bus: i2c1, chip: lm75, address: 0x48}"`
	Match   chipMatch   `yaml:"match" doc:"which chips; without it all of them, or the one of bind"`
	Include []string    `yaml:"include" doc:"attributes to read, as temp*_input"`
	Exclude []string    `yaml:"exclude" doc:"attributes to leave out of those"`
}

// Validate reports patterns that cannot be read.
func (o *hwmonOptions) Validate(report func(path, msg string)) {
	checkPatterns("include", o.Include, report)
	checkPatterns("exclude", o.Exclude, report)
	o.Match.check(report)
	o.Bind.check(report)
	if len(o.Include) == 0 {
		report("include", "is empty: nothing would be read")
	}
}

// quantity is what the kernel's documentation (hwmon/sysfs-interface) says of
// attributes with one prefix: their unit, and how many of theirs make one.
type quantity struct {
	prefix, unit string
	divisor      float64
}

var quantities = [...]quantity{
	{"temp", "°C", 1000},
	{"in", "V", 1000},
	{"curr", "A", 1000},
	{"power", "W", 1e6},
	{"energy", "J", 1e6},
	{"humidity", "%", 1000},
	{"fan", "RPM", 1},
	{"freq", "Hz", 1},
}

// hwmon reads the attributes of all matching chips.
type hwmon struct {
	hwmonOptions
	kernel   kernel
	chips    []kernelChip
	channels []channel
}

// channel is one attribute of one chip.
type channel struct {
	file, fault string // paths; fault "" when the chip cannot tell
	entity      string
	quantity
}

// Open finds the chips by name and their attributes.
func (h *hwmon) Open(_ context.Context, b sensors.Buses) error {
	h.kernel, h.channels = kernel(b.Root()), nil
	device, err := h.Bind.bind(h.kernel, b)
	if err != nil {
		return err
	}
	chips, err := h.kernel.chips("/sys/class/hwmon/hwmon*", h.Match, device)
	if err != nil {
		return err
	}
	h.chips = chips
	for _, chip := range chips {
		h.addChannels(chip.dir, chip.prefix)
	}
	if len(h.channels) == 0 {
		return &sensors.Fault{Reason: sensors.NotFound, Err: fmt.Errorf("the chip has no attribute %s", strings.Join(h.Include, " or "))}
	}
	return nil
}

// addChannels adds the chip's attributes that are included, named by their
// label, else by their attribute.
func (h *hwmon) addChannels(chip, prefix string) {
	files := append(h.kernel.glob(chip+"/*_input"), h.kernel.glob(chip+"/power*_average")...)
	sort.Slice(files, func(i, j int) bool { return byNumber(channelOf(files[i]), channelOf(files[j])) < 0 })
	for _, file := range files {
		attribute := path.Base(file)
		q, ok := quantityOf(attribute)
		if !ok || !matches(h.Include, attribute) || matches(h.Exclude, attribute) {
			continue
		}
		base := channelOf(file)
		if strings.HasSuffix(file, "_average") && h.kernel.exists(base+"_input") {
			continue
		}
		c := channel{file: file, quantity: q, entity: prefix + path.Base(base)}
		if label, err := h.kernel.text(base + "_label"); err == nil && sensors.EntityName(label) != "" {
			c.entity = prefix + sensors.EntityName(label)
		}
		c.entity = unique(c.entity, h.taken)
		if h.kernel.exists(base + "_fault") {
			c.fault = base + "_fault"
		}
		h.channels = append(h.channels, c)
	}
}

func (h *hwmon) taken(entity string) bool {
	return slices.ContainsFunc(h.channels, func(c channel) bool { return c.entity == entity })
}

// byNumber puts temp2 before temp10.
func byNumber(a, b string) int {
	kind := func(file string) string {
		name := path.Base(file)
		return name[:max(strings.IndexAny(name, "0123456789"), 0)]
	}
	return cmp.Or(strings.Compare(kind(a), kind(b)), len(a)-len(b), strings.Compare(a, b))
}

// quantityOf finds the quantity of an attribute: the letters before its
// number.
func quantityOf(attribute string) (quantity, bool) {
	end := strings.IndexAny(attribute, "0123456789")
	for _, q := range quantities {
		if end > 0 && attribute[:end] == q.prefix {
			return q, true
		}
	}
	return quantity{}, false
}

// Read returns every channel; one that fails carries its reason. A chip that
// is gone fails the whole device, which is then looked for again.
func (h *hwmon) Read(ctx context.Context) ([]sensors.Reading, error) {
	all := make([]sensors.Reading, 0, len(h.channels))
	for _, c := range h.channels {
		if err := ctx.Err(); err != nil {
			return all, err
		}
		r := sensors.Reading{Entity: c.entity, Unit: c.unit, At: time.Now()}
		v, err := h.read(c)
		r.Value, r.Err = v, err
		all = append(all, r)
	}
	if err := h.kernel.still(h.chips); err != nil {
		return nil, err
	}
	return all, nil
}

func (h *hwmon) read(c channel) (float64, error) {
	if c.fault != "" {
		bad, err := h.kernel.number(c.fault)
		if err != nil {
			return 0, err
		}
		if bad != 0 {
			return 0, &sensors.Fault{Reason: sensors.WireBreak, Err: fmt.Errorf("%s says that the sensor is broken", path.Base(c.fault))}
		}
	}
	v, err := h.kernel.number(c.file)
	return v / c.divisor, err
}

// Close has nothing to release.
func (h *hwmon) Close() error { return nil }
