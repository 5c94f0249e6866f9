package drivers

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/sensors/drivers/pattern"
)

// maxDiscovered is how many entities a device may bring up by itself: a device
// that counts in its keys must not fill the broker with topics.
const maxDiscovered = 64

// picker makes readings of a line's fields: of the configured entities, or,
// when there are none, of everything that has a name.
type picker struct {
	wanted []wantedField
	// found are the discovered fields, and taken is how many of them have a name.
	found []foundField
	taken int
}

// foundField is the key of a discovered field and its entity's name, "" when it
// gets none.
type foundField struct{ label, name string }

type wantedField struct {
	entity, key, kind string
	when              *lineWhen // nil: always
}

// selectors are the keys of lineEntity by format.
var selectors = map[string]string{"json": "path", "csv": "column", "key_value": "key", "regex": "group", "frames": "field", "dsmr": "key"}

func newPicker(o *linesOptions, entities map[string]any) (*picker, error) {
	p := &picker{}
	for name, options := range entities {
		e, ok := options.(*lineEntity)
		if !ok {
			e = &lineEntity{}
		}
		key, err := selection(o, name, e)
		if err != nil {
			return nil, fmt.Errorf("entities.%s.%w", name, err)
		}
		w := wantedField{entity: name, key: key, kind: e.Type}
		if e.When != "" {
			if w.when, err = parseWhen(e.When); err != nil {
				return nil, fmt.Errorf("entities.%s.%w", name, err)
			}
			if o.Format == "json" {
				w.when.key = jsonPath(w.when.key)
			}
		}
		p.wanted = append(p.wanted, w)
	}
	sort.Slice(p.wanted, func(i, j int) bool { return p.wanted[i].entity < p.wanted[j].entity })
	if len(p.wanted) == 0 && o.Format == "csv" && !o.Header && len(o.Columns) == 0 {
		return nil, errors.New("entities: which column is what? list entities with their column, or give header or columns")
	}
	return p, nil
}

// selection is the key of the field that entity name wants.
func selection(o *linesOptions, name string, e *lineEntity) (string, error) {
	given := map[string]string{"path": e.Path, "column": e.Column, "key": e.Key, "group": e.Group}
	own := selectors[o.Format]
	for _, s := range []string{"path", "column", "key", "group"} {
		if given[s] != "" && s != own {
			return "", fmt.Errorf("%s: format %s has no such thing; it has %s", s, o.Format, own)
		}
	}
	if e.Type != "" && !slices.Contains([]string{"number", "bool", "string"}, e.Type) {
		return "", fmt.Errorf("type: %q is not number, bool or string", e.Type)
	}
	key := given[own]
	if key == "" {
		key = name
	}
	switch n, err := strconv.Atoi(key); {
	case o.Format == "json":
		return jsonPath(key), nil
	case o.Format == "csv" && err == nil && (n < 1 || len(o.Columns) > 0 && n > len(o.Columns)):
		return "", fmt.Errorf("column: there is no column %d; the first is 1", n)
	case o.Format == "csv" && err != nil && !o.Header && !slices.Contains(o.Columns, key):
		return "", fmt.Errorf("column: no column is named %q; give its number, header or columns", key)
	case o.Format == "regex":
		re, bad := pattern.Compile(o.Pattern)
		if bad != nil {
			return "", fmt.Errorf("pattern: %w", bad)
		}
		if groups := re.Names()[1:]; !slices.Contains(groups, key) && (err != nil || n < 1 || n > len(groups)) {
			return "", fmt.Errorf("group: the pattern has no group %q", key)
		}
	}
	return key, nil
}

// jsonPath writes list[0].x as flatten does, list.0.x.
func jsonPath(path string) string {
	return strings.TrimPrefix(strings.NewReplacer("[", ".", "]", "").Replace(path), ".")
}

// readings picks out of one line. A line without any of the wanted values is
// an error: it is not one of this device's lines.
func (p *picker) readings(fields []lineField, at time.Time) ([]sensors.Reading, error) {
	if len(p.wanted) == 0 {
		return p.discover(fields, at)
	}
	var list []sensors.Reading
	seen := false
	for _, w := range p.wanted {
		i := slices.IndexFunc(fields, func(f lineField) bool { return f.alias == w.key })
		if i < 0 {
			i = slices.IndexFunc(fields, func(f lineField) bool { return f.key == w.key })
		}
		if i < 0 {
			continue
		}
		seen = true
		if w.when != nil && !w.when.holds(fields) {
			continue
		}
		if fields[i].value != nil { // null: the device has no value now
			list = append(list, fields[i].reading(w.entity, w.kind, at))
		}
	}
	if !seen {
		return nil, errors.New("none of the configured values is in it")
	}
	return list, nil
}

func (p *picker) discover(fields []lineField, at time.Time) ([]sensors.Reading, error) {
	list := make([]sensors.Reading, 0, len(fields))
	for _, f := range fields {
		if name := p.name(f); name != "" && f.value != nil {
			list = append(list, f.reading(name, "", at))
		}
	}
	if len(fields) == 0 {
		return nil, errors.New("no values in it")
	}
	return list, nil
}

// name is the entity of a discovered field. Two keys that sanitize to the same
// name do not share it: the first to come keeps it.
func (p *picker) name(f lineField) string {
	label := f.key
	if f.alias != "" {
		label = f.alias
	}
	for i := range p.found {
		if p.found[i].label == label {
			return p.found[i].name
		}
	}
	if len(p.found) >= 4*maxDiscovered {
		return "" // keys that change with every line must not be remembered
	}
	name := sensors.EntityName(label)
	if slices.Contains(reservedEntities, name) || name == rejectedLines {
		name = "value_" + name
	}
	taken := func(f foundField) bool { return f.name == name }
	if len(name) > 64 || p.taken >= maxDiscovered || slices.ContainsFunc(p.found, taken) {
		name = ""
	}
	if name == label {
		label = name // which keeps no whole line alive
	}
	if name != "" {
		p.taken++
	}
	p.found = append(p.found, foundField{label, name})
	return name
}

func (f *lineField) reading(entity, kind string, at time.Time) sensors.Reading {
	if err, none := f.value.(error); none {
		return sensors.Reading{Entity: entity, At: at, Err: err}
	}
	r := reading(entity, kind, f.value, at)
	r.Unit = f.unit
	return r
}

// reading makes a value of kind, or infers what it is. A value that is not of
// its kind is rejected alone.
func reading(entity, kind string, raw any, at time.Time) sensors.Reading {
	var text string
	switch raw := raw.(type) {
	case string:
		text = raw
	case quoted:
		text, kind = string(raw), cmp.Or(kind, "string")
	default:
		text = fmt.Sprint(raw)
	}
	r := sensors.Reading{Entity: entity, At: at, Value: text}
	if kind != "string" {
		r.Value = infer(text)
	}
	reject := func(reason sensors.Reason, why string) sensors.Reading {
		r.Value, r.Err = nil, &sensors.Fault{Reason: reason, Err: fmt.Errorf("%s: %.40q %s", entity, text, why)}
		return r
	}
	switch {
	case kind == "string":
	case text == "":
		return reject(sensors.Parse, "is no value")
	case notNumber(text):
		return reject(sensors.OutOfRange, "is what the device says for no measurement")
	case tooLarge(r.Value):
		return reject(sensors.OutOfRange, "is more than a number holds")
	case kind == "number":
		if number(r.Value) == nil {
			return reject(sensors.Parse, "is not a number")
		}
	case kind == "bool":
		c, err := sensors.ParseSwitch([]byte(text))
		if err != nil || c.Toggle {
			return reject(sensors.Parse, "is neither on nor off")
		}
		r.Value = c.On
	}
	return r
}

// decimal reports whether text is a number as people write it: a sign, spaces
// after it, digits with or without a point, an exponent.
func decimal(text string) bool {
	if text != "" && strings.Contains("+-", text[:1]) {
		text = strings.TrimLeft(text[1:], " ")
	} else {
		text = strings.TrimLeft(text, " ")
	}
	if text == "" || text[0] != '.' && !isDigit(text[0]) {
		return false // a second sign, Inf, NaN
	}
	_, err := strconv.ParseFloat(text, 64)
	return (err == nil || errors.Is(err, strconv.ErrRange)) && !strings.ContainsAny(text, "xXpP_")
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// tooLarge recognizes a number, as 1e400, that infer could only take for text.
func tooLarge(v any) bool {
	text, ok := v.(string)
	return ok && decimal(text)
}

// infer reads text as what it looks like: an integer, a decimal number, true,
// false, on, off, or else text.
func infer(text string) any {
	if decimal(text) {
		digits := strings.ReplaceAll(text, " ", "")
		if !strings.ContainsAny(digits, ".eE") { // an error costs more than a look
			if n, err := strconv.ParseInt(digits, 10, 64); err == nil {
				return n
			}
			if n, err := strconv.ParseUint(digits, 10, 64); err == nil {
				return n
			}
		}
		if v, err := strconv.ParseFloat(digits, 64); err == nil && !math.IsInf(v, 0) {
			return v
		}
		return text
	}
	switch strings.ToLower(text) {
	case "true", "on":
		return true
	case "false", "off":
		return false
	}
	return text
}

// notNumber recognizes what C libraries print for a failed measurement.
func notNumber(text string) bool {
	switch strings.ToLower(strings.TrimLeft(text, "+-")) {
	case "nan", "inf", "infinity", "ovf":
		return true
	}
	return false
}
