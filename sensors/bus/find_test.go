package bus

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// board is a Raspberry Pi with a GPIO expander.
func board() []chip {
	soc := chip{name: "gpiochip0", label: "pinctrl-bcm2835"}
	for _, n := range []string{"ID_SDA", "ID_SCL", "GPIO2", "GPIO3", "GPIO17", "GPIO27", "GPIO27"} {
		soc.lines = append(soc.lines, lineInfo{name: n})
	}
	soc.lines[3] = lineInfo{name: "GPIO3", used: true, consumer: "gpio-keys"}
	soc.lines[2].used = true // set to another function, and free
	return []chip{soc, {name: "gpiochip1", label: "mcp23017", lines: make([]lineInfo, 16)}}
}

func TestFindLine(t *testing.T) {
	for _, tc := range []struct {
		o      sensors.LineOptions
		chip   string
		offset int
		reason sensors.Reason
		says   string
	}{
		{o: sensors.LineOptions{Name: "GPIO17"}, chip: "gpiochip0", offset: 4},
		{o: sensors.LineOptions{Chip: "gpiochip1", Offset: 15}, chip: "gpiochip1", offset: 15},
		{o: sensors.LineOptions{Chip: "/dev/gpiochip1"}, chip: "gpiochip1"},
		{o: sensors.LineOptions{Chip: "pinctrl-bcm2835", Offset: 2}, chip: "gpiochip0", offset: 2},
		{o: sensors.LineOptions{Name: "GPIO18"}, reason: sensors.NotFound, says: "there are GPIO17, "},
		{o: sensors.LineOptions{Name: "GPIO27"}, reason: sensors.NotFound, says: "two lines"},
		{o: sensors.LineOptions{Name: "GPIO3"}, reason: sensors.Busy, says: `in use by "gpio-keys"`},
		{o: sensors.LineOptions{Chip: "gpiochip9"}, reason: sensors.NotFound, says: "gpiochip1 (mcp23017, 16 lines)"},
		{o: sensors.LineOptions{Chip: "mcp23017", Offset: 16}, reason: sensors.NotFound, says: "0 to 15"},
		{o: sensors.LineOptions{Chip: "mcp23017", Offset: -1}, reason: sensors.NotFound, says: "0 to 15"},
	} {
		at, offset, err := find(board(), tc.o)
		chip := ""
		if at != nil {
			chip = at.name
		}
		if tc.reason == "" && (err != nil || chip != tc.chip || offset != tc.offset) {
			t.Errorf("%+v: %s %d, %v", tc.o, chip, offset, err)
		}
		if tc.reason != "" && (sensors.ReasonOf(err) != tc.reason || !strings.Contains(err.Error(), tc.says)) {
			t.Errorf("%+v: %v, want reason %s and %q", tc.o, err, tc.reason, tc.says)
		}
	}
	if _, _, err := find(nil, sensors.LineOptions{Name: "GPIO17"}); sensors.ReasonOf(err) != sensors.NotFound {
		t.Errorf("a machine without chips: %v", err)
	}
	twin := append(board(), chip{name: "gpiochip2", label: "mcp23017", lines: make([]lineInfo, 16)})
	if _, _, err := find(twin, sensors.LineOptions{Chip: "mcp23017"}); err == nil || !strings.Contains(err.Error(), "two GPIO chips") {
		t.Errorf("a label that two chips bear: %v", err)
	}
}

func TestGPIOForPeople(t *testing.T) {
	got := forPeople([]chip{{name: "gpiochip0", label: "bcm", lines: []lineInfo{
		{name: "GPIO0"}, {name: "GPIO1", used: true, consumer: "dunlin"}, {used: true, consumer: "led"}, {name: "GPIO3", used: true}, {used: true}, {},
	}}})
	want := "[{gpiochip0 bcm 6 4 [GPIO1 (dunlin) 2 (led) GPIO3] [GPIO0]}]"
	if fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}
