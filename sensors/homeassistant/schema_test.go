package homeassistant_test

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// schema is a JSON Schema with the keywords that the one in testdata uses; any
// other keyword is an error, so that nothing is checked less than it says.
type schema struct {
	root map[string]any
}

func loadSchema(t testing.TB) *schema {
	t.Helper()
	text, err := os.ReadFile("testdata/device-discovery.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	s := &schema{}
	if err := json.Unmarshal(text, &s.root); err != nil {
		t.Fatal(err)
	}
	return s
}

// validate returns what is wrong with a document.
func (s *schema) validate(doc []byte) []string {
	var v any
	if err := json.Unmarshal(doc, &v); err != nil {
		return []string{err.Error()}
	}
	return s.check("$", s.root, v)
}

func (s *schema) check(at string, rules map[string]any, v any) (bad []string) {
	fail := func(format string, args ...any) { bad = append(bad, at+": "+fmt.Sprintf(format, args...)) }
	o, isObject := v.(map[string]any)
	list, isList := v.([]any)
	text, isText := v.(string)
	number, isNumber := v.(float64)
	properties, _ := rules["properties"].(map[string]any)
	for keyword, arg := range rules {
		switch keyword {
		case "$schema", "title", "$defs", "then":
		case "$ref":
			name := strings.TrimPrefix(arg.(string), "#/$defs/")
			bad = append(bad, s.check(at, s.root["$defs"].(map[string]any)[name].(map[string]any), v)...)
		case "type":
			if !isType(arg, v) {
				fail("is no %v: %v", arg, v)
			}
		case "const":
			if !reflect.DeepEqual(arg, v) {
				fail("is not %v: %v", arg, v)
			}
		case "enum":
			if !slices.ContainsFunc(arg.([]any), func(a any) bool { return reflect.DeepEqual(a, v) }) {
				fail("%v is none of %v", v, arg)
			}
		case "required":
			for _, key := range arg.([]any) {
				if _, ok := o[key.(string)]; isObject && !ok {
					fail("lacks %v", key)
				}
			}
		case "properties":
			for key, rule := range properties {
				if p, ok := o[key]; ok {
					bad = append(bad, s.check(at+"."+key, rule.(map[string]any), p)...)
				}
			}
		case "additionalProperties":
			for key, p := range o {
				if _, known := properties[key]; known {
					continue
				}
				if rule, ok := arg.(map[string]any); ok {
					bad = append(bad, s.check(at+"."+key, rule, p)...)
				} else if arg == false {
					fail("%q is not documented", key)
				}
			}
		case "minProperties":
			if isObject && float64(len(o)) < arg.(float64) {
				fail("has %d keys", len(o))
			}
		case "items":
			for i, item := range list {
				bad = append(bad, s.check(fmt.Sprintf("%s[%d]", at, i), arg.(map[string]any), item)...)
			}
		case "minItems":
			if isList && float64(len(list)) < arg.(float64) {
				fail("has %d items", len(list))
			}
		case "minLength":
			if isText && float64(utf8.RuneCountInString(text)) < arg.(float64) {
				fail("%q is too short", text)
			}
		case "pattern":
			if isText && !regexp.MustCompile(arg.(string)).MatchString(text) {
				fail("%q does not match %v", text, arg)
			}
		case "minimum":
			if isNumber && number < arg.(float64) {
				fail("%v is less than %v", number, arg)
			}
		case "allOf":
			for _, rule := range arg.([]any) {
				bad = append(bad, s.check(at, rule.(map[string]any), v)...)
			}
		case "anyOf":
			if !slices.ContainsFunc(arg.([]any), func(rule any) bool { return len(s.check(at, rule.(map[string]any), v)) == 0 }) {
				fail("is none of %v", arg)
			}
		case "oneOf":
			bad = append(bad, s.oneOf(at, arg.([]any), v)...)
		case "if":
			if len(s.check(at, arg.(map[string]any), v)) == 0 {
				bad = append(bad, s.check(at, rules["then"].(map[string]any), v)...)
			}
		default:
			fail("the schema has the keyword %q, which this test does not know", keyword)
		}
	}
	return bad
}

// oneOf wants exactly one of the rules to hold; it tells what the nearest one
// says, the one whose platform fits.
func (s *schema) oneOf(at string, rules []any, v any) (bad []string) {
	held := 0
	for _, rule := range rules {
		b := s.check(at, rule.(map[string]any), v)
		if len(b) == 0 {
			held++
		} else if !slices.ContainsFunc(b, func(m string) bool { return strings.HasPrefix(m, at+".p: ") }) {
			bad = append(bad, b...)
		}
	}
	if held == 1 {
		return nil
	}
	return append(bad, fmt.Sprintf("%s: %d of the alternatives hold", at, held))
}

func isType(want, v any) bool {
	if many, ok := want.([]any); ok {
		return slices.ContainsFunc(many, func(w any) bool { return isType(w, v) })
	}
	switch v := v.(type) {
	case nil:
		return want == "null"
	case bool:
		return want == "boolean"
	case string:
		return want == "string"
	case []any:
		return want == "array"
	case map[string]any:
		return want == "object"
	case float64:
		return want == "number" || want == "integer" && v == float64(int64(v))
	}
	return false
}

// The validator can say no: each document is wrong in one way.
func TestSchemaRefuses(t *testing.T) {
	s := loadSchema(t)
	for _, tracker := range []string{`"source_type":"gps"`, `"json_attributes_topic":"a","source_type":"wifi"`, `"json_attributes_topic":"a","expire_after":9`} {
		if s.validate([]byte(`{"dev":{"ids":["a"]},"o":{"name":"x"},"cmps":{"t":{"p":"device_tracker","unique_id":"u",`+tracker+`}}}`)) == nil {
			t.Errorf("valid: a device_tracker with %s", tracker)
		}
	}
	const good = `{"dev":{"ids":["a"]},"o":{"name":"x"},"cmps":{"t":{"p":"sensor","unique_id":"u","state_topic":"s","device_class":"temperature","unit_of_measurement":"°C","state_class":"measurement"}}}`
	if bad := s.validate([]byte(good)); bad != nil {
		t.Fatal(bad)
	}
	for _, change := range [][2]string{
		{`"o":{"name":"x"},`, ``}, {`"ids":["a"]`, `"ids":[]`}, {`"unique_id":"u",`, ``}, {`"p":"sensor",`, ``}, {`"state_topic":"s"`, `"state_topic":"s/#"`},
		{`"temperature"`, `"temprature"`}, {`"°C"`, `"V"`}, {`"measurement"`, `"total"`}, {`"p":"sensor"`, `"p":"switch"`}, {`"unique_id":"u"`, `"unique_id":7`},
		{`"state_class"`, `"state_klass"`}, {`{"t":{`, `{"t":{"expire_after":0.5,`}, {`"unit_of_measurement":"°C",`, ``},
	} {
		if doc := strings.Replace(good, change[0], change[1], 1); s.validate([]byte(doc)) == nil {
			t.Errorf("valid: %s", doc)
		}
	}
}
