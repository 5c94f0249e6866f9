package config

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What would be weaker than it says must not run.
func TestRunnableRefusesWhatItWouldServeWeaker(t *testing.T) {
	for src, place := range map[string]string{
		`mqtt: {listeners: [{bind: ":1883"}]}`: "mqtt.listeners[0].bind",
	} {
		errs := load(t, src).Runnable()
		if len(errs) != 1 || errs[0].Path != place || errs[0].Line != 1 || errs[0].Hint == "" {
			t.Errorf("%s: %v", src, errs)
		}
	}
}

// A listener needs somebody who can prove a name, or the words anonymous: true.
func TestRunnableNeedsSomebody(t *testing.T) {
	for src, ok := range map[string]bool{
		`mqtt: {listeners: [{bind: ":1883"}]}`:                                           false,
		`{mqtt: {listeners: [{bind: ":1883"}]}, auth: {rules: [{user: a, publish: b}]}}`: false,
		`auth: {admins: [a]}`:   false,
		`auth: {users_file: u}`: true,
		`{mqtt: {listeners: [{bind: ":1883"}]}, auth: {users_file: u}}`:        true,
		`{mqtt: {listeners: [{bind: ":1883"}]}, auth: {jwt: {keys: k}}}`:       true,
		`mqtt: {listeners: [{bind: ":1883", users_file: u}]}`:                  true,
		`mqtt: {listeners: [{bind: ":1883", users_file: u}, {bind: ":1884"}]}`: false,
		`{mqtt: {listeners: [{bind: "unix:/s"}]}, auth: {admins: [a]}}`:        true,
		`{mqtt: {listeners: [{bind: "systemd:s"}]}, auth: {admins: [a]}}`:      true,
		`mqtt: {listeners: [{bind: "127.0.0.1:1883"}]}`:                        true,
		`mqtt: {listeners: [{bind: ":1883", anonymous: true}]}`:                true,
	} {
		if errs := load(t, src).Runnable(); (errs == nil) != ok {
			t.Errorf("%s: %v", src, errs)
		}
	}
}

// FuzzLoad: no input makes the loader panic, and every finding lies inside the
// file.
func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	examples, err := fs.Glob(Examples(), "*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range examples {
		b, err := fs.ReadFile(Examples(), name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, s := range []string{"a: &a [*a]", "a: &a {b: 1}\nc: {<<: [*a, *a, 1]}", "{{{{", "- - - -", "? a\n: b", "\xff", "a: |\n  b\n c", "%YAML 1.2\n---\nnode: a"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		c, errs := Load("f.yaml", src, testTables(), environment())
		if (c == nil) != (len(errs) > 0) {
			t.Fatal("neither a configuration nor a reason")
		}
		if c != nil {
			errs = c.Runnable()
		}
		lines := strings.Split(string(src), "\n")
		for _, e := range errs {
			if e.Line < 1 || e.Line > len(lines) || e.Column < 1 || e.Column > len([]rune(lines[e.Line-1]))+1 {
				t.Errorf("%v is not in the file", e)
			}
			if e.Text() == "" || e.Msg == "" {
				t.Error("a finding says nothing")
			}
		}
	})
}
