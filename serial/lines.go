package serial

import (
	"context"
	"time"
)

// LineOptions are the rules by which Lines cuts. The zero value is usable.
type LineOptions struct {
	// MaxLength is the longest line in bytes, terminator excluded; 0 is 1024.
	// A longer one is dropped to its end and counted.
	MaxLength int
	// Terminator ends a line, exactly as written: "\n", "\r\n", "\r", ";".
	// "" takes \n, \r\n and \r, each for one end of a line.
	Terminator string
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
)

// LineStats counts since NewLines; Reset keeps the counts.
type LineStats struct {
	Bytes    uint64 // received
	Lines    uint64 // delivered
	Empty    uint64 // lines without content, never delivered
	Overlong uint64 // dropped for their length
	Garbage  uint64 // dropped, since half a number is a wrong number: not text
	Partial  uint64 // without beginning (Resync) or without end (Reset)
}

// Lines reads lines of text from a port through a bounded buffer. Invalid UTF-8
// and control characters other than the tab are no text; a character with a
// parity error arrives as NUL. A deadline in the
// middle of a line loses nothing: the next call goes on where this one
// stopped. It is for one goroutine and does not own the port.
type Lines struct {
	s      stream
	f      framer
	resync bool
	quiet  time.Duration
	since  time.Time // when waiting for the first byte began; zero after it
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
	l.s.cut, l.s.begin = &l.f, l.begin
	l.Reset(r)
	return l
}

// Reset goes on with another port, after a replug: what was left of a line of
// the old one is dropped, and Resync applies anew.
func (l *Lines) Reset(r DeadlineReader) {
	l.s.reset(r)
	l.since = time.Time{}
	if l.resync {
		l.since = time.Now()
	}
}

// Stats returns the counts so far.
func (l *Lines) Stats() LineStats { return l.f.stats }

// Arrived returns how many bytes have come so far; it may be asked while another
// goroutine waits in Next.
func (l *Lines) Arrived() uint64 { return l.s.arrived.Load() }

// Await has w call f once, on its own goroutine or this one, when Next has
// something to return: nobody has to wait in Next meanwhile. False means that
// the port is none that w can wait for. Every call of Next, Reset or Leave ends it.
func (l *Lines) Await(w *Waiter, f func()) bool { return l.s.await(w, f) }

// Leave ends an Await; it may be called from any goroutine.
func (l *Lines) Leave() { l.s.leave() }

// Ready reports whether Next would return at once. It ends an Await.
func (l *Lines) Ready() bool {
	l.s.leave()
	return l.s.ready()
}

// Next returns the next line without its terminator; it is valid until the
// next call of any method. It blocks until there is one, ctx ends (the error
// of ctx) or the port fails. Lines that arrived before a failure are returned
// before the error. It sets the port's read deadline.
func (l *Lines) Next(ctx context.Context) ([]byte, error) { return l.s.next(ctx) }

// NextBefore is Next with a deadline in place of a context: it returns
// os.ErrDeadlineExceeded when it passes, the zero time means none. It does not
// allocate.
func (l *Lines) NextBefore(deadline time.Time) ([]byte, error) { return l.s.nextBefore(deadline) }

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
