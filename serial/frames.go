package serial

import (
	"context"
	"time"
)

// Frames reads frames from a port through a bounded buffer. What is no frame
// is dropped and counted. A deadline in the middle of a frame loses nothing.
// It is for one goroutine and does not own the port.
type Frames struct {
	s stream
	d deframer
}

// NewFrames returns Frames that read from r. f must be valid.
func NewFrames(r DeadlineReader, f Framing) *Frames {
	s := new(Frames)
	s.d.init(f)
	s.s.cut = &s.d
	s.Reset(r)
	return s
}

// Reset goes on with another port, after a replug: what was left of a frame of
// the old one is dropped.
func (f *Frames) Reset(r DeadlineReader) { f.s.reset(r) }

// Stats returns the counts so far.
func (f *Frames) Stats() FrameStats {
	s := f.d.stats
	s.Rejected = f.d.rejected.Load()
	return s
}

// Rejected is the count of FrameStats; it may be asked while another goroutine
// waits in Next.
func (f *Frames) Rejected() uint64 { return f.d.rejected.Load() }

// Arrived returns how many bytes have come so far; it may be asked while another
// goroutine waits in Next.
func (f *Frames) Arrived() uint64 { return f.s.arrived.Load() }

// Await has w call call once, on its own goroutine or this one, when Next has
// something to return: nobody has to wait in Next meanwhile. False means that
// the port is none that w can wait for. Every call of Next, Reset or Leave ends it.
func (f *Frames) Await(w *Waiter, call func()) bool { return f.s.await(w, call) }

// Leave ends an Await; it may be called from any goroutine.
func (f *Frames) Leave() { f.s.leave() }

// Ready reports whether Next would return at once. It ends an Await.
func (f *Frames) Ready() bool {
	f.s.leave()
	return f.s.ready()
}

// Next returns the payload of the next good frame; it is valid until the next
// call of any method. With Tell it is nil for a frame that was dropped. It blocks until there is one, ctx ends (the error of
// ctx) or the port fails. It sets the port's read deadline.
func (f *Frames) Next(ctx context.Context) ([]byte, error) { return f.s.next(ctx) }

// NextBefore is Next with a deadline in place of a context: it returns
// os.ErrDeadlineExceeded when it passes, the zero time means none.
func (f *Frames) NextBefore(deadline time.Time) ([]byte, error) { return f.s.nextBefore(deadline) }
