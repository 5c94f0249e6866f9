package drivers

import (
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// chipMatch chooses among the chips of hwmon or IIO by what does not change:
// their numbers do at each boot.
type chipMatch struct {
	Name  []string `yaml:"name" doc:"the chip's name attribute, as [lm75, ina226]; its number changes at each boot"`
	Label []string `yaml:"label" doc:"the chip's label attribute, from the device tree"`
	// Device tells two chips of one name apart.
	Device []string `yaml:"device" doc:"the device that the chip belongs to, as [1-0048], which is address 0x48 of i2c-1"`
}

func (m *chipMatch) check(report func(path, msg string)) {
	checkPatterns("match.name", m.Name, report)
	checkPatterns("match.label", m.Label, report)
	checkPatterns("match.device", m.Device, report)
}

// several reports whether chips of different names may match, whatever there is
// now.
func (m *chipMatch) several() bool {
	return len(m.Name) != 1 && len(m.Label) != 1 && len(m.Device) != 1 || strings.ContainsAny(strings.Join(slices.Concat(m.Name, m.Device), ""), "*?[")
}

// kernelChip is a directory of sysfs.
type kernelChip struct {
	dir, name, device string
	of                string // the directory of the device that it belongs to, whatever the chip's number is
	prefix            string // of its entities: its name, where there may be several
	is                os.FileInfo
}

// chips returns the chips below a pattern that match, ordered by name and then
// by the device they belong to, which their numbers do not follow. device,
// when it is not "", is the I2C device that they must belong to, as 1-0076.
// None is the fault not_found.
func (k kernel) chips(pattern string, m chipMatch, device string) ([]kernelChip, error) {
	var found []kernelChip
	var others []string
	for _, dir := range k.glob(pattern) {
		name, err := k.text(dir + "/name")
		if err != nil {
			continue
		}
		label, _ := k.text(dir + "/label") // most have none
		c := kernelChip{dir: dir, name: name, device: k.target(dir) + "/" + k.target(dir+"/device") + "/"}
		if c.of = k.target(dir + "/device"); c.of == "" {
			c.of = path.Dir(k.target(dir)) // IIO has no such link
		}
		if c.is, err = os.Stat(k.path(dir)); err != nil {
			continue // it went just now
		}
		switch {
		case len(m.Name) > 0 && !matches(m.Name, name), len(m.Label) > 0 && !matches(m.Label, label),
			len(m.Device) > 0 && !matches(m.Device, path.Base(c.of)),
			device != "" && !strings.Contains(c.device, "/"+device+"/"):
			others = append(others, name)
		default:
			found = append(found, c)
		}
	}
	if len(found) == 0 {
		class := strings.TrimSuffix(path.Base(pattern), "*")
		what := strings.TrimSpace(strings.Join(slices.Concat(m.Name, m.Label, m.Device), " or ") + " " + device)
		err := fmt.Errorf("no %s is %s; there are: %s", class, what, strings.Join(others, ", "))
		if len(others) == 0 {
			err = fmt.Errorf("there is no %s at all", class)
		}
		return nil, &sensors.Fault{Reason: sensors.NotFound, Err: err}
	}
	sort.Slice(found, func(i, j int) bool {
		a, b := &found[i], &found[j]
		return a.name+"\x00"+a.device+"\x00"+a.dir < b.name+"\x00"+b.device+"\x00"+b.dir
	})
	return found, nil
}

// prefix tells the entities of chips apart: by the name of the chip where there
// may be several, and the device that it belongs to where two have one name. A
// number would be that of another chip as soon as the first of them is missing.
func (d *chipReader) prefix(chips []kernelChip) {
	names := map[string]int{}
	for _, c := range chips {
		names[c.name]++
	}
	several := len(names) > 1 || d.Match.several() && d.device == ""
	for i := range chips {
		c := &chips[i]
		name := sensors.EntityName(c.name) + "_"
		switch {
		case !d.short(c, names[c.name]):
			c.prefix = name + sensors.EntityName(path.Base(c.of)) + "_"
		case several:
			c.prefix = name
		}
	}
}

// short reports whether a chip goes without its device in the names of its
// entities, when there are so many of its name. One that is alone does. Once there
// was another those names stay its own, or nobody's when two came at once: neither
// gets the other's, whichever is there at a start.
func (d *chipReader) short(c *kernelChip, many int) bool {
	if d.kept == nil || len(d.Match.Label)+len(d.Match.Device) > 0 || d.device != "" { // chosen by more than its name
		return many == 1
	}
	mark := 1 + float64(crc32.ChecksumIEEE([]byte(path.Base(c.of))))
	whose, known := d.kept.Load(c.name)
	switch {
	case many == 1 && (!known || whose > 0):
		whose = mark
	case whose > 0: // it is not alone any more
		whose = -whose
	}
	d.kept.Save(c.name, whose)
	return math.Abs(whose) == mark
}

// still reports, as the fault unplugged, that a chip is gone. Another one may
// have its number by now, and its files: what was read before is believed only
// when the directory is the one that was opened.
func (k kernel) still(chips []kernelChip) error {
	for _, c := range chips {
		is, err := os.Stat(k.path(c.dir))
		if err != nil || !os.SameFile(is, c.is) {
			return &sensors.Fault{Reason: sensors.Unplugged, Err: fmt.Errorf("%s is not %s any more", path.Base(c.dir), c.name)}
		}
	}
	return nil
}

// unique adds a number to a name that is taken.
func unique(wanted string, taken func(name string) bool) string {
	name := wanted
	for n := 2; taken(name); n++ {
		name = wanted + "_" + strconv.Itoa(n)
	}
	return name
}

// bindOptions create a device of the kernel on an I2C bus, for chips that no
// device tree names.
type bindOptions struct {
	Bus     string `yaml:"bus" doc:"id of the bus"`
	Chip    string `yaml:"chip" doc:"the kernel's name of the chip, as bmp280"`
	Address int    `yaml:"address" doc:"its address, as 0x76"`
}

func (o *bindOptions) check(report func(path, msg string)) {
	switch {
	case *o == bindOptions{}:
	case o.Bus == "" || o.Chip == "":
		report("bind", "wants bus, chip and address, as {bus: i2c1, chip: bmp280, address: 0x76}")
	case strings.ContainsAny(o.Chip, " \t\r\n/"):
		report("bind.chip", fmt.Sprintf("%q is no name of a chip", o.Chip))
	case o.Address < 0x03 || o.Address > 0x77:
		report("bind.address", fmt.Sprintf("0x%02x is not between 0x03 and 0x77", o.Address))
	}
}

// bind makes sure that the kernel has the device and a driver for it, and
// returns the device's name, as 1-0076; "" when nothing is to be bound. A
// device that is there already is used as it is; one without a driver is made
// anew, since the chip may not have been there when it was made.
func (o *bindOptions) bind(k kernel, b sensors.Buses) (device string, err error) {
	if *o == (bindOptions{}) {
		return "", nil
	}
	n, err := b.I2CNumber(o.Bus)
	if err != nil {
		return "", err
	}
	adapter := fmt.Sprintf("/sys/bus/i2c/devices/i2c-%d", n)
	device = fmt.Sprintf("%d-%04x", n, o.Address)
	dir := "/sys/bus/i2c/devices/" + device
	if k.exists(dir) {
		switch name, _ := k.text(dir + "/name"); {
		case name != o.Chip:
			return "", &sensors.Fault{Reason: sensors.Busy, Err: fmt.Errorf("bind: the kernel has a %q at %s, not a %s", name, device, o.Chip)}
		case k.exists(dir + "/driver"):
			return device, nil
		}
		_ = k.write(adapter+"/delete_device", fmt.Sprintf("0x%02x\n", o.Address)) // one of the device tree stays
	}
	if err := k.write(adapter+"/new_device", fmt.Sprintf("%s 0x%02x\n", o.Chip, o.Address)); err != nil {
		var f *sensors.Fault
		if errors.As(err, &f) && f.Reason == sensors.Permission {
			err = fmt.Errorf("only root may write there: %w", f.Err)
			return "", &sensors.Fault{Reason: f.Reason, Err: fmt.Errorf("bind %s at %s: %w", o.Chip, device, err)}
		}
		if !k.exists(dir) { // else somebody was faster
			return "", &sensors.Fault{Reason: sensors.ReasonOf(err), Err: fmt.Errorf("bind %s at %s: %w", o.Chip, device, err)}
		}
	}
	if !k.exists(dir + "/driver") {
		return "", &sensors.Fault{Reason: sensors.NotFound,
			Err: fmt.Errorf("bind: no driver of the kernel took %s at %s: its module is missing, or no such chip answers", o.Chip, device)}
	}
	return device, nil
}
