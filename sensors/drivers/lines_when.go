package drivers

import (
	"fmt"
	"slices"
	"strings"
)

// lineWhen is the condition under which a line's value counts, as
// `stable == "ST"`: a comparison of another value of the same line.
type lineWhen struct {
	key, op string
	value   any
}

// parseWhen reads KEY OP VALUE; the value is a number, true, false or text,
// which may be quoted.
func parseWhen(text string) (*lineWhen, error) {
	w := &lineWhen{}
	rest, value := "", ""
	w.key, rest, _ = strings.Cut(strings.TrimSpace(text), " ")
	w.op, value, _ = strings.Cut(strings.TrimSpace(rest), " ")
	value = strings.TrimSpace(value)
	if !slices.Contains([]string{"==", "!=", "<", "<=", ">", ">="}, w.op) || value == "" {
		return nil, fmt.Errorf("when: %q is no comparison, as stable == \"ST\"", text)
	}
	w.value = infer(value)
	if n := len(value); n > 1 && strings.ContainsAny(value[:1], `"'`) && value[n-1] == value[0] {
		w.value = value[1 : n-1]
	}
	if number(w.value) == nil && w.op != "==" && w.op != "!=" {
		return nil, fmt.Errorf("when: %s compares numbers, and %q is none", w.op, value)
	}
	return w, nil
}

// holds reports whether the line says so; a value that is not there, or not
// comparable, does not.
func (w *lineWhen) holds(fields []lineField) bool {
	i := slices.IndexFunc(fields, func(f lineField) bool { return f.key == w.key || f.alias == w.key && f.alias != "" })
	if i < 0 || fields[i].value == nil {
		return false
	}
	got := infer(fmt.Sprint(fields[i].value))
	if text, is := w.value.(string); is {
		return (fmt.Sprint(fields[i].value) == text) == (w.op == "==")
	}
	x, isNumber := number(got).(float64)
	y, wanted := number(w.value).(float64)
	if isNumber != wanted {
		return false
	}
	if !wanted {
		return (got == w.value) == (w.op == "==")
	}
	switch w.op {
	case "==":
		return x == y
	case "!=":
		return x != y
	case "<":
		return x < y
	case "<=":
		return x <= y
	case ">":
		return x > y
	}
	return x >= y
}
