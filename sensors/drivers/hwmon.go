package drivers

import (
	"path"
	"strings"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

func init() {
	register("hwmon", sensors.DriverSpec{
		Doc: "Chips that the kernel's hwmon drivers read: lm75, ina226, board sensors and hundreds more.",
		Options: func() any {
			return &chipOptions{Include: []string{
				"temp*_input", "in*_input", "fan*_input", "curr*_input", "power*_input", "power*_average", "humidity*_input",
			}}
		},
		New: func(options any, _ map[string]any) (sensors.Driver, error) {
			o := options.(*chipOptions)
			return &chipReader{chipOptions: *o, dirs: "/sys/class/hwmon/hwmon*", add: addAttributes}, validated(o)
		},
	})
}

// hwmonKinds is from the kernel's hwmon/sysfs-interface.
var hwmonKinds = []quantity{
	{"temp", "", "°C", 1000},
	{"in", "", "V", 1000},
	{"curr", "", "A", 1000},
	{"power", "", "W", 1e6},
	{"energy", "", "J", 1e6},
	{"humidity", "", "%", 1000},
	{"fan", "", "RPM", 1},
	{"freq", "", "Hz", 1},
}

// addAttributes adds a chip's attributes that are included, named by their
// label, else by their attribute.
func addAttributes(d *chipReader, chip kernelChip) {
	for _, file := range d.files(chip, "/*_input", "/power*_average") {
		attribute, base := path.Base(file), channelOf(file)
		q, _, ok := quantityOf(hwmonKinds, path.Base(base))
		if !ok || !d.wants(attribute) || strings.HasSuffix(file, "_average") && d.kernel.exists(base+"_input") {
			continue
		}
		c := channel{file: file, entity: path.Base(base), unit: q.unit, per: q.per}
		if d.kernel.exists(base + "_fault") {
			c.fault = base + "_fault"
		}
		d.named(c, chip, base)
	}
}
