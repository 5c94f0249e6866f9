package scan

import (
	"fmt"
	"io"
	"strings"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	if len(r.Items) == 0 {
		b.WriteString("Nothing was found.\n")
	}
	kind := ""
	for _, i := range r.Items {
		label := ""
		if i.Kind != kind {
			kind, label = i.Kind, i.Kind
		}
		state := i.Note
		switch {
		case i.UsedBy != "":
			state = "used by " + i.UsedBy
		case i.Driver != "" && i.Note == "":
			state = "new: driver " + i.Driver
		case i.Driver != "":
			state += "; driver " + i.Driver + "?"
		}
		b.WriteString(strings.TrimRight(fmt.Sprintf("%-7s %-18s %-30s %s", label, i.Where, i.What, state), " ") + "\n")
	}
	for n, s := range r.Skipped {
		label := "\nNot touched:\n"
		if n > 0 {
			label = ""
		}
		b.WriteString(label + "  " + s + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Configure fills YAML. taken are names of devices that are there already.
func (r *Report) Configure(taken map[string]bool) {
	buses, devices, comments := r.Entries(taken)
	if buses != "" {
		buses = "buses:\n" + buses
	}
	if devices == "" {
		devices = " []\n"
	} else {
		devices = "\n" + devices
	}
	r.YAML = buses + "devices:" + devices + comments
}

// Entries are lines of a configuration of what is new: of buses, of devices,
// and those of devices that miss something, as comments. The names of devices
// are added to taken.
func (r *Report) Entries(taken map[string]bool) (buses, devices, comments string) {
	for _, i := range r.Items {
		if i.UsedBy != "" || i.keys == "" {
			continue
		}
		if i.bus != "" {
			buses += "  - {" + i.bus + "}\n"
		}
		driver, name := i.Driver, i.Driver
		if i.Kind != "i2c" {
			name = sensors.EntityName(i.Where)
			name = strings.TrimPrefix(name, "dev_")
		}
		line := "- {name: %s, driver: %s, " + i.keys + "}"
		if driver == "" || i.Note != "" {
			comments += "  # " + fmt.Sprintf(line, unused(or(name, "chip"), taken), or(driver, "DRIVER")) + "   # " + strings.TrimSpace(i.Where+" "+i.What) + "\n"
			continue
		}
		devices += "  " + fmt.Sprintf(line, unused(name, taken), driver) + "   # " + i.Where + " " + i.What + "\n"
	}
	return buses, devices, comments
}

// Names are what Entries has lines of, for people.
func (r *Report) Names() (names []string) {
	for _, i := range r.Items {
		if i.UsedBy == "" && i.keys != "" {
			names = append(names, or(i.What, i.Kind+" port")+" at "+i.Where)
		}
	}
	return names
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// unused makes a name that no device has: bme280, bme280_2, ...
func unused(name string, taken map[string]bool) string {
	free := name
	for n := 2; taken[free]; n++ {
		free = fmt.Sprintf("%s_%d", name, n)
	}
	taken[free] = true
	return free
}
