package config

import (
	"encoding"
	"encoding/json"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// schema is a JSON Schema (draft-07) in the making.
type schema map[string]any

// WriteSchema writes a JSON Schema of the configuration for editors. It knows
// every key and its values; what one key says about another is for Load.
// Numbers and words may be text too: "${NAME}" is filled in later.
func WriteSchema(w io.Writer, t Tables) error {
	s := describe(reflect.TypeFor[Config](), t, 0)
	s["$schema"] = "http://json-schema.org/draft-07/schema#"
	s["title"] = "dunlin.yaml"
	s["patternProperties"] = schema{"^x-": schema{}}
	b, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// describe makes the schema of a type. Every value may be empty, as it is
// while somebody types.
func describe(t reflect.Type, tables Tables, depth int) schema {
	switch {
	case t.Kind() == reflect.Pointer:
		return describe(t.Elem(), tables, depth)
	case depth > 8 || isText(t):
		return schema{}
	}
	switch t.Kind() {
	case reflect.Slice:
		if t.Elem().Kind() != reflect.Struct {
			return schema{}
		}
		return schema{"type": []string{"array", "null"}, "items": describe(t.Elem(), tables, depth+1)}
	case reflect.Map:
		return schema{"type": []string{"object", "null"}, "additionalProperties": describe(t.Elem(), tables, depth+1)}
	case reflect.Struct:
		return object(t, tables, depth)
	}
	return schema{}
}

func isText(t reflect.Type) bool {
	text := reflect.TypeFor[encoding.TextUnmarshaler]()
	return t.Implements(text) || reflect.PointerTo(t).Implements(text) || t == reflect.TypeFor[Secret]() || t == reflect.TypeFor[Rate]() || t == reflect.TypeFor[ByteRate]()
}

// object describes a struct; where its values have a form of their own, the
// loader takes more than the mapping.
func object(t reflect.Type, tables Tables, depth int) schema {
	properties := schema{}
	for _, f := range fieldsOf(t) {
		if f.key == "" || f.list {
			return schema{}
		}
		p := describe(f.typ, tables, depth+1)
		if f.named != "" {
			p = schema{"type": []string{"object", "null"}, "additionalProperties": describe(f.typ.Elem(), tables, depth+1)}
		}
		if f.enum != nil {
			p["examples"] = f.enum
		}
		p["description"] = t.FieldByIndex(f.index).Tag.Get("doc")
		properties[f.key] = p
	}
	s := schema{"type": []string{"object", "null"}, "properties": properties, "additionalProperties": false}
	switch t {
	case reflect.TypeFor[Device]():
		properties["driver"].(schema)["enum"] = slices.Sorted(maps.Keys(tables.Drivers))
		properties["entities"] = schema{"type": []string{"object", "null"}}
		for _, d := range tables.Drivers {
			lend(properties, d.Options(), tables, depth)
		}
	case reflect.TypeFor[Bus]():
		for _, name := range busTypeNames() {
			lend(properties, newBusOptions(name), tables, depth)
		}
	}
	return s
}

// lend adds the keys of options to those of their owner.
func lend(properties schema, options any, tables Tables, depth int) {
	if options == nil {
		return
	}
	more := describe(reflect.TypeOf(options), tables, depth)
	keys, _ := more["properties"].(schema)
	for key, p := range keys {
		if properties[key] == nil {
			properties[key] = p
		}
	}
}

// WriteReference writes a page about every key: what it does, what it may be
// and what it is when it is left out.
func WriteReference(w io.Writer, t Tables) error {
	defaults := map[string]string{}
	for _, s := range Default(t).Flat() {
		if s.Path != "node" && s.Path != "data_dir" && s.Path != "gateway.base" { // these depend on the machine
			defaults[s.Path] = s.Value
		}
	}
	page := "# dunlin.yaml\n\nMade by 'dunlin config reference'.\n"
	section(&page, "", reflect.TypeFor[Config](), defaults, 0, "")
	tell := func(path, doc string, options any) {
		f, defaults := &flattener{}, map[string]string{}
		f.add(reflect.ValueOf(options), path, "")
		for _, s := range f.all {
			if !slices.Contains([]string{"0", "0s", "false", "-Inf", "+Inf"}, s.Value) && !strings.HasSuffix(s.Path, ".address") { // which is written 0x76
				defaults[s.Path] = s.Value
			}
		}
		section(&page, path, reflect.TypeOf(options), defaults, 0, doc)
	}
	tell("devices[].entities.NAME", "", Entity{})
	for _, name := range busTypeNames() {
		tell("bus "+name, "", newBusOptions(name))
	}
	for _, name := range slices.Sorted(maps.Keys(t.Drivers)) {
		d := t.Drivers[name]
		tell("driver "+name, d.Doc, d.Options())
		if e := entityOptions(d); e != nil {
			path := ".entities.NAME"
			if d.EntityList != "" {
				path = "." + d.EntityList + "[]"
			}
			tell("driver "+name+path, "", e)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.Filters)) {
		tell("filter "+name, t.Filters[name].Doc, t.Filters[name].Options())
	}
	_, err := io.WriteString(w, page)
	return err
}

// section writes what a struct is for and its keys, then the sections of those
// below it.
func section(page *string, path string, t reflect.Type, defaults map[string]string, depth int, doc string) {
	t = within(t)
	heading := ""
	if path != "" {
		heading = "\n## " + path + "\n\n"
		if doc != "" {
			heading += doc + "\n\n"
		}
	}
	if t.Kind() != reflect.Struct || depth > 6 {
		*page += heading
		return
	}
	var below []field
	for _, f := range fieldsOf(t) {
		if in := within(f.typ); in.Kind() == reflect.Struct && !isText(in) && len(fieldsOf(in)) > 0 {
			below = append(below, f)
			continue
		}
		line := "- `" + f.key + "`: " + t.FieldByIndex(f.index).Tag.Get("doc")
		if f.enum != nil {
			line += "; " + strings.Join(f.enum, ", ")
		}
		if d := defaults[join(path, f.key)]; d != "" && d != "[]" {
			line += "; default `" + d + "`"
		}
		*page += heading + line + "\n"
		heading = ""
	}
	for _, f := range below {
		p := join(path, f.key)
		switch {
		case f.named != "", f.typ.Kind() == reflect.Map:
			p += ".NAME"
		case f.typ.Kind() == reflect.Slice:
			p += "[]"
		}
		section(page, p, f.typ, defaults, depth+1, t.FieldByIndex(f.index).Tag.Get("doc"))
	}
}

// within is the type of what a value holds in the end.
func within(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	return t
}
