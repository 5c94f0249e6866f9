package config

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// TestTreeIsParsedAgain asks for the place of every setting, and for what a
// message about it quotes, before and after the collector had the tree.
func TestTreeIsParsedAgain(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"main.yaml": "node: barn\ninclude: more.yaml\nmqtt: {limits: {connections: 20}}\nbridges:\n  up: {servers: [\"mqtt://192.0.2.1\"], credentials: {username: u, password: hush}, out: [{from: x}]}\n",
		"more.yaml": "# devices\nlog: {level: debug}\nmqtt:\n  limits:\n    sessions: 30\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, errs := LoadFile(filepath.Join(dir, "main.yaml"), testTables(), func(string) (string, bool) { return "", false }, "mqtt.limits.connections=50")
	if errs != nil {
		t.Fatal(errs)
	}
	look := func() string {
		var b bytes.Buffer
		for _, s := range c.Flat() {
			if at := c.Origin(s); at != "" {
				b.WriteString(s.Path + " " + at + "\n")
			}
			e := c.Errorf(s.where, "", "so")
			if err := (Errors{e}).Print(&b); err != nil {
				t.Fatal(err)
			}
		}
		return b.String()
	}
	held := c.root.tree()
	before := look()
	if held != c.root.tree() {
		t.Error("the tree is made anew while somebody holds it")
	}
	runtime.KeepAlive(held)
	held = nil
	runtime.GC()
	if c.root.root.Value() != nil {
		t.Fatal("the tree is still there")
	}
	if after := look(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	if bytes.Contains([]byte(before), []byte("hush")) {
		t.Errorf("the password is shown: %s", before)
	}
	for _, want := range []string{"more.yaml:5:15", "main.yaml:1:7", "--set"} {
		if !bytes.Contains([]byte(before), []byte(want)) {
			t.Errorf("no %s in\n%s", want, before)
		}
	}
}
