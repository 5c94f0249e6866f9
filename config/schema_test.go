package config

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"slices"
	"strings"
	"testing"
)

// The schema takes what the loader takes, and refuses a key that the loader
// refuses.
func TestSchemaTakesTheExamples(t *testing.T) {
	var text bytes.Buffer
	if err := WriteSchema(&text, Tables{}); err != nil {
		t.Fatal(err)
	}
	var s map[string]any
	if err := json.Unmarshal(text.Bytes(), &s); err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(Examples(), "*.yaml")
	if err != nil || len(names) < 5 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		b, err := fs.ReadFile(Examples(), name)
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range misfits(s, rootOf(t, string(b)), "") {
			if !strings.HasPrefix(fault, "devices[") && !strings.HasPrefix(fault, "buses[") { // drivers lend more keys
				t.Errorf("%s: %s", name, fault)
			}
		}
	}
	for _, text := range []string{"mqqt: {}\n", "mqtt: {limits: {conections: 1}}\n", "bridges: {a: {sever: x}}\n", "mqtt: {listeners: [{bnd: x}]}\n", "mqtt: []\n", "devices: {}\n"} {
		if misfits(s, rootOf(t, text), "") == nil {
			t.Errorf("the schema takes %q", text)
		}
	}
}

func rootOf(t *testing.T, text string) *node {
	t.Helper()
	l := newLoader(Tables{}, noEnv)
	root := l.parseSource("x.yaml", []byte(text), 0)
	if root == nil {
		t.Fatal(l.errs)
	}
	return root
}

// misfits checks what the schemas of this package say, and no more of JSON
// Schema.
func misfits(s map[string]any, n *node, path string) (faults []string) {
	kinds, _ := s["type"].([]any)
	if kinds != nil && !slices.Contains(kinds, any([...]string{"null", "string", "object", "array"}[n.kind])) {
		return []string{path + " is " + n.is()}
	}
	properties, closed := s["properties"].(map[string]any)
	for _, e := range n.entries {
		inner, ok := properties[e.key.text].(map[string]any)
		if !ok {
			inner, ok = s["additionalProperties"].(map[string]any)
		}
		switch {
		case ok:
			faults = append(faults, misfits(inner, e.value, join(path, e.key.text))...)
		case closed && !strings.HasPrefix(e.key.text, "x-"):
			faults = append(faults, join(path, e.key.text)+" is unknown")
		}
	}
	items, _ := s["items"].(map[string]any)
	for i, it := range n.items {
		if items != nil {
			faults = append(faults, misfits(items, it, index(path, i))...)
		}
	}
	return faults
}
