package serial_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dunlin-mqtt/dunlin/serial"
)

// wire is a port that gives what a script says, one element a Read: a string
// is bytes, a time.Duration is silence, an error is an error. At the script's
// end Read blocks until its deadline, or fails with io.EOF when there is none.
type wire struct {
	script   []any
	deadline time.Time
}

func newWire(script ...any) *wire { return &wire{script: script} }

func (w *wire) SetReadDeadline(t time.Time) error {
	w.deadline = t
	return nil
}

func (w *wire) Read(b []byte) (int, error) {
	for len(w.script) > 0 {
		switch next := w.script[0].(type) {
		case string:
			n := copy(b, next)
			if w.script[0] = next[n:]; n == len(next) {
				w.script = w.script[1:]
			}
			return n, nil
		case time.Duration:
			if !w.deadline.IsZero() && time.Until(w.deadline) < next {
				w.script[0] = next - max(time.Until(w.deadline), 0)
				time.Sleep(time.Until(w.deadline))
				return 0, os.ErrDeadlineExceeded
			}
			w.script = w.script[1:]
			time.Sleep(next)
		case error:
			w.script = w.script[1:]
			return 0, next
		}
	}
	if w.deadline.IsZero() {
		return 0, io.EOF
	}
	return 0, os.ErrDeadlineExceeded
}

// all reads lines until an error.
func all(t *testing.T, l *serial.Lines) (lines []string, err error) {
	t.Helper()
	for {
		line, err := l.NextBefore(time.Time{})
		if err != nil {
			return lines, err
		}
		lines = append(lines, string(line))
	}
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", 9)
	for _, tt := range []struct {
		name   string
		o      serial.LineOptions
		script []any
		want   []string
		stats  serial.LineStats
	}{
		{"every kind of end", serial.LineOptions{}, []any{"a\nb\r\nc\rd\n\re\n"}, []string{"a", "b", "c", "d", "e"},
			serial.LineStats{Lines: 5, Empty: 1}},
		{"\\r\\n in two reads is one end", serial.LineOptions{}, []any{"a\r", "\nb\r", "\n"}, []string{"a", "b"}, serial.LineStats{Lines: 2}},
		{"pieces", serial.LineOptions{}, []any{"2", "3.", "5", "\n2", "4\n"}, []string{"23.5", "24"}, serial.LineStats{Lines: 2}},
		{"several in one read", serial.LineOptions{}, []any{"1\n2\n3\n4"}, []string{"1", "2", "3"}, serial.LineStats{Lines: 3}},
		{"exact \\r\\n", serial.LineOptions{Terminator: "\r\n"}, []any{"ab\r", "\nc\rd\r\n"},
			[]string{"ab"}, serial.LineStats{Lines: 1, Garbage: 1}},
		{"a letter of its own", serial.LineOptions{Terminator: ";"}, []any{"a;b", ";\tc d;"}, []string{"a", "b", "\tc d"}, serial.LineStats{Lines: 3}},
		{"the longest line", serial.LineOptions{MaxLength: 8}, []any{long[1:] + "\n" + "a\n"}, []string{long[1:], "a"}, serial.LineStats{Lines: 2}},
		{"an overlong line, and a clean one after it", serial.LineOptions{MaxLength: 8}, []any{long + "\na\n"}, []string{"a"},
			serial.LineStats{Lines: 1, Overlong: 1}},
		{"an overlong line in pieces", serial.LineOptions{MaxLength: 8}, []any{long, long, strings.Repeat(long, 1000), "x\na\n"}, []string{"a"},
			serial.LineStats{Lines: 1, Overlong: 1}},
		{"garbage is dropped", serial.LineOptions{}, []any{"2\x003\n\xff\xfe\n\x1b[0m\nok 21 °C\n\u0085\n"}, []string{"ok 21 °C"},
			serial.LineStats{Lines: 1, Garbage: 4}},
		{"a line whose beginning was missed is dropped", serial.LineOptions{Resync: true}, []any{"3.5\r", "\n24.5\n"}, []string{"24.5"},
			serial.LineStats{Lines: 1, Partial: 1}},
		{"a missed beginning of an overlong line", serial.LineOptions{Resync: true, MaxLength: 8}, []any{long, long, "\n24.5\n"}, []string{"24.5"},
			serial.LineStats{Lines: 1, Partial: 1}},
		{"silence before a line is its beginning", serial.LineOptions{Resync: true}, []any{time.Second, "23.5\n24.5\n"}, []string{"23.5", "24.5"},
			serial.LineStats{Lines: 2}},
		{"unless told otherwise", serial.LineOptions{Resync: true, Quiet: -1}, []any{time.Second, "23.5\n24.5\n"}, []string{"24.5"},
			serial.LineStats{Lines: 1, Partial: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, s := range tt.script {
					if s, ok := s.(string); ok {
						tt.stats.Bytes += uint64(len(s))
					}
				}
				l := serial.NewLines(newWire(tt.script...), tt.o)
				got, err := all(t, l)
				if err != io.EOF {
					t.Error(err)
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("%q, want %q", got, tt.want)
				}
				if l.Stats() != tt.stats {
					t.Errorf("%+v, want %+v", l.Stats(), tt.stats)
				}
			})
		})
	}
}

func TestLinesKeepPartsAcrossDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := serial.NewLines(newWire("23", time.Minute, ".5", time.Minute, "\n"), serial.LineOptions{})
		waits := 0
		for {
			line, err := l.NextBefore(time.Now().Add(10 * time.Second))
			if err == nil {
				if string(line) != "23.5" || waits != 11 {
					t.Errorf("%q after %d waits", line, waits)
				}
				return
			}
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal(err)
			}
			waits++
		}
	})
}

func TestLinesBeforeAnErrorComeFirst(t *testing.T) {
	l := serial.NewLines(newWire("a\nb\nc", serial.ErrUnplugged), serial.LineOptions{})
	got, err := all(t, l)
	if !slices.Equal(got, []string{"a", "b"}) || !errors.Is(err, serial.ErrUnplugged) {
		t.Errorf("%q, %v", got, err)
	}
	t.Run("and a new port starts clean", func(t *testing.T) {
		l.Reset(newWire("d\n"))
		got, err := all(t, l)
		if !slices.Equal(got, []string{"d"}) || err != io.EOF {
			t.Errorf("%q, %v", got, err)
		}
		if s := l.Stats(); s.Lines != 3 || s.Partial != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// both gives its bytes and its error in one Read, as io.Reader allows.
type both struct{ *wire }

func (b both) Read(p []byte) (int, error) { return copy(p, "a\nb\n"), io.ErrUnexpectedEOF }

func TestLinesOfAReadWithErrorComeFirst(t *testing.T) {
	got, err := all(t, serial.NewLines(both{newWire()}, serial.LineOptions{}))
	if !slices.Equal(got, []string{"a", "b"}) || err != io.ErrUnexpectedEOF {
		t.Errorf("%q, %v", got, err)
	}
}

// mute never gives anything, against the contract of a Port.
type mute struct{ *wire }

func (mute) Read([]byte) (int, error) { return 0, nil }

func TestLinesDoNotSpin(t *testing.T) {
	if _, err := serial.NewLines(mute{newWire()}, serial.LineOptions{}).NextBefore(time.Time{}); err != io.ErrNoProgress {
		t.Error(err)
	}
}

// stream gives the same bytes for ever.
type stream struct {
	*wire
	b []byte
}

func (s stream) Read(p []byte) (int, error) { return copy(p, s.b), nil }

func TestLinesDoNotAllocate(t *testing.T) {
	s := stream{newWire(), []byte(strings.Repeat("temperature=23.5 °C\r\n", 8))}
	l := serial.NewLines(s, serial.LineOptions{})
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		line, err := l.NextBefore(time.Time{}) // reads
		for i := 1; i < 8 && err == nil; i++ {
			line, err = l.Next(ctx) // has it in the buffer
		}
		if err != nil || len(line) != 20 {
			t.Fatal(string(line), err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for 8 lines", n)
	}
}

// FuzzLines races a model that has the whole stream at once: split, then sort
// the pieces out.
func FuzzLines(f *testing.F) {
	f.Add([]byte("a\nb\r\nc\rd"), "", uint16(8), []byte{1, 2, 3})
	f.Add([]byte("23.5\r\n24.5\r\n"), "\r\n", uint16(16), []byte{5})
	f.Add([]byte("xaaaayaaz"), "aa", uint16(2), []byte{1})
	f.Add([]byte("overlong line\nok\n"), "\n", uint16(4), []byte{7, 1})
	f.Add([]byte("21\xb0C\n\x00\n°\n"), "", uint16(64), []byte{2})
	f.Fuzz(func(t *testing.T, stream []byte, terminator string, limit uint16, chunks []byte) {
		if len(terminator) > 4 || len(chunks) == 0 {
			return
		}
		o := serial.LineOptions{
			MaxLength:  int(limit%128) + 1,
			Terminator: terminator,
		}
		var script []any
		for rest, i := stream, 0; len(rest) > 0; i++ {
			n := min(int(chunks[i%len(chunks)])+1, len(rest))
			script = append(script, string(rest[:n]))
			rest = rest[n:]
		}
		l := serial.NewLines(newWire(script...), o)
		got, err := all(t, l)
		if err != io.EOF {
			t.Fatal(err)
		}
		want, stats := model(stream, o)
		if !slices.Equal(got, want) || l.Stats() != stats {
			t.Errorf("%q %+v\nwant %q %+v", got, l.Stats(), want, stats)
		}
	})
}

func model(stream []byte, o serial.LineOptions) (lines []string, stats serial.LineStats) {
	stats.Bytes = uint64(len(stream))
	terminator := o.Terminator
	if terminator == "" {
		terminator = "\n"
		stream = bytes.ReplaceAll(stream, []byte("\r\n"), []byte("\n"))
		stream = bytes.ReplaceAll(stream, []byte("\r"), []byte("\n"))
	}
	pieces := bytes.Split(stream, []byte(terminator))
	last := len(pieces) - 1
	for _, p := range pieces[:last] {
		switch {
		case len(p) == 0:
			stats.Empty++
		case len(p) > o.MaxLength:
			stats.Overlong++
		case !utf8.Valid(p) || bytes.ContainsFunc(bytes.ReplaceAll(p, []byte("\t"), nil), unicode.IsControl):
			stats.Garbage++
		default:
			lines = append(lines, string(p))
		}
	}
	stats.Lines = uint64(len(lines))
	// What has no end yet is too long when it is, whatever the rest may be.
	if len(pieces[last])-max(len(terminator)-1, 0) > o.MaxLength {
		stats.Overlong++
	}
	return lines, stats
}
