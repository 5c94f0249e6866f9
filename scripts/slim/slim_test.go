package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// build compiles the program under testdata.
func build(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "program")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", name, "./testdata/program")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return name
}

func slimmed(t *testing.T, name string) string {
	t.Helper()
	if err := run([]string{name, name + ".slim"}, nil, nil); err != nil {
		t.Fatal(err)
	}
	return name + ".slim"
}

var (
	arguments = regexp.MustCompile(`\((0x|\{|\.\.\.).*\)$`)
	changing  = regexp.MustCompile(`goroutine \d+|0x[0-9a-f]{6,}| gp=.*| m=\d.*`)
	shortened = regexp.MustCompile(`\[go\.shape[^(]*\]`)
)

// trace leaves out of a stack trace what is another at each run.
func trace(text string) (lines []string) {
	for line := range strings.Lines(text) {
		line = arguments.ReplaceAllString(strings.TrimSuffix(line, "\n"), "(...)")
		lines = append(lines, changing.ReplaceAllString(shortened.ReplaceAllString(line, "[...]"), ""))
	}
	return lines
}

func TestSlimProgramDoesTheSame(t *testing.T) {
	full := build(t)
	slim := slimmed(t, full)
	before, err := exec.Command(full).Output()
	if err != nil {
		t.Fatal(err)
	}
	after, err := exec.Command(slim).Output()
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("%v, it prints\n%swithout lines, and with them\n%s", err, after, before)
	}
	a, _ := os.Stat(full)
	if b, _ := os.Stat(slim); b.Size() > a.Size()*95/100 {
		t.Errorf("%d bytes became %d", a.Size(), b.Size())
	}
}

func TestLinesAreFoundAgain(t *testing.T) {
	full := build(t)
	slim := slimmed(t, full)
	fails := func(name string) string {
		cmd := exec.Command(name, "fail")
		var out bytes.Buffer
		cmd.Stderr = &out
		if cmd.Run() == nil || !strings.Contains(out.String(), "panic: ") {
			t.Fatalf("it did not end in a panic:\n%s", &out)
		}
		return out.String()
	}
	want, bare := trace(fails(full)), fails(slim)
	if strings.Contains(bare, ".go:") || !strings.Contains(bare, "third") {
		t.Errorf("the slim program's trace:\n%s", bare)
	}
	var out bytes.Buffer
	if err := run([]string{"-lines", full}, strings.NewReader(bare), &out); err != nil {
		t.Fatal(err)
	}
	got := trace(out.String())
	if len(got) != len(want) {
		t.Fatalf("%d lines, not %d:\n%s\n%s", len(got), len(want), strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("line %d is %q, not %q", i, got[i], want[i])
		}
	}
}

func TestWhatIsNotKnownIsRefused(t *testing.T) {
	file, err := os.ReadFile(build(t))
	if err != nil {
		t.Fatal(err)
	}
	p, err := open(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := range moduleTypelinks + 6 {
		b := bytes.Clone(file)
		q, err := open(b)
		if err != nil {
			t.Fatal(err)
		}
		q.set(i, p.get(i)+8)
		if q, err = open(b); err != nil {
			continue
		}
		if _, err := q.slim(); err == nil && (i == modulePclntab || i == moduleEnd || i == moduleText || i == moduleTypelinks) {
			t.Errorf("word %d of the module's data is another, and the program was taken", i)
		}
	}
	for _, n := range []int{0, 3, 64, 4096, len(file) / 2} {
		if _, err := open(file[:n]); err == nil {
			t.Errorf("the first %d bytes were taken for a program", n)
		}
	}
}

func TestShort(t *testing.T) {
	for name, want := range map[string]string{
		"main.main": "main.main",
		"github.com/dunlin-mqtt/dunlin/broker.(*Broker).Close":          "broker.(*Broker).Close",
		"slices.Index[go.shape.[]int,go.shape.int]":                     "slices.Index[...]",
		"main.(*list[go.shape.string]).third":                           "main.(*list[...]).third",
		"type:.eq.[16]sync/atomic.Pointer[internal/sync.node[int,int]]": "type:.eq",
		"golang.org/x/sys/unix.Open":                                    "golang.org/x/sys/unix.Open",
	} {
		if got := short(name); got != want {
			t.Errorf("%q is short for %q, not %q", got, name, want)
		}
	}
}
