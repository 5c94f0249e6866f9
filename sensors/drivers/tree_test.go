package drivers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// tree is a machine whose /proc and /sys are files in a directory.
type tree struct {
	fakeHardware
	t    *testing.T
	root string
}

func (h *tree) Root() string { return h.root }

// newTree makes a machine of paths and their content.
func newTree(t *testing.T, files map[string]string) *tree {
	t.Helper()
	h := &tree{t: t, root: t.TempDir()}
	for name, content := range files {
		h.write(name, content)
	}
	return h
}

func (h *tree) write(name, content string) {
	h.t.Helper()
	file := filepath.Join(h.root, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content+"\n"), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

func (h *tree) remove(name string) {
	h.t.Helper()
	if err := os.RemoveAll(filepath.Join(h.root, name)); err != nil {
		h.t.Fatal(err)
	}
}

// link makes one path of the machine lead to another.
func (h *tree) link(name, to string) {
	h.t.Helper()
	file := filepath.Join(h.root, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(h.root, to), file); err != nil {
		h.t.Fatal(err)
	}
}

// broken makes a file one that the kernel reads with EIO.
func (h *tree) broken(name string) {
	h.t.Helper()
	h.remove(name)
	if err := os.Symlink("/proc/self/mem", filepath.Join(h.root, name)); err != nil {
		h.t.Fatal(err)
	}
}

// shows returns the readings of one Read as "name=value unit".
func shows(t *testing.T, d sensors.Driver) []string {
	t.Helper()
	all, err := d.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, r := range all {
		value := fmt.Sprint(r.Value)
		if r.Err != nil {
			value = "!" + string(sensors.ReasonOf(r.Err))
		}
		if r.At.IsZero() {
			t.Errorf("%s has no time", r.Entity)
		}
		lines = append(lines, strings.TrimSpace(r.Entity+"="+value+" "+r.Unit))
	}
	return lines
}

func wantShown(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("read\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func open(t *testing.T, d sensors.Driver, b sensors.Buses) sensors.Driver {
	t.Helper()
	if err := d.Open(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}
