package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// full and slim are the program under testdata.
var full, slim string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "slim")
	if err == nil {
		full, slim = filepath.Join(dir, "full"), filepath.Join(dir, "slim")
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", full, "./testdata/program")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
		cmd.Stderr = os.Stderr
		if err = cmd.Run(); err == nil {
			err = run([]string{full, slim}, nil, nil)
		}
	}
	code := 1
	if err == nil {
		code = m.Run()
	} else {
		fmt.Fprintln(os.Stderr, err)
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

var (
	arguments = regexp.MustCompile(`\(((0x|\{|\.\.\.).*)?\)$`)
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
	before, err := exec.Command(full).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, debug := range []string{"", "gccheckmark=1,clobberfree=1"} { // each collection checked, what was freed overwritten
		cmd := exec.Command(slim)
		cmd.Env = append(os.Environ(), "GODEBUG="+debug)
		if after, err := cmd.Output(); err != nil || !bytes.Equal(before, after) {
			t.Errorf("GODEBUG=%s: %v, it prints\n%swhen slim, and before\n%s", debug, err, after, before)
		}
	}
	a, _ := os.Stat(full)
	if b, _ := os.Stat(slim); b.Size() > a.Size()*90/100 {
		t.Errorf("%d bytes became %d", a.Size(), b.Size())
	}
}

func TestLinesAreFoundAgain(t *testing.T) {
	fails := func(name, level string) string {
		cmd := exec.Command(name, "fail")
		cmd.Env = append(os.Environ(), "GOTRACEBACK="+level)
		var out bytes.Buffer
		cmd.Stderr = &out
		if cmd.Run() == nil || !strings.Contains(out.String(), "panic: ") {
			t.Fatalf("it did not end in a panic:\n%s", &out)
		}
		first, rest, _ := strings.Cut(out.String(), "\n\ngoroutine ")
		rest, _, _ = strings.Cut(rest, "\n\ngoroutine ") // others are anywhere
		return first + "\n\ngoroutine " + rest
	}
	for _, level := range []string{"single", "system"} {
		want, bare := trace(fails(full, level)), fails(slim, level)
		if strings.Contains(bare, ".go:") || strings.Contains(bare, "third") || !strings.Contains(bare, "main.main.func") {
			t.Errorf("the slim program's trace:\n%s", bare)
		}
		var out bytes.Buffer
		if err := run([]string{"-lines", full}, strings.NewReader(bare), &out); err != nil {
			t.Fatal(err)
		}
		got := trace(out.String())
		if len(got) != len(want) {
			t.Fatalf("%d lines, not %d:\n%s\n\n%s", len(got), len(want), strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("line %d is %q, not %q", i, got[i], want[i])
			}
		}
	}
}

func TestATraceIsFoundInALogWithLongLines(t *testing.T) {
	log := strings.Repeat("x", 100_000) + "\nlast\n"
	var out bytes.Buffer
	if err := run([]string{"-lines", full}, strings.NewReader(log), &out); err != nil || out.String() != log {
		t.Errorf("%v, %d bytes of %d", err, out.Len(), len(log))
	}
	if err := run([]string{"-lines", full}, strings.NewReader(strings.Repeat(log[:100_000], 200)), &out); err == nil {
		t.Error("a line that is not read is not told of")
	}
}

func TestWhatIsNotKnownIsRefused(t *testing.T) {
	file, err := os.ReadFile(full)
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
		if _, err = open(b); err == nil && slices.Contains([]int{modulePclntab, moduleParts, moduleParts + 15, moduleEnd, moduleText, moduleTypelinks}, i) {
			t.Errorf("word %d of the module's data is another, and the program was taken", i)
		}
	}
	for _, n := range []int{0, 3, 64, 4096, len(file) / 2} {
		if _, err := open(file[:n]); err == nil {
			t.Errorf("the first %d bytes were taken for a program", n)
		}
	}
}

// Each change of what the runtime works with is found, in every function.
func TestWhatDiffersIsFound(t *testing.T) {
	file, err := os.ReadFile(full)
	if err != nil {
		t.Fatal(err)
	}
	p, err := open(file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.table.slim()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.table.same(s); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	sizes := p.table.sizes()
	for i := range p.table.funcs {
		a, err := p.table.function(i)
		if err != nil {
			t.Fatal(err)
		}
		b, err := s.function(i)
		if err != nil {
			t.Fatal(err)
		}
		found := func(what string) {
			if seen[what]++; p.table.differs(s, a, b, sizes) == "" {
				t.Fatalf("another %s of function %d, %s, was not found", what, i, p.table.name(a.head[recordName:]))
			}
		}
		for _, place := range []int{0, 8, 12, 36, recordFuncID, 41} {
			b.head[place] ^= 1
			found(fmt.Sprint("byte ", place))
			b.head[place] ^= 1
		}
		for j, from := range b.offsets() {
			if was := *from; was != 0 {
				*from = 0
				found(fmt.Sprint("table ", j-1))
				*from = was
			}
		}
		for j, from := range b.lists {
			if from != none {
				b.lists[j] = none
				found(fmt.Sprint("list ", j))
				b.lists[j] = from
				s.data[from] ^= 0x80
				found(fmt.Sprint("first byte of list ", j))
				s.data[from] ^= 0x80
			}
		}
	}
	for _, what := range []string{"table -1", "table 0", "table 1", "table 2", "list 0", "list 1", "list 2", "list 3", "list 4"} {
		if seen[what] == 0 {
			t.Errorf("no function has a %s", what)
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
		"golang.org/x/sys/unix.Open":                                    "unix.Open",
		"github.com/dunlin-mqtt/dunlin/sensors.main.func1":              "sensors.main.func1",
		"sync/atomic.(*Pointer[go.shape.struct { a/b.c int }]).Load":    "atomic.(*Pointer[...]).Load",
		"main.(*struct { sync.Locker; a/b.C }).Lock":                    "main.(*struct { sync.Locker; a/b.C }).Lock",
		"internal/runtime/maps.newTable":                                "internal/runtime/maps.newTable", // not interrupted: its name says so
		"example.com/runtime.Gosched":                                   "example.com/runtime.Gosched",    // may be interrupted
	} {
		if got := short(name); got != want {
			t.Errorf("%q is short for %q, not %q", got, name, want)
		}
	}
}
