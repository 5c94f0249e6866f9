package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/client"
	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/format"
)

// terminalView prints time, topic and value for people. Topics and payloads
// are hostile text: nothing in them may reach the terminal as a control
// sequence.
type terminalView struct {
	color bool
	width int // of the topic column; grows with the topics seen
}

const (
	minTopicColumn = 24
	maxTopicColumn = 56
	maxShownValue  = 2000 // bytes
)

func newTerminalView() *terminalView {
	color := os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return &terminalView{color: color || forceColor(), width: minTopicColumn}
}

// forceColor says that what is no terminal gets what one would get.
func forceColor() bool { return os.Getenv("CLICOLOR_FORCE") != "" }

func (v *terminalView) line(dst []byte, m *client.Message, now time.Time) []byte {
	return v.row(dst, m, now, value(m.Payload))
}

// row is a line with this text for the value.
func (v *terminalView) row(dst []byte, m *client.Message, now time.Time, text string) []byte {
	name := printable(m.Topic)
	if n := utf8.RuneCountInString(name); n > v.width && n <= maxTopicColumn {
		v.width = n
	}
	const dim, bold = "\x1b[2m", "\x1b[1m"
	dst = v.styled(dst, dim, now.Format("15:04:05"))
	dst = append(dst, "  "...)
	dst = v.styled(dst, bold, name)
	for n := utf8.RuneCountInString(name); n < v.width; n++ {
		dst = append(dst, ' ')
	}
	dst = append(dst, "  "...)
	dst = append(dst, text...)
	if m.Retain {
		dst = append(dst, "  "...)
		dst = v.styled(dst, dim, "retained")
	}
	return append(dst, '\n')
}

// watchView has a line of the screen for each topic; more than maxWatched are
// not shown.
type watchView struct {
	*terminalView
	rows map[string]int // from 1, by topic
}

const maxWatched = 100

func (v *watchView) line(dst []byte, m *client.Message, now time.Time) []byte {
	row := v.rows[m.Topic]
	if row == 0 {
		if row = len(v.rows) + 1; row > maxWatched {
			return dst
		}
		if row == 1 {
			dst = append(dst, clearAll...)
		}
		v.rows[m.Topic] = row
	}
	text := v.terminalView.line(nil, m, now)
	return fmt.Appendf(dst, "\x1b[%d;1H\x1b[2K"+oneLine+"%s"+manyLines+"\x1b[%d;1H", row, text[:len(text)-1], len(v.rows)+1)
}

func (v *terminalView) styled(dst []byte, style, text string) []byte {
	if !v.color {
		return append(dst, text...)
	}
	dst = append(dst, style...)
	dst = append(dst, text...)
	return append(dst, "\x1b[0m"...)
}

// value shows text as text and anything else as hexadecimal; what is left out
// is said.
func value(payload []byte) string {
	if len(payload) == 0 {
		return "(empty)"
	}
	shown := payload
	if utf8.Valid(payload) {
		if len(shown) > maxShownValue {
			shown = shown[:maxShownValue]
			for !utf8.Valid(shown) {
				shown = shown[:len(shown)-1]
			}
		}
		return printable(string(shown)) + rest(payload, shown)
	}
	if len(shown) > maxShownValue/4 {
		shown = shown[:maxShownValue/4]
	}
	return fmt.Sprintf("0x%x%s", shown, rest(payload, shown))
}

func rest(payload, shown []byte) string {
	if len(shown) == len(payload) {
		return ""
	}
	return fmt.Sprintf(" ... (%d of %d bytes)", len(shown), len(payload))
}

// onTerminal is w, or if that is a terminal a way to it of which it obeys
// nothing but the ends of lines: JSON leaves some that it would.
func onTerminal(w io.Writer) io.Writer {
	if isTerminal(w) {
		return &shown{w: w}
	}
	return w
}

// shown writes text to a terminal.
type shown struct {
	w    io.Writer
	tail []byte // begins a character whose end has not come
}

func (s *shown) Write(p []byte) (int, error) {
	text := append(s.tail, p...)
	whole := len(text)
	for i := 1; i < utf8.UTFMax && i <= len(text); i++ {
		if at := len(text) - i; utf8.RuneStart(text[at]) {
			if !utf8.FullRune(text[at:]) {
				whole = at
			}
			break
		}
	}
	s.tail = slices.Clone(text[whole:])
	if _, err := io.WriteString(s.w, format.Visible(string(text[:whole]), true)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// printable replaces control characters and the ones that reorder text.
func printable(s string) string { return format.Visible(s, false) }
