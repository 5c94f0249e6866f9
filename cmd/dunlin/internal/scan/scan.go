package scan

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"periph.io/x/conn/v3/i2c"

	"github.com/dunlin-mqtt/dunlin/sensors/bus"
)

// Options say where to look. All of them but the function values may be zero.
type Options struct {
	// Root is the directory below which /dev, /proc and /sys are; "" is "/".
	Root string
	// I2C opens a bus by number.
	I2C func(number string) (i2c.Bus, error)
	// GPIO describes the controllers below a root.
	GPIO func(root string) ([]bus.GPIOChip, error)
	// Driver reports whether there is a driver of this name.
	Driver func(name string) bool
	// Used says which configured device reads something, by its Item.Where.
	Used map[string]string
	// Bus limits the search to this I2C bus ("i2c-1") and looks also at one that
	// is no bus for sensors. All looks at memories and at all buses.
	Bus string
	All bool
}

// Item is something that was found.
type Item struct {
	Kind   string `json:"kind"`             // i2c, spi, hwmon, iio, w1, serial, gpio or modbus
	Where  string `json:"where"`            // as "i2c-1 0x76"
	What   string `json:"what"`             // as "BME280"
	Driver string `json:"driver,omitempty"` // dunlin's, "" when there is none or it is not known which
	UsedBy string `json:"used_by,omitempty"`
	Note   string `json:"note,omitempty"`

	keys string // of its device in the configuration, beside name and driver
	bus  string // its bus's entry in the configuration
}

// Report is the result.
type Report struct {
	Items []Item `json:"items"`
	// Skipped says what was not looked at, and why.
	Skipped []string `json:"skipped"`
	// YAML is a configuration of what is new; Configure writes it.
	YAML string `json:"yaml"`
}

func (r *Report) add(i Item) { r.Items = append(r.Items, i) }

func (r *Report) skip(what string) { r.Skipped = append(r.Skipped, what) }

// Run looks everywhere but at Modbus lines. It blocks for the transfers of
// I2C, a few seconds at most for a bus that hangs.
func Run(ctx context.Context, o Options) *Report {
	if o.Root == "" {
		o.Root = "/"
	}
	r := &Report{Items: []Item{}, Skipped: []string{}}
	o.i2c(ctx, r)
	o.spi(r)
	o.kernel(r)
	o.w1(r)
	o.serial(r)
	o.gpio(r)
	for i := range r.Items {
		if used := o.Used[r.Items[i].Where]; used != "" {
			r.Items[i].UsedBy = used
		}
		if r.Items[i].Driver != "" && !o.Driver(r.Items[i].Driver) {
			r.Items[i].Driver = ""
		}
	}
	return r
}

// glob returns what matches below the root, sorted.
func (o *Options) glob(pattern string) []string {
	found, _ := filepath.Glob(filepath.Join(o.Root, pattern)) // the pattern is right
	return found
}

// text is a file's content without its line end, "" when it cannot be read.
func text(path ...string) string {
	b, _ := os.ReadFile(filepath.Join(path...)) // what is not there says nothing
	return strings.TrimSpace(string(b))
}
