package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/dunlin-mqtt/dunlin"

// mayImport says what each package imports of ours; a package or an import that
// is missing here fails the test, and so does one that is here in vain: the map
// is the architecture. "..." at the end means all below.
var mayImport = map[string][]string{
	"broker/mqtt":              {},
	"broker/topic":             {"broker/mqtt"},
	"broker/packet":            {"broker/mqtt"},
	"broker/internal/store":    {"broker/mqtt", "broker/topic", "broker/internal/overflow", "broker/internal/store/disk", "broker/internal/store/journal"},
	"broker/internal/session":  {"broker/mqtt", "broker/packet", "broker/topic", "broker/internal/overflow"},
	"broker/internal/router":   {"broker/mqtt", "broker/topic", "broker/packet", "broker/internal/store", "broker/internal/memory"},
	"broker/internal/conn":     {"broker/mqtt", "broker/packet", "broker/topic", "broker/internal/session", "broker/internal/listen", "broker/internal/auth", "broker/internal/memory"},
	"broker/internal/memory":   {},
	"broker/internal/overflow": {},
	"broker/internal/guard":    {},
	"broker/internal/auth":     {"broker/mqtt", "broker/topic"},
	"broker/websocket":         {},
	"broker/internal/listen":   {"broker/websocket"},
	"broker":                   {"broker/..."},
	"broker/brokertest":        {"broker", "broker/internal/listen", "broker/mqtt", "broker/packet"},
	"config":                   {"broker/topic", "config/yaml"},
	"bridge":                   {"broker/mqtt", "broker/topic", "broker/packet", "broker/websocket"},
	"bridge/bridgetest":        {"bridge/freeport"},
	"bridge/freeport":          {},
	"serial":                   {},
	"serial/serialtest":        {},
	"sensors":                  {"broker/mqtt", "broker/topic", "serial", "serial/modbus"},
	"sensors/bus":              {"sensors", "serial", "serial/modbus"},
	"sensors/chipsim":          {},
	"sensors/drivers":          {"sensors", "sensors/drivers/pattern", "serial", "serial/modbus"},
	"cmd/dunlin":               {"..."},
	"cmd/dunlin/internal/...":  {"broker/mqtt", "broker/packet", "broker/topic"},
	"scripts/soak":             {"broker/mqtt", "broker/packet", "broker/topic", "serial/modbus/modbustest", "serial/serialtest"},
	"scripts/board":            {"scripts/board/initramfs"},
	"scripts/...":              {},

	"scripts/powercut":       {"scripts/board/initramfs", "scripts/powercut/oracle"},
	"scripts/powercut/guest": {"scripts/powercut/oracle"},

	"cmd/dunlin/internal/api": {"broker", "broker/mqtt", "bridge", "sensors", "config", "cmd/dunlin/internal/http1", "cmd/dunlin/internal/history", "cmd/dunlin/internal/lines", "cmd/dunlin/internal/page", "cmd/dunlin/internal/plain", "cmd/dunlin/internal/scan"},

	"cmd/dunlin/internal/scan": {"sensors", "sensors/bus", "serial", "serial/modbus"},

	"cmd/dunlin/internal/flags": {"config"},

	"cmd/dunlin/internal/bench": {"broker/mqtt", "broker/packet", "cmd/dunlin/internal/client"},

	"bridge/cloudtest": {"bridge/freeport", "broker/mqtt", "broker/packet", "broker/topic", "broker/websocket"},

	"broker/internal/store/disk":     {},
	"broker/internal/store/disktest": {"broker/internal/store/disk"},
	"broker/internal/store/journal":  {"broker/internal/store/disk"},

	"config/yaml": {},

	"sensors/drivers/pattern": {},
	"sensors/totals":          {},
	"sensors/homeassistant":   {"sensors", "broker/mqtt"},
	"sensors/sparkplug":       {"sensors", "broker/mqtt"},

	"sensors/sparkplug/sparkplugtest": {"broker/mqtt"},

	"serial/examples/thermometer": {"serial", "broker/mqtt", "broker/packet"},

	"serial/modbus":            {},
	"serial/modbus/modbustest": {},
}

// doors says which packages may import a dependency: one dependency, one door.
var doors = map[string][]string{
	"periph.io/x/conn":    {"sensors", "sensors/bus", "sensors/chipsim", "sensors/drivers", "cmd/dunlin", "cmd/dunlin/internal/scan"},
	"go.bug.st/serial":    {"serial"},
	"golang.org/x/crypto": {"broker/internal/auth"},
	"golang.org/x/sys":    {"serial", "serial/serialtest", "sensors/bus", "sensors/drivers", "broker/internal/listen", "broker/internal/store/disk", "cmd/dunlin", "scripts/board/guest", "scripts/powercut/guest"},
}

type goPackage struct {
	ImportPath, Dir, Doc string
	GoFiles, Imports     []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Doc,GoFiles,Imports", module+"/...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// covers reports whether pattern, which may end in "...", names path.
func covers(pattern, path string) bool {
	if below, ok := strings.CutSuffix(pattern, "..."); ok {
		return strings.HasPrefix(path+"/", below)
	}
	return pattern == path
}

func rule(path string) ([]string, bool) {
	if r, ok := mayImport[path]; ok {
		return r, true
	}
	for pattern, r := range mayImport {
		if covers(pattern, path) {
			return r, true
		}
	}
	return nil, false
}

func TestImportsPointOneWay(t *testing.T) {
	idle := map[[2]string]bool{}
	for path, allowed := range mayImport {
		for _, imp := range allowed {
			if !strings.HasSuffix(path, "...") && !strings.HasSuffix(imp, "...") {
				idle[[2]string{path, imp}] = true
			}
		}
	}
	for _, p := range packages(t) {
		path := strings.TrimPrefix(p.ImportPath, module+"/")
		allowed, known := rule(path)
		if !known {
			t.Errorf("package %s is not on the map: say in mayImport what it may import", path)
			continue
		}
		for _, imp := range p.Imports {
			ours, ok := strings.CutPrefix(imp, module+"/")
			delete(idle, [2]string{path, ours})
			if ok && !slices.ContainsFunc(allowed, func(a string) bool { return covers(a, ours) }) {
				t.Errorf("%s imports %s, which its row of mayImport does not allow", path, ours)
			}
		}
	}
	for pair := range idle {
		t.Errorf("%s does not import %s any more: take it out of mayImport", pair[0], pair[1])
	}
}

func TestOneDependencyOneDoor(t *testing.T) {
	for _, p := range packages(t) {
		path := strings.TrimPrefix(p.ImportPath, module+"/")
		for _, imp := range p.Imports {
			if first, _, _ := strings.Cut(imp, "/"); !strings.Contains(first, ".") || strings.HasPrefix(imp, module) {
				continue
			}
			if !throughDoor(imp, path) {
				t.Errorf("%s imports %s: see doors", path, imp)
			}
		}
	}
}

func throughDoor(imp, path string) bool {
	for dep, allowed := range doors {
		if imp == dep || strings.HasPrefix(imp, dep+"/") {
			return slices.Contains(allowed, path)
		}
	}
	return false
}

func TestEveryPackageHasDoc(t *testing.T) {
	for _, p := range packages(t) {
		if _, err := os.Stat(filepath.Join(p.Dir, "doc.go")); err != nil {
			t.Errorf("%s has no doc.go", p.ImportPath)
		}
		if len(p.GoFiles) > 0 && p.Doc == "" {
			t.Errorf("%s: doc.go says nothing", p.ImportPath)
		}
	}
}

func TestNoFileIsADrawer(t *testing.T) {
	forbidden := []string{"utils", "util", "common", "helpers", "types", "models", "interfaces", "misc"}
	for _, p := range packages(t) {
		if slices.Contains(forbidden, filepath.Base(p.Dir)) {
			t.Errorf("package %s: a function without a home belongs in the file that calls it", p.ImportPath)
		}
		for _, f := range p.GoFiles {
			if slices.Contains(forbidden, strings.TrimSuffix(f, ".go")) {
				t.Errorf("%s/%s is a drawer for leftovers", p.ImportPath, f)
			}
			src, err := os.ReadFile(filepath.Join(p.Dir, f))
			if err != nil {
				t.Fatal(err)
			}
			if lines := strings.Count(string(src), "\n"); lines > 500 {
				t.Errorf("%s/%s has %d lines: is it one thing?", p.ImportPath, f, lines)
			}
		}
	}
}
