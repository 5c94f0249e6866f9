package store

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disktest"
)

var update = flag.Bool("update", false, "write the files of this format anew; only for a format that was never released")

// The files in testdata/v1 were written by the first version of the format.
// Every later version reads them.
func TestFormat1(t *testing.T) {
	const dir = "testdata/v1"
	if *update {
		writeGolden(t, dir)
	}
	d := disktest.New(1 << 30)
	names, err := filepath.Glob(filepath.Join(dir, "*[0-9a-f]*"))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(name) == "picture.txt" {
			want = strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
			continue
		}
		d.Put(filepath.Base(name), b)
	}
	_, state, report, err := Open(d, Options{})
	if err != nil || report.BadPages > 0 {
		t.Fatalf("%+v, %v", report, err)
	}
	if got := picture(state); !slices.Equal(got, want) {
		t.Errorf("the state is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func writeGolden(t *testing.T, dir string) {
	t.Helper()
	d := disktest.New(1 << 30)
	var after [][]string
	synctest.Test(t, func(t *testing.T) { _, after = run(t, d, 7, 400) })
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, b := range d.Files() {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text := strings.Join(after[len(after)-1], "\n") + "\n"
	if err := os.WriteFile(filepath.Join(dir, "picture.txt"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
