package config

import (
	"reflect"
	"strings"
)

// field is one key of a struct, as its tags describe it:
//
//	yaml:"key"      the key; "-" is no key; ",inline" or an embedded struct lends its keys;
//	                ",list" takes the value when it is a list instead of a mapping
//	enum:"a|b"      the values allowed
//	req:"1"         the key must be there
//	ex:"..."        an example for messages
//	min, max:"..."  bounds of a number, duration or size
//	also:"never"    a word that a duration or size takes too
//	tmpl:"node"     the {templates} that the text may hold
//	bus:"modbus"    of a driver's option called bus: the type of bus that it needs
//	named:"Name"    a slice written as a mapping whose keys go into that field
type field struct {
	key                            string
	index                          []int
	typ                            reflect.Type
	list, req                      bool
	enum                           []string
	ex, min, max, also, named, bus string
	tmpl                           []string
}

// fieldsOf is the function, once for each type.
func (l *loader) fieldsOf(t reflect.Type) []field {
	f, ok := l.fields[t]
	if !ok {
		if f = fieldsOf(t); l.fields == nil {
			l.fields = map[reflect.Type][]field{}
		}
		l.fields[t] = f
	}
	return f
}

// fieldsOf returns the keys of a struct type in the order of its fields.
func fieldsOf(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		sf := t.Field(i)
		key, opts, _ := strings.Cut(sf.Tag.Get("yaml"), ",")
		if sf.Type.Kind() == reflect.Struct && (opts == "inline" || sf.Anonymous && key == "") {
			for _, in := range fieldsOf(sf.Type) {
				in.index = append([]int{i}, in.index...)
				out = append(out, in)
			}
			continue
		}
		if !sf.IsExported() || key == "-" || key == "" && opts != "list" {
			continue
		}
		f := field{key: key, index: []int{i}, typ: sf.Type, list: opts == "list", req: sf.Tag.Get("req") != "",
			ex: sf.Tag.Get("ex"), min: sf.Tag.Get("min"), max: sf.Tag.Get("max"), also: sf.Tag.Get("also"), named: sf.Tag.Get("named"), bus: sf.Tag.Get("bus")}
		if e := sf.Tag.Get("enum"); e != "" {
			f.enum = strings.Split(e, "|")
		}
		if t := sf.Tag.Get("tmpl"); t != "" {
			f.tmpl = strings.Split(t, ",")
		}
		out = append(out, f)
	}
	return out
}

// example returns a hint that shows the key with a value.
func (f field) example() string {
	if f.ex == "" {
		return ""
	}
	return "for example " + f.key + ": " + f.ex
}
