package main

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const before = `package main

import "fmt"

type T[K comparable] struct{ k K }

// get counts.
func (*T[K]) get(_ int, names ...string) (n int, err error) {
	return len(names), nil
}

func say(a, b int) { fmt.Println(a + b) }

func main() {
	var t T[string]
	fmt.Println(t.get(1, "x", "y"))
	say(3, 4)
}
`

// Each form is called by its own line of the list, and the old one by none.
func TestJoin(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "main.go")
	if err := os.WriteFile(path, []byte(before), 0o644); err != nil {
		t.Fatal(err)
	}
	text, in, err := join(path, []*mutant{
		{line: 10, old: "len(names)", new: "len(names) + 1"},
		{line: 20, old: "a + b", new: "a - b"},
		{line: 30, old: "a + b", new: "a * b"},
		{line: 40, old: "k K", new: "k, l K"},           // no function
		{line: 50, old: "a, b int", new: "a, b int8"},   // another signature
		{line: 60, old: "not there", new: "not either"}, // no piece
	})
	if err != nil || !slices.Equal(in, []int{10, 20, 30}) {
		t.Fatal(in, err)
	}
	texts := map[string]string{"main.go": text, "bug.go": strings.ReplaceAll(chooser, "%s", "main"), "go.mod": "module x\n\ngo 1.24\n"}
	for name := range maps.Keys(texts) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(texts[name]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("go", "build", "-o", "x", ".")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, text)
	}
	for line, want := range map[string]string{"": "2 <nil>\n7\n", "10": "3 <nil>\n7\n", "20": "2 <nil>\n-1\n", "30": "2 <nil>\n12\n", "40": "2 <nil>\n7\n"} {
		cmd := exec.Command(filepath.Join(dir, "x"))
		cmd.Env = append(os.Environ(), chosen+"="+line)
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != want {
			t.Errorf("%s=%s: %q, %v, want %q", chosen, line, out, err, want)
		}
	}
}

func TestMutantsHaveAPlaceInJointFiles(t *testing.T) {
	for _, list := range []string{"mutants.txt", "crash.txt"} {
		all, err := load(list)
		if err != nil {
			t.Fatal(err)
		}
		_, in, err := joint("../..", t.TempDir(), all)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range all {
			if _, ok := slices.BinarySearch(in, m.line); !ok {
				t.Logf("%s:%d: %s is built on its own: it changes more than the body of one function", list, m.line, m.statement)
			}
		}
		if len(in) < len(all)*9/10 {
			t.Errorf("%s: %d of %d mutants in joint files; building the others takes seconds each", list, len(in), len(all))
		}
	}
}
