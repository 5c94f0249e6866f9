package config

import (
	"encoding"
	"fmt"
	"reflect"
	"sort"
	"strconv"
	"strings"
)

// Setting is one value that is carried out: from the file or a default, with
// environment variables filled in.
type Setting struct {
	// Path names list items by their name where they have one:
	// devices.climate.interval.
	Path  string
	Value string // secrets are ***
	where string // path in the file, "" when it has none of its own
	exact string // tells values apart that look the same
}

// Flat returns every setting by path.
func (c *Config) Flat() []Setting {
	f := &flattener{}
	f.add(reflect.ValueOf(c).Elem(), "", "")
	sort.Slice(f.all, func(i, j int) bool { return f.all[i].Path < f.all[j].Path })
	return f.all
}

// Origin says where the file sets it, as dunlin.yaml:3:9; "" for defaults.
func (c *Config) Origin(s Setting) string { return c.Place(s.where) }

// Place says where the file has a path such as auth.rules[0]; "" if it has not.
func (c *Config) Place(path string) string {
	n := c.root.tree().lookup(path)
	if n == nil || path == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d:%d", n.src.name, n.line, n.col)
}

// Change is one difference between two configurations; Old or New is "" of
// what is only in the other.
type Change struct {
	Path, Old, New string
}

// Changes returns what is different in next, by path.
func (c *Config) Changes(next *Config) (out []Change) {
	before, after := map[string]Setting{}, map[string]bool{}
	for _, s := range c.Flat() {
		before[s.Path] = s
	}
	for _, s := range next.Flat() {
		after[s.Path] = true
		if old := before[s.Path]; old.exact != s.exact {
			out = append(out, Change{s.Path, old.Value, s.Value})
		}
	}
	for path, s := range before {
		if !after[path] {
			out = append(out, Change{path, s.Value, ""})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Path < out[j].Path })
	return out
}

// flattener walks a Config with the same tags that the binder follows.
type flattener struct{ all []Setting }

// add adds what is in v; where is its path in the file.
func (f *flattener) add(v reflect.Value, path, where string) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			f.add(v.Elem(), path, where)
		}
		return
	case reflect.Struct:
		if !isLeaf(v) {
			f.addStruct(v, path, where)
			return
		}
	case reflect.Slice:
		if e := v.Type().Elem().Kind(); e == reflect.Struct || e == reflect.Pointer || e == reflect.Interface {
			seen := map[string]bool{}
			for i := range v.Len() {
				name := nameOf(v.Index(i), i)
				if seen[name] { // as a filter may be used twice
					name = strconv.Itoa(i)
				}
				seen[name] = true
				f.add(v.Index(i), join(path, name), index(where, i))
			}
			return
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			f.add(v.MapIndex(k), join(path, k.String()), join(where, k.String()))
		}
		return
	}
	s := Setting{Path: path, where: where, Value: written(v.Interface())}
	s.exact = s.Value + "\x00"
	if secret, ok := v.Interface().(Secret); ok {
		s.exact = secret.Reveal() + "\x00"
	}
	f.all = append(f.all, s)
}

// addStruct adds the fields: by their key, or, without one, as part of the
// struct itself.
func (f *flattener) addStruct(v reflect.Value, path, where string) {
	t := v.Type()
	for i := range t.NumField() {
		tf := t.Field(i)
		key, option, _ := strings.Cut(tf.Tag.Get("yaml"), ",")
		switch {
		case !tf.IsExported() && !tf.Anonymous:
		case key == "-" && tf.Name == "Entities":
			f.add(v.Field(i), join(path, "entities"), "")
		case key == "-" && tf.Name != "Options" && tf.Name != "Keep":
		case key == "-" || key == "" && (tf.Anonymous || option != ""):
			f.add(v.Field(i), path, where)
		case tf.Tag.Get("named") != "":
			for j := range v.Field(i).Len() {
				item := v.Field(i).Index(j)
				f.add(item, join(path+key, nameOf(item, j)), join(join(where, key), nameOf(item, j)))
			}
		default:
			f.add(v.Field(i), join(path, key), join(where, key))
		}
	}
}

// isLeaf reports whether a struct is one value to its users.
func isLeaf(v reflect.Value) bool {
	switch v.Interface().(type) {
	case fmt.Stringer, encoding.TextMarshaler, Rate, ByteRate:
		return true
	}
	return v.NumField() == 0
}

// nameOf is how people call an item of a list.
func nameOf(v reflect.Value, i int) string {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	if v.Kind() == reflect.Struct {
		for _, field := range []string{"Name", "ID", "Bind"} {
			if name := v.FieldByName(field); name.IsValid() && name.Kind() == reflect.String && name.String() != "" {
				return name.String()
			}
		}
	}
	return strconv.Itoa(i)
}
