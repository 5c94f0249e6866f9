package config

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"
)

// Error is one finding in a configuration file and the place it was found.
type Error struct {
	File string
	// Line and Column count from 1; Column counts characters. Both are 0 when
	// the file itself is the problem.
	Line, Column int
	// Length is how many characters the finding covers.
	Length int
	// Path is the key's path, as mqtt.listeners[0].bind.
	Path string
	Msg  string
	// Hint is a cure, "" when none is known.
	Hint string
	// Warning marks a finding that does not keep the program from starting.
	Warning bool

	src  *source
	rank int // of the file among the files of one load
}

// Error returns the finding in one line: file:line:col: error: message.
func (e Error) Error() string {
	kind := "error"
	if e.Warning {
		kind = "warning"
	}
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s: %s", e.File, kind, e.Msg)
	}
	return fmt.Sprintf("%s:%d:%d: %s: %s", e.File, e.Line, e.Column, kind, e.Msg)
}

// Text returns the finding as a compiler shows it: Error's line, the source
// line, a caret below the place, and the hint.
func (e Error) Text() string {
	var b strings.Builder
	b.WriteString(e.Error() + "\n")
	if line, col, length, ok := e.excerpt(); ok {
		fmt.Fprintf(&b, "%5d │ %s\n", e.Line, line)
		fmt.Fprintf(&b, "      │ %s%s\n", strings.Repeat(" ", col-1), strings.Repeat("^", length))
	}
	if e.Hint != "" {
		b.WriteString("      = " + e.Hint + "\n")
	}
	return b.String()
}

// maxExcerpt is how much of a source line is shown, in characters.
const maxExcerpt = 120

// excerpt returns the source line with the column and length inside it; a
// long line is cut around the place.
func (e Error) excerpt() (line string, col, length int, ok bool) {
	if e.src == nil || e.Line < 1 || e.Line > len(e.src.lines) {
		return "", 0, 0, false
	}
	rs := []rune(e.src.visible(e.Line))
	col = min(max(e.Column, 1), len(rs)+1)
	length = max(min(e.Length, len(rs)-col+1), 1)
	if len(rs) > maxExcerpt {
		from := max(0, min(col-maxExcerpt/2, len(rs)-maxExcerpt))
		rs, col = rs[from:from+maxExcerpt], col-from
		length = max(min(length, len(rs)-col+1), 1)
	}
	return string(rs), col, length, true
}

// Errors is what a load found, sorted by position.
type Errors []Error

// Error returns all findings, one a line.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Print writes every finding with its source line, caret and hint.
func (es Errors) Print(w io.Writer) error {
	for _, e := range es {
		if _, err := io.WriteString(w, e.Text()); err != nil {
			return err
		}
	}
	return nil
}

// Summary returns the line that closes a report: "dunlin.yaml: 13 problems".
func (es Errors) Summary(file string) string {
	if len(es) == 1 {
		return file + ": 1 problem"
	}
	return fmt.Sprintf("%s: %d problems", file, len(es))
}

// sorted returns es by file and position, without repetitions.
func (es Errors) sorted() Errors {
	sort.SliceStable(es, func(i, j int) bool { // not slices.SortFunc: 8 kB of machine code for each type of element
		a, b := &es[i], &es[j]
		return cmp.Or(a.rank-b.rank, a.Line-b.Line, a.Column-b.Column) < 0
	})
	return slices.CompactFunc(es, func(a, b Error) bool {
		return a.rank == b.rank && a.Line == b.Line && a.Column == b.Column && a.Msg == b.Msg
	})
}

// source is the text of one file.
type source struct {
	name  string
	rank  int
	lines []string
	// secrets are the places of literal secrets: shown as stars.
	secrets []span
}

type span struct{ line, col, length int }

func newSource(name string, rank int, text string) *source {
	return &source{name: name, rank: rank, lines: strings.Split(text, "\n")}
}

// visible returns a line as it may be shown: secrets starred, nothing that
// moves the cursor, the same number of characters.
func (s *source) visible(line int) string {
	rs := []rune(s.lines[line-1])
	for i, r := range rs {
		switch {
		case r == '\t':
			rs[i] = '→'
		case r < ' ' || r == 0x7f || r == utf8.RuneError:
			rs[i] = '·'
		}
	}
	for _, sp := range s.secrets {
		if sp.line == line {
			for i := max(sp.col-1, 0); i < min(sp.col-1+sp.length, len(rs)); i++ {
				rs[i] = '*'
			}
		}
	}
	return string(rs)
}

// at returns a finding at a place, brought inside the file.
func (s *source) at(line, col, length int) Error {
	line = min(max(line, 1), len(s.lines))
	width := utf8.RuneCountInString(s.lines[line-1])
	col = min(max(col, 1), width+1)
	length = max(min(length, width-col+1), 1)
	return Error{File: s.name, Line: line, Column: col, Length: length, src: s, rank: s.rank}
}
