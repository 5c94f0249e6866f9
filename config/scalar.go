package config

import (
	"encoding"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Path is a file name. A relative one was resolved against the directory of
// the file that names it.
type Path string

// TopicFilter is a valid Topic Filter.
type TopicFilter string

// bindScalar puts one value into v: the units first, then Go's kinds.
func (l *loader) bindScalar(n *node, v reflect.Value, path string, f field) {
	if n.kind != scalar {
		if v.Type() == reflect.TypeFor[Secret]() { // in the wrong form, but a secret
			n.src.secrets = append(n.src.secrets, span{n.line, n.col, maxFile})
		}
		l.fail(n, path, f.example(), "expected one value, found %s", n.is())
		return
	}
	if _, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		l.bindText(n, v, path, f)
		return
	}
	if v.Type() == reflect.TypeFor[Secret]() {
		l.bindSecret(n, v, path)
		return
	}
	s, ok := l.text(n, path, f)
	if !ok || !l.inEnum(n, s, path, f) {
		return
	}
	if s == f.also && s != "" {
		v.SetInt(alsoValue(s))
		return
	}
	switch p := v.Addr().Interface().(type) {
	case *time.Duration:
		*p, ok = unit(l, n, path, f, s, parseDuration)
	case *Size:
		*p, ok = unit(l, n, path, f, s, parseSize)
	case *Rate:
		*p, ok = unit(l, n, path, f, s, parseRate)
	case *ByteRate:
		*p, ok = unit(l, n, path, f, s, parseByteRate)
	case *Path:
		*p = Path(resolve(filepath.Dir(n.src.name), s))
	case *TopicFilter:
		*p = TopicFilter(s)
		if fault := filterFault(s); fault != "" {
			l.fail(n, path, "", "topic filter %s", fault)
		}
	default:
		ok = l.bindKind(n, v, path, f, s)
	}
	if ok {
		l.inBounds(n, v, path, f)
	}
}

// alsoValue is what a word in place of a duration or size stands for.
func alsoValue(word string) int64 {
	if word == "never" {
		return int64(Never)
	}
	return 0 // auto
}

// unit parses a value with a unit and words what is wrong with it.
func unit[T any](l *loader, n *node, path string, f field, s string, parse func(string) (T, error)) (v T, ok bool) {
	v, err := parse(s)
	if err == nil {
		return v, true
	}
	hint := f.example()
	var ue *unitError
	if errors.As(err, &ue) && ue.hint != "" {
		hint = ue.hint
	}
	if f.also != "" {
		hint = strings.TrimSpace(hint + " (or " + f.also + ")")
	}
	l.fail(n, path, hint, "%s %v", last(path), err)
	var zero T
	return zero, false
}

// bindKind puts text into Go's basic kinds.
func (l *loader) bindKind(n *node, v reflect.Value, path string, f field, s string) bool {
	bad := func(want string) bool {
		l.fail(n, path, f.example(), "%s must be %s, not %q", last(path), want, shorten(s))
		return false
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(s)
	case reflect.Bool:
		return l.bindBool(n, v, path, s)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		x, err := strconv.ParseInt(s, 0, 64)
		if err != nil || leadingZero(s) {
			return bad("a whole number")
		}
		if v.OverflowInt(x) {
			return bad(fmt.Sprintf("a number of %d bits", v.Type().Bits()))
		}
		v.SetInt(x)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		x, err := strconv.ParseUint(s, 0, 64)
		if err != nil || leadingZero(s) {
			return bad("a whole number, 0 or more")
		}
		if v.OverflowUint(x) {
			return bad(fmt.Sprintf("at most %d", uint64(1)<<v.Type().Bits()-1))
		}
		v.SetUint(x)
	case reflect.Float32, reflect.Float64:
		x, err := strconv.ParseFloat(s, 64)
		if err != nil || x != x || x > 1e300 || x < -1e300 || strings.ContainsAny(s, "xX_") {
			return bad("a number")
		}
		v.SetFloat(x)
	default:
		l.fail(n, path, "", "%s cannot be set from a file", last(path))
		return false
	}
	return true
}

// leadingZero finds 0403: octal to some, decimal to others.
func leadingZero(s string) bool {
	s = strings.TrimLeft(s, "+-")
	return len(s) > 1 && s[0] == '0' && s[1] >= '0' && s[1] <= '9'
}

func (l *loader) bindBool(n *node, v reflect.Value, path, s string) bool {
	switch s {
	case "true", "false":
		v.SetBool(s == "true")
		return true
	}
	hint := ""
	switch strings.ToLower(s) {
	case "yes", "on", "y", "true", "1", "enabled":
		hint = "did you mean true?"
	case "no", "off", "n", "false", "0", "disabled":
		hint = "did you mean false?"
	}
	l.fail(n, path, hint, "%s must be true or false, not %q", last(path), shorten(s))
	return false
}

// bindText hands the text to a type that reads itself.
func (l *loader) bindText(n *node, v reflect.Value, path string, f field) {
	s, ok := l.text(n, path, f)
	if !ok || !l.inEnum(n, s, path, f) {
		return
	}
	err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(s))
	if err == nil {
		return
	}
	hint := f.example()
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		hint = h.Hint()
	}
	l.fail(n, path, hint, "%s: %v", last(path), err)
}

// bindSecret keeps the value out of every message, and out of the source
// lines shown.
func (l *loader) bindSecret(n *node, v reflect.Value, path string) {
	n.src.secrets = append(n.src.secrets, spansOf(n)...)
	s, ok := l.text(n, path, field{})
	if !ok {
		return
	}
	secret, fault := l.secret(s, filepath.Dir(n.src.name))
	if fault != "" {
		l.fail(n, path, "", "%s", fault)
		return
	}
	v.Set(reflect.ValueOf(secret))
}

// spansOf returns what to star out for a secret: nothing when the text only
// names where the secret is.
func spansOf(n *node) []span {
	named := strings.HasPrefix(n.text, "file:") || strings.HasPrefix(n.text, "credential:") ||
		strings.HasPrefix(n.text, "${") && strings.HasSuffix(n.text, "}") && isEnvName(n.text[2:len(n.text)-1])
	if named {
		return nil
	}
	return []span{{n.line, n.col, n.length}}
}

// inEnum checks a value against the values allowed.
func (l *loader) inEnum(n *node, s, path string, f field) bool {
	if len(f.enum) == 0 || slices.Contains(f.enum, s) {
		return true
	}
	l.fail(n, path, oneOf(s, f.enum), "%s cannot be %q", last(path), shorten(s))
	return false
}

// inBounds checks a number, duration or size against its tags.
func (l *loader) inBounds(n *node, v reflect.Value, path string, f field) {
	for _, b := range []struct {
		tag, word string
		sign      float64
	}{{f.min, "at least", 1}, {f.max, "at most", -1}} {
		if b.tag == "" {
			continue
		}
		limit, got, ok := bound(b.tag, v)
		if ok && (got-limit)*b.sign < 0 {
			l.fail(n, path, "", "%s must be %s %s", last(path), b.word, b.tag)
		}
	}
}

func bound(tag string, v reflect.Value) (limit, got float64, ok bool) {
	switch p := v.Addr().Interface().(type) {
	case *time.Duration:
		d, err := parseDuration(tag)
		return float64(d), float64(*p), err == nil
	case *Size:
		s, err := parseSize(tag)
		return float64(s), float64(*p), err == nil
	}
	limit, err := strconv.ParseFloat(tag, 64)
	if hex, herr := strconv.ParseInt(tag, 0, 64); herr == nil {
		limit, err = float64(hex), nil
	}
	switch {
	case v.CanInt():
		got = float64(v.Int())
	case v.CanUint():
		got = float64(v.Uint())
	case v.CanFloat():
		got = v.Float()
	default:
		return 0, 0, false
	}
	return limit, got, err == nil
}

// plainScalar types an unquoted value as YAML's core schema does.
func plainScalar(s string) any {
	switch s {
	case "true", "false":
		return s == "true"
	}
	if x, err := strconv.ParseInt(s, 0, 64); err == nil && !leadingZero(s) {
		return x
	}
	if x, err := strconv.ParseFloat(s, 64); err == nil && !leadingZero(s) {
		return x
	}
	return s
}
