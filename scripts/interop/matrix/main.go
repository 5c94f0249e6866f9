// Matrix reads what go test -json of the interop suite writes and shows which
// client gets along in what: a row for each test, a column for each client. It
// ends with "N passed, N failed" and exit code 1 when one failed, or none ran.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"
)

func main() {
	s, err := read(os.Stdin, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "matrix:", err)
		os.Exit(1)
	}
	s.show(os.Stdout)
	if s.failed > 0 || s.passed == 0 {
		os.Exit(1)
	}
}

// event is a line of go test -json.
type event struct {
	Action, Test, Output string
}

// suite is what the events add up to.
type suite struct {
	rows, columns    []string
	cells            map[[2]string]string // row and column: ok, FAIL or -
	passed, failed   int                  // tests without subtests, and such as failed outside of theirs
	skipped          int
	output           map[string][]string // by test, until it passes
	parents, counted map[string]bool
}

func read(in io.Reader, log io.Writer) (*suite, error) {
	s := &suite{cells: map[[2]string]string{}, output: map[string][]string{}, parents: map[string]bool{}, counted: map[string]bool{}}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("%w in %q", err, lines.Text())
		}
		s.take(e, log)
	}
	return s, lines.Err()
}

func (s *suite) take(e event, log io.Writer) {
	switch e.Action {
	case "output":
		s.output[e.Test] = append(s.output[e.Test], e.Output)
	case "run":
		if i := strings.LastIndexByte(e.Test, '/'); i > 0 {
			s.parents[e.Test[:i]] = true
		}
	case "build-fail", "fail":
		for _, line := range s.output[e.Test] {
			fmt.Fprint(log, line)
		}
		s.end(e)
	case "pass", "skip":
		s.end(e)
	}
}

// end counts a test and writes its cell. Tests end after their subtests.
func (s *suite) end(e event) {
	delete(s.output, e.Test)
	if e.Test == "" {
		if e.Action == "fail" && s.failed == 0 {
			s.failed++ // the build, or something outside of tests
		}
		return
	}
	if !s.parents[e.Test] {
		switch e.Action {
		case "pass":
			s.passed++
		case "fail":
			s.failed++
		case "skip":
			s.skipped++
		}
	}
	parts := strings.SplitN(e.Test, "/", 3)
	row, column := words(parts[0]), "dunlin"
	switch {
	case len(parts) == 2 && client(parts[1]) != "":
		column = client(parts[1])
	case len(parts) != 1 || s.hasColumns(row):
		return
	}
	if !slices.Contains(s.rows, row) {
		s.rows = append(s.rows, row)
	}
	if !slices.Contains(s.columns, column) {
		s.columns = append(s.columns, column)
	}
	s.cells[[2]string{row, column}] = map[string]string{"pass": "ok", "fail": "FAIL", "skip": "-"}[e.Action]
}

func (s *suite) hasColumns(row string) bool { return slices.Contains(s.rows, row) }

// client is the name of a client with its version, "" when the subtest is
// about something else.
func client(subtest string) string {
	name := strings.ReplaceAll(subtest, "_", " ")
	for _, version := range []string{" 3.1", " 3.1.1", " 5.0"} {
		if strings.HasSuffix(name, version) {
			return name
		}
	}
	return ""
}

// words makes "Session resume" of TestMosquittoSessionResume.
func words(test string) string {
	name := strings.TrimPrefix(strings.TrimPrefix(test, "Test"), "Mosquitto")
	name = strings.ReplaceAll(name, "QoS", "Qos")
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		if i > 0 && unicode.IsUpper(r) && (unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			b.WriteByte(' ')
			if i+1 < len(runes) && unicode.IsLower(runes[i+1]) {
				r = unicode.ToLower(r)
			}
		}
		b.WriteRune(r)
	}
	return b.String()
}

func (s *suite) show(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	slices.Sort(s.columns)
	heads := [2][]string{{""}, {""}}
	for _, c := range s.columns {
		name, version, _ := strings.Cut(c, " ")
		heads[0], heads[1] = append(heads[0], name), append(heads[1], version)
	}
	for _, head := range heads {
		fmt.Fprintln(w, strings.Join(head, "\t"))
	}
	for _, row := range s.rows {
		fmt.Fprint(w, row)
		for _, c := range s.columns {
			fmt.Fprintf(w, "\t%s", s.cells[[2]string{row, c}])
		}
		fmt.Fprintln(w)
	}
	w.Flush()
	if s.skipped > 0 {
		fmt.Fprintf(out, "%d skipped\n", s.skipped)
	}
	fmt.Fprintf(out, "%d passed, %d failed\n", s.passed, s.failed)
}
