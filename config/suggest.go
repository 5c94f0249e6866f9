package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// learn records where every key below a type belongs, for suggestions across
// sections.
func (l *loader) learn(t reflect.Type, path string, depth int) {
	if depth > 8 { // a driver's options may refer to themselves
		return
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		l.learn(t.Elem(), path, depth)
	case reflect.Map:
		l.learn(t.Elem(), join(path, "*"), depth+1)
	case reflect.Struct:
		for _, f := range fieldsOf(t) {
			if f.list || f.key == "" {
				continue
			}
			p := join(path, f.key)
			if !slices.Contains(l.keys[f.key], path) {
				l.keys[f.key] = append(l.keys[f.key], path)
			}
			if f.named != "" {
				p += ".*"
			}
			l.learn(f.typ, p, depth+1)
		}
	}
}

// learnTables records the options of drivers, filters and buses.
func (l *loader) learnTables() {
	for _, name := range slices.Sorted(maps.Keys(l.tables.Drivers)) {
		d := l.tables.Drivers[name]
		if d.Options != nil {
			l.learn(reflect.TypeOf(d.Options()), "devices (driver "+name+")", 0)
		}
		if o := entityOptions(d); o != nil {
			l.learn(reflect.TypeOf(o), "devices.entities.* (driver "+name+")", 0)
		}
	}
	for _, name := range busTypeNames() {
		l.learn(reflect.TypeOf(newBusOptions(name)), "buses (type "+name+")", 0)
	}
}

// maxSuggestions bounds the work for a file that is no configuration at all.
const maxSuggestions = 100

// otherwise are words that other gateways use, or people expect, and ours. The
// first of a word that is possible where it stands is meant.
var otherwise = [][2]string{
	{"line_scl", "scl"}, {"line_sda", "sda"}, {"on", "bus"}, {"on", "active"}, {"off", "inactive"}, {"i2c_mux", "tca9548a"},
	{"max_line", "max_length"}, {"unit", "unit_of_measurement"}, {"update_interval", "interval"}, {"scan_interval", "interval"},
	{"poll_interval", "interval"}, {"inverted", "active_low"}, {"pin", "line"}, {"slave", "unit"}, {"slave_id", "unit"},
	{"baudrate", "baud"}, {"baud_rate", "baud"}, {"expire_after", "stale_after"}, {"id", "name"},
	{"type", "driver"},
}

// elsewhere is what to write in place of a key that some part of the file does
// not have: the part is in the path of the mapping.
var elsewhere = []struct{ part, key, hint string }{
	{"gateway", "id", "the gateway's name is node, at the top of the file; its topics begin with base"},
	{"gateway", "discovery", "homeassistant: {discovery: true}"},
	{".struct[", "device_class", "under entities, with the same name: entities: {NAME: {device_class: ...}}"},
	{".struct[", "filters", "under entities, with the same name: entities: {NAME: {filters: [...]}}"},
	{".entities.", "scale", "filters: [{multiply: 0.001}]"},
	{".entities.", "offset", "filters: [{offset: -1.5}]"},
	{".entities.", "accuracy_decimals", "filters: [{round: 1}]"},
	{".entities.", "precision", "filters: [{round: 1}]"},
	{".entities.", "rename", "entities are called as \"dunlin read\" shows them: humidityrelative of the kernel is humidity"},
	{".entities.", "resets_mean", "leave it out: with state_class: total_increasing a value that falls is a new beginning"},
	{"devices[", "safe_duty", "on_stop and failsafe: {state: ...}, in percent"},
	{"devices[", "platform", "leave it out: the driver says what an output is"},
}

// ours returns our word for one of another gateway, "" when none is possible
// here.
func ours(word string, names []string) string {
	for _, w := range otherwise {
		if w[0] == word && slices.Contains(names, w[1]) {
			return w[1]
		}
	}
	return ""
}

// suggest returns a hint for a key that is not among names in the mapping at
// path.
func (l *loader) suggest(path, key string, names []string) string {
	if len(l.errs) > maxSuggestions {
		return ""
	}
	if strings.HasPrefix(key, "- ") {
		return "line this item up with those above it"
	}
	if word := ours(key, names); word != "" {
		return "did you mean " + word + "?"
	}
	for _, e := range elsewhere {
		if e.key == key && strings.Contains(path, e.part) {
			return e.hint
		}
	}
	if best := nearest(key, names, (len(key)+1)/3); best != "" {
		return "did you mean " + best + "?"
	}
	if owners := l.keys[key]; len(owners) > 0 {
		return key + " belongs " + places(owners)
	}
	if best := nearest(key, slices.Sorted(maps.Keys(l.keys)), (len(key)-1)/3); best != "" {
		return "did you mean " + best + "? it belongs " + places(l.keys[best])
	}
	names = slices.Clone(names)
	slices.Sort(names)
	if len(names) > 12 {
		names = append(names[:12:12], "...")
	}
	if len(names) == 0 {
		return "no key is known here"
	}
	return "known keys: " + strings.Join(names, ", ")
}

// places names the one or two sections that own a key.
func places(owners []string) string {
	var out []string
	for _, p := range owners[:min(2, len(owners))] {
		if p = strings.TrimSuffix(p, ".*"); p == "" {
			return "at the top of the file"
		}
		out = append(out, p)
	}
	return "under " + strings.Join(out, " or ")
}

// oneOf returns a hint for a value that is not among options. Where many are
// possible and one is near, that one is enough. Of options that have no text the
// file has said so elsewhere.
func oneOf(s string, options []string) string {
	all := ""
	for _, o := range options {
		if o != "" {
			all += ", " + o
		}
	}
	if all == "" {
		return "there are none"
	}
	all = all[2:]
	best := ours(s, options)
	if best == "" {
		best = nearest(s, options, (len(s)+1)/3)
	}
	if best != "" {
		if len(options) > 8 {
			return "did you mean " + best + "?"
		}
		return "did you mean " + best + "? (one of " + all + ")"
	}
	return "one of " + all
}

// nearest returns the option that s was most likely meant to be, "" when none
// is within that many slips; more than two are never a slip.
func nearest(s string, options []string, slips int) string {
	best, least := "", min(2, slips)+1
	for _, o := range options {
		if d := distance(strings.ToLower(s), strings.ToLower(o)); d < least {
			best, least = o, d
		}
	}
	return best
}

// distance is how many insertions, deletions, replacements and swaps of
// neighbors turn a into b (optimal string alignment).
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}
