package config

import (
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// loader carries one load.
type loader struct {
	tables Tables
	env    func(string) (string, bool)
	errs   Errors
	// keys are all keys known anywhere, with the paths that own them.
	keys map[string][]string
	// fields are those of the structs that were seen: devices have the same.
	fields map[reflect.Type][]field
	root   *node
	cfg    *Config
	// sources are the texts that root was made of, in the order of merging.
	sources []*source
}

// defaulter sets the defaults of a new struct: a listener, a bridge.
type defaulter interface{ setDefaults() }

// selfBinder is a struct whose keys depend on one of its values: a device on
// its driver.
type selfBinder interface {
	bind(l *loader, n *node, path string)
}

// validator is implemented by option structs, ours and drivers'. report takes
// a path relative to the struct.
type validator interface {
	Validate(report func(path, msg string))
}

// fail adds a finding at a node.
func (l *loader) fail(n *node, path, hint, format string, args ...any) {
	e := n.at()
	e.Path, e.Hint, e.Msg = path, hint, fmt.Sprintf(format, args...)
	l.errs = append(l.errs, e)
}

// failAt adds a finding at a path, or at the owner of what is missing there.
func (l *loader) failAt(path, hint, format string, args ...any) {
	l.fail(l.root.find(path), path, hint, format, args...)
}

// failed reports whether something at or below path was found wrong since the
// load had mark findings.
func (l *loader) failed(mark int, path string) bool {
	return slices.ContainsFunc(l.errs[mark:], func(e Error) bool {
		rest, below := strings.CutPrefix(e.Path, path)
		return below && (rest == "" || path == "" || rest[0] == '.' || rest[0] == '[')
	})
}

// bind puts the value of n into v.
func (l *loader) bind(n *node, v reflect.Value, path string, f field) {
	if v.Kind() == reflect.Pointer {
		if n.kind == null {
			return // an empty section is an absent one
		}
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
			setDefaults(v.Elem())
		}
		l.bind(n, v.Elem(), path, f)
		return
	}
	if b, ok := v.Addr().Interface().(selfBinder); ok {
		b.bind(l, n, path)
		return
	}
	if n.kind == null {
		l.bindNull(n, v, path, f)
		return
	}
	if isScalarType(v.Type()) {
		l.bindScalar(n, v, path, f)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		l.bindStruct(n, v, path, f)
	case reflect.Map:
		l.bindMap(n, v, path, f)
	case reflect.Slice:
		l.bindSlice(n, v, path, f)
	case reflect.Interface:
		if v.NumMethod() == 0 {
			v.Set(reflect.ValueOf(l.plain(n, path)))
			return
		}
		l.fail(n, path, "", "%s cannot be set from a file", last(path))
	default:
		l.bindScalar(n, v, path, f)
	}
}

// isScalarType reports whether a type is written as one value only.
func isScalarType(t reflect.Type) bool {
	switch t {
	case reflect.TypeFor[time.Duration](), reflect.TypeFor[Rate](), reflect.TypeFor[ByteRate](), reflect.TypeFor[Secret]():
		return true
	}
	_, text := reflect.New(t).Interface().(encoding.TextUnmarshaler)
	return text && t.Kind() != reflect.Struct && t.Kind() != reflect.Slice && t.Kind() != reflect.Map
}

func (l *loader) bindNull(n *node, v reflect.Value, path string, f field) {
	switch v.Kind() {
	case reflect.Struct:
		if !isScalarType(v.Type()) {
			if len(f.key) > 0 || f.named != "" {
				l.bindMapping(n.place(mapping), path, shared{}, v)
			}
			return
		}
	case reflect.Map, reflect.Slice, reflect.Interface:
		return
	}
	if strings.HasPrefix(n.text, "#") {
		value, _, _ := strings.Cut(n.text[1:], " ")
		l.fail(n, path, "quote the value: '#"+value+"'", "empty value: '#' starts a comment here")
		if v.Type() == reflect.TypeFor[TopicFilter]() || v.Kind() == reflect.String && len(f.tmpl) > 0 {
			l.errs[len(l.errs)-1].Hint = "quote the topic filter: '#" + value + "'"
		}
		return
	}
	l.fail(n, path, f.example(), "%s has no value", last(path))
}

// bindStruct takes the mapping form, the list form where a field is tagged
// for it, and the scalar form where the type can read text.
func (l *loader) bindStruct(n *node, v reflect.Value, path string, f field) {
	if n.kind == scalar {
		if _, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
			mark := len(l.errs)
			if l.bindText(n, v, path, f); len(l.errs) == mark {
				l.validate(v, path, mark)
			}
			return
		}
	}
	if n.kind == list {
		for _, lf := range l.fieldsOf(v.Type()) {
			if lf.list {
				mark := len(l.errs)
				l.bind(n, v.FieldByIndex(lf.index), path, lf)
				l.validate(v, path, mark)
				return
			}
		}
	}
	if n.kind != mapping {
		l.fail(n, path, f.example(), "expected a mapping (key: value), found %s", n.is())
		return
	}
	l.bindMapping(n, path, shared{}, v)
}

// shared says which keys of a mapping are not bindMapping's business.
type shared struct {
	handled []string // keys that the caller binds
	lenient bool     // unknown keys are left alone: their owner is not known
}

// bindMapping puts a mapping into one or more structs that share its keys.
func (l *loader) bindMapping(n *node, path string, s shared, parts ...reflect.Value) {
	mark := len(l.errs)
	names := slices.Clone(s.handled)
	var missing []string
	for _, v := range parts {
		for _, f := range l.fieldsOf(v.Type()) {
			if f.list {
				continue
			}
			names = append(names, f.key)
			e, ok := n.get(f.key)
			at, value := join(path, f.key), v.FieldByIndex(f.index)
			if ok {
				l.bind(e.value, value, at, f)
			} else if f.req {
				missing = append(missing, f.key)
				l.fail(n, at, f.example(), "missing key %q%s", f.key, in(path))
			}
			if ok && f.req && value.Kind() == reflect.String && value.Len() == 0 && !l.failed(mark, at) {
				l.fail(e.value, at, f.example(), "%s is empty", f.key)
			}
		}
	}
	for _, e := range n.entries {
		key := e.key.text
		if s.lenient && ours(key, missing) == "" && nearest(key, missing, (len(key)+1)/3) == "" {
			continue
		}
		word := keyWord(key)
		if slices.Contains(names, word) && word != key {
			l.fail(e.key, join(path, word), "write "+word+": and a space before the value", "key %q and its value are one word%s", word, in(path))
		} else if !slices.Contains(names, key) && !(path == "" && strings.HasPrefix(key, "x-")) {
			l.fail(e.key, join(path, word), l.suggest(path, word, names), "unknown key %q%s", shorten(word), in(path))
		}
	}
	for _, v := range parts {
		l.validate(v, path, mark)
	}
}

// validate lets a struct check itself. What it says about a key that was
// already found wrong would only repeat that.
func (l *loader) validate(v reflect.Value, path string, mark int) {
	check, ok := v.Addr().Interface().(validator)
	if !ok {
		return
	}
	check.Validate(func(rel, msg string) {
		p := join(path, rel)
		if l.failed(mark, p) {
			return
		}
		if rel != "" || path != "" && !strings.HasSuffix(path, "]") {
			msg = last(p) + ": " + msg
		}
		l.failAt(p, "", "%s", msg)
	})
}

// bindMap keeps the defaults of keys that the file does not name.
func (l *loader) bindMap(n *node, v reflect.Value, path string, f field) {
	if n.kind != mapping || v.Type().Key().Kind() != reflect.String {
		l.fail(n, path, f.example(), "expected a mapping (name: value), found %s", n.is())
		return
	}
	out := reflect.MakeMap(v.Type())
	if v.Len() > 0 {
		for it := v.MapRange(); it.Next(); {
			out.SetMapIndex(it.Key(), it.Value())
		}
	}
	if l.nameless(n, path, v.Type().Elem()) {
		return
	}
	for _, e := range n.entries {
		el := reflect.New(v.Type().Elem()).Elem()
		setDefaults(el)
		l.bind(e.value, el, join(path, e.key.text), f.element(e.key.text))
		out.SetMapIndex(reflect.ValueOf(e.key.text).Convert(v.Type().Key()), el)
	}
	v.Set(out)
}

// nameless reports that what stands in the place of names are the keys of one
// of the things that are named there.
func (l *loader) nameless(n *node, path string, things ...reflect.Type) bool {
	for _, e := range n.entries {
		for _, t := range things {
			if t.Kind() != reflect.Struct || e.value.kind != scalar && e.value.kind != list {
				continue
			}
			for _, f := range l.fieldsOf(t) {
				if key, names := e.key.text, last(path); f.key == key {
					l.fail(e.key, path, "give what it belongs to a name: "+names+": {NAME: {"+key+": ...}}", "%s stands where %s has names", key, names)
					return true
				}
			}
		}
	}
	return false
}

// element returns the description of one element of a map or slice.
func (f field) element(key string) field {
	return field{key: key, enum: f.enum, min: f.min, max: f.max, also: f.also, tmpl: f.tmpl}
}

// bindSlice takes a list, one plain value for a list of texts, and a mapping
// for a list of named structs.
func (l *loader) bindSlice(n *node, v reflect.Value, path string, f field) {
	et := v.Type().Elem()
	out := reflect.MakeSlice(v.Type(), 0, len(n.items)+len(n.entries))
	add := func(n *node, path string, f field, name string) {
		el := reflect.New(et).Elem()
		setDefaults(el)
		if name != "" {
			el.FieldByName(name).SetString(f.key)
		}
		l.bind(n, el, path, f)
		out = reflect.Append(out, el)
	}
	switch {
	case f.named != "" && n.kind == mapping && l.nameless(n, path, et):
		return
	case f.named != "" && n.kind == mapping:
		for _, e := range n.entries {
			el := f.element(e.key.text)
			el.named = f.named
			add(e.value, join(path, e.key.text), el, f.named)
		}
	case f.named != "":
		l.fail(n, path, "each begins with its name, without '- ': NAME: {...}", "expected named entries (name: ...), found %s", n.is())
		return
	case n.kind == list:
		for i, it := range n.items {
			add(it, index(path, i), f.element(f.key), "")
		}
	case n.kind == scalar && (et.Kind() == reflect.String || isScalarType(et)):
		add(n, path, f.element(f.key), "")
	default:
		l.fail(n, path, "start each item with '- ', or write [a, b]", "expected a list (- item), found %s", n.is())
		return
	}
	v.Set(out)
}

// plain returns the value of a node without a type to fill: for options that
// pass anything on.
func (l *loader) plain(n *node, path string) any {
	switch n.kind {
	case mapping:
		m := map[string]any{}
		for _, e := range n.entries {
			m[e.key.text] = l.plain(e.value, join(path, e.key.text))
		}
		return m
	case list:
		s := make([]any, 0, len(n.items))
		for i, it := range n.items {
			s = append(s, l.plain(it, index(path, i)))
		}
		return s
	case scalar:
		s, ok := l.text(n, path, field{})
		if ok && n.plain {
			return plainScalar(s)
		}
		return s
	}
	return ""
}

func setDefaults(v reflect.Value) {
	if d, ok := v.Addr().Interface().(defaulter); ok {
		d.setDefaults()
	}
}

// in says where something is, for messages.
func in(path string) string {
	if path == "" {
		return ""
	}
	return " in " + path
}

// names returns the sorted names of a table.
func names[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
