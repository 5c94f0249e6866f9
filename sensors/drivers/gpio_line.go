package drivers

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// lineRef names a GPIO line: the line's name as a scalar, GPIO17, or a mapping
// with chip and offset for lines without one.
type lineRef struct {
	Name   string `yaml:"name" doc:"name of the line in the device tree, as GPIO17; instead of chip and offset"`
	Chip   string `yaml:"chip" doc:"label or name of the GPIO chip, as pinctrl-bcm2835 or gpiochip0"`
	Offset int    `yaml:"offset" doc:"number of the line on its chip"`
}

// UnmarshalText takes the scalar form.
func (l *lineRef) UnmarshalText(text []byte) error {
	name := string(text)
	if name == "" || strings.Trim(name, "0123456789") == "" {
		return fmt.Errorf("%q is not the name of a line, as GPIO17; for a number give {chip: gpiochip0, offset: 17}", name)
	}
	*l = lineRef{Name: name}
	return nil
}

// Validate reports a line that is not named, or named twice.
func (l *lineRef) Validate(report func(path, msg string)) {
	switch {
	case l.Name == "" && l.Chip == "":
		report("", "which line? give its name, as GPIO17, or {chip: gpiochip0, offset: 17}")
	case l.Name != "" && l.Chip != "":
		report("chip", "not together with name: one of them decides")
	}
	if l.Offset < 0 {
		report("offset", "is negative")
	}
}

// String is how a person calls the line.
func (l lineRef) String() string {
	if l.Chip == "" {
		return l.Name
	}
	return fmt.Sprintf("%s offset %d", l.Chip, l.Offset)
}

// request begins the options of the one request for this line.
func (l lineRef) request() sensors.LineOptions {
	return sensors.LineOptions{Name: l.Name, Chip: l.Chip, Offset: l.Offset, Consumer: "dunlin"}
}

// reservedEntities are topic levels below a device that mean something else.
var reservedEntities = []string{"state", "health", "availability", "set", "result"}

// checkEntity reports an entity name that cannot be a topic level.
func checkEntity(report func(path, msg string), path, name string) {
	switch {
	case name == "":
	case strings.ContainsAny(name, "/+#\x00"):
		report(path, fmt.Sprintf("%q is no topic level", name))
	case slices.Contains(reservedEntities, name):
		report(path, fmt.Sprintf("%q is reserved", name))
	}
}

// oneEntity names the only entity of a device: as option entity says, else as
// the configuration's only entry of entities, else name.
func oneEntity(option, name string, entities map[string]any) (string, error) {
	listed := make([]string, 0, len(entities))
	for e := range entities {
		listed = append(listed, e)
	}
	slices.Sort(listed)
	switch {
	case len(listed) > 1:
		return "", fmt.Errorf("entities: one line is one entity, not %s", strings.Join(listed, ", "))
	case len(listed) == 0 && option != "":
		return option, nil
	case len(listed) == 0:
		return name, nil
	case option != "" && option != listed[0]:
		return "", fmt.Errorf("entities.%s: the entity is called %q by option entity", listed[0], option)
	}
	return listed[0], nil
}

// biasOf translates the configuration's word.
func biasOf(word string) sensors.Bias {
	if word == "as_is" {
		return sensors.BiasAsIs
	}
	return sensors.Bias(word)
}

func checkBias(report func(path, msg string), bias string) {
	if !slices.Contains([]string{"as_is", "disabled", "pull_up", "pull_down"}, bias) {
		report("bias", fmt.Sprintf("%q is not as_is, disabled, pull_up or pull_down", bias))
	}
}

// maxDebounce is the kernel's limit: microseconds in 32 bits, rounded down.
const maxDebounce = time.Hour

func checkDebounce(report func(path, msg string), d time.Duration) {
	if d < 0 || d > maxDebounce {
		report("debounce", fmt.Sprintf("%v is not between 0s and %v", d, maxDebounce))
	}
}

// lostEvents is the entity that counts edges which the kernel could not keep;
// it is published when the count grows.
const lostEvents = "lost_events"

// edges follows the numbers of a line's edges.
type edges struct {
	seq  uint32 // of the newest edge; 0 after a request
	lost int64  // since the driver was made
}

// missed takes the number of an edge and returns how many came before it that
// were not seen.
func (c *edges) missed(seq uint32) int64 {
	n := seq - c.seq - 1
	c.seq = seq
	if n > 1<<31 { // beyond half the counter it ran backwards: a new request
		return 0
	}
	c.lost += int64(n)
	return int64(n)
}

// lineFault makes sure that an error of a line has a reason.
func lineFault(line lineRef, err error) error {
	var f *sensors.Fault
	if err == nil || errors.As(err, &f) {
		return err
	}
	return &sensors.Fault{Reason: sensors.IO, Err: fmt.Errorf("GPIO line %s: %w", line, err)}
}
