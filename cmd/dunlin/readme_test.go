package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dunlin-mqtt/dunlin/config"
)

// readmeMistakes is the file behind the README's example of error messages.
const readmeMistakes = `node: barn-1
mqtt:
  lisners: [{bind: ":1883"}]
devices:
  - {name: climate, driver: bme208, bus: i2c1}
  - {name: host, driver: system, interval: 30}
bridges:
  cloud:
    servers: ["mqtts://broker.example:8883"]
    out: [{from: dunlin/#/x}]
`

func TestReadmeShowsRealErrors(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	if err := os.WriteFile("dunlin.yaml", []byte(readmeMistakes), 0o600); err != nil {
		t.Fatal(err)
	}
	r := dunlin(t, "", "check", "dunlin.yaml")
	if r.code != exitConfig {
		t.Errorf("exit code %d, want %d", r.code, exitConfig)
	}
	want := "```\n$ dunlin check dunlin.yaml\n" + r.err + "```\n"
	if !strings.Contains(string(readme), want) {
		t.Errorf("the README does not show what the program prints:\n%s", r.err)
	}
}

func TestReadmeConfigurationRuns(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "```yaml\n")
	text, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("no configuration in the README")
	}
	checkRuns(t, []byte(text))
}

func TestTablesCanBeBound(t *testing.T) {
	if err := tables().Check(); err != nil {
		t.Error(err)
	}
}

// Every example loads with the real drivers; all but complete.yaml, which
// shows every key there is, run with this version and without a warning.
func TestExamplesRun(t *testing.T) {
	names, err := fs.Glob(config.Examples(), "*.yaml")
	if err != nil || len(names) < 5 {
		t.Fatalf("examples %v, %v", names, err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := fs.ReadFile(config.Examples(), name)
			if err != nil {
				t.Fatal(err)
			}
			if name != "complete.yaml" {
				checkRuns(t, text)
				return
			}
			if _, errs := config.Load(name, text, tables(), os.LookupEnv); len(errs) > 0 {
				t.Error(errs)
			}
		})
	}
}

func checkRuns(t *testing.T, text []byte) {
	t.Helper()
	cfg, errs := config.Load("dunlin.yaml", text, tables(), os.LookupEnv)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	_, mistakes := makeDevices(cfg)
	for _, found := range []config.Errors{mistakes, cfg.Runnable()} {
		if len(found) > 0 {
			t.Error(found)
		}
	}
}

// The normative list of mistakes is told whole, with places and cures, by the
// program with its real drivers.
func TestAllMistakesAtOnce(t *testing.T) {
	want, err := os.ReadFile("../../config/testdata/bad/all.golden")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir("../../config/testdata/bad")
	r := dunlin(t, "", "check", "all.yaml")
	if got := strings.Count(r.err, ": error: "); got != 14 || r.code != exitConfig {
		t.Errorf("%d mistakes and exit code %d, want 14 and %d", got, r.code, exitConfig)
	}
	for line := range strings.Lines(string(want)) {
		if strings.Contains(line, ": error: ") && !strings.Contains(r.err, line) {
			t.Errorf("missing: %s", line)
		}
	}
}
