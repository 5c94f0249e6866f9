package bus

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// chip is one GPIO controller as the kernel describes it.
type chip struct {
	name  string // "gpiochip0"
	label string // "pinctrl-bcm2835"
	lines []lineInfo
}

type lineInfo struct {
	name     string
	used     bool
	consumer string
}

// GPIOChip is one GPIO controller of the machine, for people.
type GPIOChip struct {
	Name, Label  string
	Lines, InUse int
	// Used are lines in use whose name or user is known, as "GPIO17 (dunlin)",
	// Free the names of the others.
	Used, Free []string
}

// GPIO describes the GPIO controllers below root. It claims and changes none.
func GPIO(root string) ([]GPIOChip, error) {
	chips, err := allChips(root)
	return forPeople(chips), err
}

func forPeople(chips []chip) (out []GPIOChip) {
	for _, c := range chips {
		g := GPIOChip{Name: c.name, Label: c.label, Lines: len(c.lines)}
		for i, l := range c.lines {
			if l.used {
				g.InUse++
			}
			switch {
			case l.used && l.consumer != "":
				if l.name == "" {
					l.name = strconv.Itoa(i)
				}
				g.Used = append(g.Used, l.name+" ("+l.consumer+")")
			case l.name == "":
			case l.used:
				g.Used = append(g.Used, l.name)
			default:
				g.Free = append(g.Free, l.name)
			}
		}
		out = append(out, g)
	}
	return out
}

// candidates is how many names an error lists at most.
const candidates = 12

// find returns where the line is that o asks for. A line name counts when
// exactly one line of all chips bears it.
func find(chips []chip, o sensors.LineOptions) (c *chip, offset int, err error) {
	if len(chips) == 0 {
		return nil, 0, notFound("this machine shows no GPIO chip (/dev/gpiochip*)")
	}
	if o.Name != "" {
		c, offset, err = findName(chips, o.Name)
	} else {
		c, offset, err = findOffset(chips, o.Chip, o.Offset)
	}
	if err != nil {
		return nil, 0, err
	}
	// Used by nobody means that the pin has another function now. Some pin
	// controllers hand it out all the same: the request will tell.
	if l := c.lines[offset]; l.used && l.consumer != "" {
		return nil, 0, busy(c, offset, l.consumer)
	}
	return c, offset, nil
}

func findName(chips []chip, name string) (*chip, int, error) {
	var at *chip
	offset := 0
	for i := range chips {
		for n, l := range chips[i].lines {
			if l.name != name {
				continue
			}
			if at != nil {
				return nil, 0, notFound("two lines are named %q: %s offset %d and %s offset %d; give chip and offset",
					name, at.label, offset, chips[i].label, n)
			}
			at, offset = &chips[i], n
		}
	}
	if at == nil {
		return nil, 0, notFound("no GPIO line is named %q; %s", name, lineNames(chips, name))
	}
	return at, offset, nil
}

func findOffset(chips []chip, want string, offset int) (*chip, int, error) {
	want = strings.TrimPrefix(want, "/dev/")
	var known []string
	var at *chip
	for i, c := range chips {
		known = append(known, fmt.Sprintf("%s (%s, %d lines)", c.name, c.label, len(c.lines)))
		if c.name != want && c.label != want {
			continue
		}
		if at != nil {
			return nil, 0, notFound("two GPIO chips are labeled %q: %s and %s; give the name", want, at.name, c.name)
		}
		at = &chips[i]
	}
	switch {
	case at == nil:
		return nil, 0, notFound("no GPIO chip is named or labeled %q; there are %s", want, strings.Join(known, ", "))
	case offset < 0 || offset >= len(at.lines):
		return nil, 0, notFound("GPIO chip %s (%s) has offsets 0 to %d, not %d", at.name, at.label, len(at.lines)-1, offset)
	}
	return at, offset, nil
}

// lineNames lists named lines, those that look like want first.
func lineNames(chips []chip, want string) string {
	var names []string
	for _, c := range chips {
		for _, l := range c.lines {
			if l.name != "" && l.name != "-" && !slices.Contains(names, l.name) {
				names = append(names, l.name)
			}
		}
	}
	if len(names) == 0 {
		return "no line of this machine has a name: give chip and offset"
	}
	score := func(name string) int {
		n := 0
		for n < min(len(name), len(want)) && strings.EqualFold(name[:n+1], want[:n+1]) {
			n++
		}
		return n
	}
	sort.SliceStable(names, func(i, j int) bool { return score(names[i]) > score(names[j]) })
	more := ""
	if len(names) > candidates {
		more = fmt.Sprintf(" and %d more", len(names)-candidates)
		names = names[:candidates]
	}
	return "there are " + strings.Join(names, ", ") + more
}

func notFound(format string, args ...any) error {
	return &sensors.Fault{Reason: sensors.NotFound, Err: fmt.Errorf(format, args...)}
}

// busy names who has the line.
func busy(c *chip, offset int, by string) error {
	return &sensors.Fault{Reason: sensors.Busy, Err: fmt.Errorf("GPIO line %d %q of %s is in use by %q", offset, c.lines[offset].name, c.name, by)}
}
