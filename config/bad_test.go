package config

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files of this package")

// Each small file holds one mistake; its first line says which and where.
func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		if name == "all" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c, errs := Load(name+".yaml", src, testTables(), environment())
			if c != nil {
				t.Fatal("the file was accepted")
			}
			var got []string
			for _, e := range errs {
				got = append(got, fmt.Sprintf("# %d:%d: %s", e.Line, e.Column, e.Msg))
			}
			first, rest, _ := strings.Cut(string(src), "\n")
			if *update {
				if err := os.WriteFile(file, []byte(strings.Join(got, " AND ")+"\n"+rest), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if strings.Join(got, "\n") != first {
				t.Errorf("got  %s\nwant %s", strings.Join(got, "\n     "), first)
			}
		})
	}
}

// A file with many mistakes gets one report with all of them, in order.
func TestAllMistakesInOneRun(t *testing.T) {
	src, err := os.ReadFile("testdata/bad/all.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, errs := Load("all.yaml", src, testTables(), environment())
	var b strings.Builder
	if err := errs.Print(&b); err != nil {
		t.Fatal(err)
	}
	b.WriteString(errs.Summary("all.yaml") + "\n")
	const golden = "testdata/bad/all.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}
