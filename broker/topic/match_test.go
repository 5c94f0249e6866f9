package topic

import (
	"slices"
	"strings"
	"testing"
)

// matches are the examples of section 4.7 and their neighbors.
var matches = []struct {
	spec, filter, name string
	want               bool
}{
	{"4.7.1.2", "sport/tennis/player1/#", "sport/tennis/player1", true},
	{"4.7.1.2", "sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
	{"4.7.1.2", "sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
	{"4.7.1.2", "sport/tennis/player1/#", "sport/tennis/player10", false},
	{"MQTT-4.7.1-1", "sport/#", "sport", true},
	{"MQTT-4.7.1-1", "#", "a", true},
	{"MQTT-4.7.1-1", "#", "/a/b", true},
	{"MQTT-4.7.1-1", "sport/#", "sports", false},
	{"MQTT-4.7.1-1", "a/b/#", "a", false},
	{"MQTT-4.7.1-2", "sport/tennis/+", "sport/tennis/player1", true},
	{"MQTT-4.7.1-2", "sport/tennis/+", "sport/tennis/player1/ranking", false},
	{"MQTT-4.7.1-2", "sport/+", "sport", false},
	{"MQTT-4.7.1-2", "sport/+", "sport/", true},
	{"MQTT-4.7.1-2", "+/+", "/finance", true},
	{"MQTT-4.7.1-2", "/+", "/finance", true},
	{"MQTT-4.7.1-2", "+", "/finance", false},
	{"MQTT-4.7.1-2", "+/+/#", "a/b", true},
	{"MQTT-4.7.1-2", "+/+/#", "a", false},
	{"MQTT-4.7.1-2", "+/#", "a", true},
	{"MQTT-4.7.2-1", "#", "$SYS/a", false},
	{"MQTT-4.7.2-1", "+/monitor/Clients", "$SYS/monitor/Clients", false},
	{"MQTT-4.7.2-1", "+", "$SYS", false},
	{"MQTT-4.7.2-1", "+/#", "$SYS", false},
	{"MQTT-4.7.2-1", "$SYS/#", "$SYS", true},
	{"MQTT-4.7.2-1", "$SYS/#", "$SYS/a/b", true},
	{"MQTT-4.7.2-1", "$SYS/monitor/+", "$SYS/monitor/Clients", true},
	{"MQTT-4.7.2-1", "a/+/#", "a/$b/c", true},
	{"MQTT-4.7.2-1", "/#", "/$SYS", true},
	{"MQTT-4.7.3-4", "ACCOUNTS", "Accounts", false},
	{"MQTT-4.7.3-4", "\u00e9", "e\u0301", false},
	{"4.7.3", "/finance", "finance", false},
	{"4.7.3", "finance/", "finance", false},
	{"4.7.3", "a//b", "a//b", true},
	{"4.7.3", "a/+/b", "a//b", true},
	{"4.7.3", "/", "/", true},
}

func TestMatch(t *testing.T) {
	for _, tc := range matches {
		t.Run(tc.spec+" "+tc.filter+" "+tc.name, func(t *testing.T) {
			if got := Match(tc.filter, tc.name); got != tc.want {
				t.Errorf("Match = %t, want %t", got, tc.want)
			}
			var f Filters[int]
			f.Set(tc.filter, 1)
			if got := len(matchFilters(&f, tc.name)) == 1; got != tc.want {
				t.Errorf("Filters: %t, want %t", got, tc.want)
			}
			var n Names[int]
			n.Set(tc.name, 1)
			if got := len(matchNames(&n, tc.filter)) == 1; got != tc.want {
				t.Errorf("Names: %t, want %t", got, tc.want)
			}
		})
	}
	if Match("", "a") || Match("a", "") {
		t.Error("an empty topic matches")
	}
}

// dumbMatch says the same as Match the slow way.
func dumbMatch(filter, name []string) bool {
	switch {
	case len(filter) == 0:
		return len(name) == 0
	case filter[0] == "#":
		return true
	case len(name) == 0:
		return false
	}
	return (filter[0] == "+" || filter[0] == name[0]) && dumbMatch(filter[1:], name[1:])
}

func FuzzMatch(f *testing.F) {
	for _, tc := range matches {
		f.Add(tc.filter, tc.name)
	}
	f.Fuzz(func(t *testing.T, filter, name string) {
		if ValidName(name) != nil || ValidFilter(filter) != nil {
			return
		}
		if _, _, shared := Share(filter); shared {
			return
		}
		want := dumbMatch(strings.Split(filter, "/"), strings.Split(name, "/"))
		if name[0] == '$' && (filter[0] == '+' || filter[0] == '#') {
			want = false
		}
		if got := Match(filter, name); got != want {
			t.Errorf("Match(%q, %q) = %t, want %t", filter, name, got, want)
		}
		if !Match(name, name) {
			t.Errorf("%q does not match itself", name)
		}
	})
}

// Overlap against all topics of up to three levels from two words.
func TestOverlapRacesAModel(t *testing.T) {
	words := []string{"a", "b"}
	level := append(slices.Clone(words), "+", "#")
	var names, filters []string
	var grow func(list *[]string, set []string, prefix string, depth int)
	grow = func(list *[]string, set []string, prefix string, depth int) {
		for _, w := range set {
			f := strings.TrimPrefix(prefix+"/"+w, "/")
			*list = append(*list, f)
			if depth > 1 && w != "#" {
				grow(list, set, f, depth-1)
			}
		}
	}
	grow(&names, words, "", 4)
	grow(&filters, level, "", 3)
	for _, f := range filters {
		for _, g := range filters {
			want := slices.ContainsFunc(names, func(n string) bool { return Match(f, n) && Match(g, n) })
			if got := Overlap(f, g); got != want {
				t.Errorf("%s and %s: %v, want %v", f, g, got, want)
			}
		}
	}
}
