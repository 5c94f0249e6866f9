package config

import (
	"strings"
	"testing"
)

// A device whose driver is misspelt is told so, and nothing about the keys of
// a driver that is not known.
func TestMisspeltDriver(t *testing.T) {
	_, errs := Load("a.yaml", []byte("devices: [{name: a, diver: system, line: 4}]"), testTables(), environment())
	if len(errs) != 2 || errs[0].Msg != `missing key "driver" in devices[0]` || errs[1].Hint != "did you mean driver?" {
		t.Error(errs)
	}
}

// Who has the words of another gateway in the file is told ours, where they
// can be.
func TestWordsOfOthers(t *testing.T) {
	var l loader
	for _, tc := range []struct {
		path, key string
		names     []string
		want      string
	}{
		{"gateway", "id", []string{"base", "payload"}, "the gateway's name is node, at the top of the file; its topics begin with base"},
		{"gateway", "discovery", []string{"base"}, "homeassistant: {discovery: true}"},
		{"devices[0]", "id", []string{"name", "driver"}, "did you mean name?"},
		{"devices[0]", "max_line", []string{"format", "max_length"}, "did you mean max_length?"},
		{"devices[0]", "max_line", []string{"format"}, "known keys: format"},
		{"devices[0]", "safe_duty", []string{"on_stop"}, "on_stop and failsafe: {state: ...}, in percent"},
		{"buses[0].recover", "line_scl", []string{"scl", "sda"}, "did you mean scl?"},
		{"buses[1]", "on", []string{"address", "bus"}, "did you mean bus?"},
		{"devices[1].struct[2]", "device_class", []string{"name"}, "under entities, with the same name: entities: {NAME: {device_class: ...}}"},
		{"devices[0].entities.uptime", "scale", []string{"path"}, "filters: [{multiply: 0.001}]"},
		{"devices[0]", "update_interval", []string{"interval"}, "did you mean interval?"},
		{"mqtt", "discovery", []string{"listeners"}, "known keys: listeners"},
		{"devices[0]", "- name", []string{"name"}, "line this item up with those above it"},
		{"devices[0]", "dirver", []string{"driver"}, "did you mean driver?"},
		{"devices[0]", "rdierv", []string{"driver"}, "known keys: driver"},
		{"history", "temperature", []string{"tmperatrue"}, "did you mean tmperatrue?"},
		{"history", "temperature", []string{"tmeratrue"}, "known keys: tmeratrue"},
		{"include", "x", nil, "no key is known here"},
		{"http", "zz", strings.Split("a,b,c,d,e,f,g,h,i,j,k,l,m,n", ","), "known keys: a, b, c, d, e, f, g, h, i, j, k, l, ..."},
	} {
		if got := l.suggest(tc.path, tc.key, tc.names); got != tc.want {
			t.Errorf("%s in %s: %q, want %q", tc.key, tc.path, got, tc.want)
		}
	}
	for _, tc := range []struct{ word, want string }{
		{"off", "did you mean inactive? (one of active, inactive)"}, {"on", "did you mean active? (one of active, inactive)"}, {"up", "one of active, inactive"},
	} {
		if got := oneOf(tc.word, []string{"active", "inactive"}); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.word, got, tc.want)
		}
	}
}

// A hint says what to write, and nothing that would be wrong as well.
func TestHints(t *testing.T) {
	for text, want := range map[string]string{
		"bridges: {servers: [a]}":  "give what it belongs to a name: bridges: {NAME: {servers: ...}}",
		"bridges: [{name: cloud}]": "each begins with its name, without '- ': NAME: {...}",
		"devices: [{name: a, driver: system, entities: {filters: [{delta: 1}]}}]": "give what it belongs to a name: entities: {NAME: {filters: ...}}",
		"mqtt: {overlap:once}":                                                             "write overlap: and a space before the value",
		"mqtt: {sys_interval: 5}":                                                          "did you mean 5s?",
		"mqtt: {sys_interval: 99999999999999999999}":                                       "for example sys_interval: 10s",
		"mqtt: {limits: {packet_size: 99999999999999999999}}":                              "for example packet_size: 256KiB",
		"auth: {rules: [{role: operators, publish: [a]}]}":                                 "there are none",
		"buses: [{id: , type: i2c, path: /dev/i2c-1}, {id: m, type: tca9548a, bus: i2c1}]": `for example id: i2c1|one of m`,
	} {
		_, errs := Load("a.yaml", []byte(text), testTables(), environment())
		var got []string
		for _, e := range errs {
			got = append(got, e.Hint)
		}
		if !strings.Contains(strings.Join(got, "|"), want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
