package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tree writes files into a directory and returns it.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestIncludedFilesMerge(t *testing.T) {
	dir := tree(t, map[string]string{
		"dunlin.yaml":      "node: a\ninclude: [conf.d/*.yaml]\nmqtt: {sys_interval: 1s, overlap: each}\ndevices: [{name: one, driver: system}]\nauth: {users_file: users}\n",
		"conf.d/20.yaml":   "node: c\ndevices: [{name: three, driver: system}]\n",
		"conf.d/10.yaml":   "node: b\nmqtt: {sys_interval: 2s}\ndevices: [{name: two, driver: system}]\ndata_dir: data\nstore:\n",
		"conf.d/ignored.x": "node: [\n",
	})
	c, errs := LoadFile(filepath.Join(dir, "dunlin.yaml"), testTables(), environment())
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if c.Node != "c" || c.MQTT.SysInterval.Seconds() != 2 || c.MQTT.Overlap != "each" {
		t.Errorf("node %s, sys_interval %v, overlap %s", c.Node, c.MQTT.SysInterval, c.MQTT.Overlap)
	}
	if len(c.Devices) != 3 || c.Devices[0].Name != "one" || c.Devices[1].Name != "two" || c.Devices[2].Name != "three" {
		t.Errorf("devices = %+v: lists append in name order", c.Devices)
	}
	if string(c.Auth.UsersFile) != filepath.Join(dir, "users") || string(c.DataDir) != filepath.Join(dir, "conf.d", "data") {
		t.Errorf("%s %s: paths are relative to the file that names them", c.Auth.UsersFile, c.DataDir)
	}
}

func TestIncludeOfADirectory(t *testing.T) {
	dir := tree(t, map[string]string{"dunlin.yaml": "include: [conf.d]\n", "conf.d/10.yaml": "node: b\n"})
	_, errs := LoadFile(filepath.Join(dir, "dunlin.yaml"), testTables(), environment())
	if len(errs) != 1 || errs[0].Line != 1 || errs[0].Msg != `included file "conf.d" is a directory` || errs[0].Hint != "name its files: conf.d/*.yaml" {
		t.Error(errs)
	}
	_, errs = LoadFile(dir, testTables(), environment())
	if len(errs) != 1 || errs[0].Msg != "cannot read the file: it is a directory" {
		t.Error(errs)
	}
}

func TestPositionsKeepTheirFile(t *testing.T) {
	dir := tree(t, map[string]string{
		"dunlin.yaml":    "include: [conf.d/*.yaml, absent.yaml]\ndevices: [{name: one, driver: system}]\nbogus: 1\n",
		"conf.d/10.yaml": "\ndevices: [{name: one, driver: system}, {name: two, driver: systen}]\n",
		"conf.d/20.yaml": "include: [x]\nnode: *\n",
		"conf.d/30.yaml": "- a\n",
	})
	_, errs := LoadFile(filepath.Join(dir, "dunlin.yaml"), testTables(), environment())
	got := strings.ReplaceAll(errs.Error(), dir+string(filepath.Separator), "")
	want := `dunlin.yaml:1:26: error: included file "absent.yaml" does not exist
dunlin.yaml:3:1: error: unknown key "bogus"
conf.d/10.yaml:2:18: error: device "one" is here twice
conf.d/10.yaml:2:60: error: there is no driver "systen"
conf.d/20.yaml:1:1: error: an included file cannot include others
conf.d/20.yaml:2:7: error: "*" cannot start an unquoted value in YAML
conf.d/30.yaml:1:1: error: expected a mapping (key: value), found a list`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestAFileThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{filepath.Join(dir, "none.yaml"), dir} {
		c, errs := LoadFile(path, testTables(), environment())
		if c != nil || len(errs) != 1 || !strings.HasPrefix(errs[0].Error(), path+": error: cannot read the file: ") {
			t.Errorf("%s: %v", path, errs)
		}
	}
}
