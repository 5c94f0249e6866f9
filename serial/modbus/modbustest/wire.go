package modbustest

import (
	"io"
	"os"
	"sync"
	"time"
)

// End is one end of a wire that keeps what was written until it is read, as a
// kernel does; with net.Pipe an answer that nobody reads any more would block
// its sender.
type End struct {
	in, out *buffer
}

// Wire returns the two ends of a wire. They work in a synctest bubble.
func Wire() (*End, *End) {
	a, b := newBuffer(), newBuffer()
	return &End{a, b}, &End{b, a}
}

// buffer is one direction of a wire.
type buffer struct {
	mu       sync.Mutex
	data     []byte
	closed   bool
	deadline time.Time
	changed  chan struct{} // closed and made anew at each change
}

func newBuffer() *buffer { return &buffer{changed: make(chan struct{})} }

func (b *buffer) change(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
	close(b.changed)
	b.changed = make(chan struct{})
}

// Read blocks until there is a byte, the deadline passes or an end is closed.
func (e *End) Read(p []byte) (int, error) {
	b := e.in
	for {
		b.mu.Lock()
		n, changed := copy(p, b.data), b.changed
		b.data = b.data[n:]
		wait, closed := time.Hour, b.closed
		if !b.deadline.IsZero() {
			wait = time.Until(b.deadline)
		}
		b.mu.Unlock()
		switch {
		case n > 0:
			return n, nil
		case closed:
			return 0, io.EOF
		case wait <= 0:
			return 0, os.ErrDeadlineExceeded
		}
		timer := time.NewTimer(wait)
		select {
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// Write never blocks.
func (e *End) Write(p []byte) (int, error) {
	err := io.ErrClosedPipe
	e.out.change(func() {
		if !e.out.closed {
			e.out.data, err = append(e.out.data, p...), nil
		}
	})
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// SetReadDeadline ends a Read that blocks when t is past.
func (e *End) SetReadDeadline(t time.Time) error {
	e.in.change(func() { e.in.deadline = t })
	return nil
}

// SetWriteDeadline has nothing to end.
func (e *End) SetWriteDeadline(time.Time) error { return nil }

// Close closes both ends; what was written before can still be read.
func (e *End) Close() error {
	e.in.change(func() { e.in.closed = true })
	e.out.change(func() { e.out.closed = true })
	return nil
}
