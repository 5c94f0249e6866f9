package serial

import (
	"context"
	"errors"
	"io"
	"os"
	"time"
)

// Garbage says what happens to a line that is no text: invalid UTF-8, or a
// control character other than the tab. A character with a parity error
// arrives as NUL. Such lines are counted whatever the policy.
type Garbage string

// The policies. The default is GarbageDrop: half a number is a wrong number.
const (
	GarbageDrop  Garbage = "drop"  // the line is dropped
	GarbageStrip Garbage = "strip" // the offending bytes are removed
	GarbageKeep  Garbage = "keep"  // the line is delivered as it is
)

// LineOptions are the rules by which Lines cuts. The zero value is usable.
type LineOptions struct {
	// MaxLength is the longest line in bytes, terminator excluded; 0 is 1024.
	// A longer one is dropped to its end and counted.
	MaxLength int
	// Terminator ends a line, exactly as written: "\n", "\r\n", "\r", ";".
	// "" takes \n, \r\n and \r, each for one end of a line.
	Terminator string
	// Garbage is what to do with lines that are no text; "" is GarbageDrop.
	Garbage Garbage
	// Resync drops what comes before the first terminator after the start: a
	// line whose beginning was missed may still look valid ("3.5" of "23.5").
	// A device that was quiet for Quiet before its first byte starts a line
	// there, and nothing is dropped. Leave it off when the first byte is known
	// to start a line, as after dtr: pulse.
	Resync bool
	// Quiet is that silence; 0 is 100 ms, negative drops always.
	Quiet time.Duration
}

const (
	defaultMaxLength = 1024
	defaultQuiet     = 100 * time.Millisecond
	maxIdleReads     = 100 // in a row that gave neither bytes nor error
)

// LineStats counts since NewLines; Reset keeps the counts.
type LineStats struct {
	Bytes    uint64 // received
	Lines    uint64 // delivered
	Empty    uint64 // lines without content, never delivered
	Overlong uint64 // dropped for their length
	Garbage  uint64 // not text, whatever was done with them
	Partial  uint64 // without beginning (Resync) or without end (Reset)
}

// DeadlineReader is what Lines needs of a Port.
type DeadlineReader interface {
	io.Reader
	SetReadDeadline(t time.Time) error
}

// Lines reads lines from a port through a bounded buffer. A deadline in the
// middle of a line loses nothing: the next call goes on where this one
// stopped. It is for one goroutine and does not own the port.
type Lines struct {
	r      DeadlineReader
	f      framer
	resync bool
	quiet  time.Duration
	since  time.Time // when waiting for the first byte began; zero after it
	err    error     // of a read that also gave bytes
}

// NewLines returns Lines that read from r.
func NewLines(r DeadlineReader, o LineOptions) *Lines {
	if o.MaxLength <= 0 {
		o.MaxLength = defaultMaxLength
	}
	if o.Quiet == 0 {
		o.Quiet = defaultQuiet
	}
	l := &Lines{f: newFramer(o), resync: o.Resync, quiet: o.Quiet}
	l.Reset(r)
	return l
}

// Reset goes on with another port, after a replug: what was left of a line of
// the old one is dropped, and Resync applies anew.
func (l *Lines) Reset(r DeadlineReader) {
	l.r, l.err = r, nil
	l.f.restart(false)
	l.since = time.Time{}
	if l.resync {
		l.since = time.Now()
	}
}

// Stats returns the counts so far.
func (l *Lines) Stats() LineStats { return l.f.stats }

// Next returns the next line without its terminator; it is valid until the
// next call of any method. It blocks until there is one, ctx ends (the error
// of ctx) or the port fails. Lines that arrived before a failure are returned
// before the error. It sets the port's read deadline.
func (l *Lines) Next(ctx context.Context) ([]byte, error) {
	if line, err := l.buffered(); line != nil || err != nil {
		return line, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := l.r.SetReadDeadline(time.Time{}); err != nil {
		return nil, err
	}
	if ctx.Done() == nil {
		return l.read()
	}
	woken := make(chan struct{})
	r := l.r
	stop := context.AfterFunc(ctx, func() {
		defer close(woken)
		_ = r.SetReadDeadline(time.Unix(1, 0)) // fails only on a closed port, whose Read has ended
	})
	line, err := l.read()
	if !stop() {
		<-woken
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = ctx.Err()
		}
	}
	return line, err
}

// NextBefore is Next with a deadline in place of a context: it returns
// os.ErrDeadlineExceeded when it passes, the zero time means none. It does not
// allocate.
func (l *Lines) NextBefore(deadline time.Time) ([]byte, error) {
	if line, err := l.buffered(); line != nil || err != nil {
		return line, err
	}
	if err := l.r.SetReadDeadline(deadline); err != nil {
		return nil, err
	}
	return l.read()
}

// buffered returns a line that needs no read, or the error that was held back
// for it.
func (l *Lines) buffered() ([]byte, error) {
	if line, ok := l.f.next(); ok {
		return line, nil
	}
	err := l.err
	l.err = nil
	return nil, err
}

// read reads until a line is complete.
func (l *Lines) read() ([]byte, error) {
	for idle := 0; idle < maxIdleReads; idle++ {
		n, err := l.r.Read(l.f.space())
		if n > 0 {
			idle = 0
			l.begin()
			l.f.grow(n)
			if line, ok := l.f.next(); ok {
				l.err = err
				return line, nil
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, io.ErrNoProgress
}

// begin decides at the first byte whether it starts a line.
func (l *Lines) begin() {
	if l.since.IsZero() {
		return
	}
	if l.quiet < 0 || time.Since(l.since) < l.quiet {
		l.f.stats.Partial++
		l.f.skipping = true
	}
	l.since = time.Time{}
}
