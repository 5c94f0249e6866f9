package listen

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// handshakeBytes bounds what is read before a handshake is done: a PROXY
	// header, a client's certificate chain, an upgrade request.
	handshakeBytes = 64 << 10
	// stepTimeout bounds what a client sends at once: a PROXY header, the head
	// of an upgrade request.
	stepTimeout = 5 * time.Second
	// farewellTimeout bounds what is said last.
	farewellTimeout = time.Second
	// maxExtensions bounds how often one write gets its time again.
	maxExtensions = 10
)

var errTooLong = errors.New("handshake too long")

// socket is an accepted connection below TLS and WebSocket.
//
// A write that makes progress gets its time again: TLS cannot go on after a
// write that timed out, and a slow client is not a dead one.
type socket struct {
	net.Conn
	rest   []byte // read ahead; comes first
	budget int    // bytes that may still be read; negative: any number

	// ahead is called once, before the next read that may wait; nil for none.
	ahead func()

	patience atomic.Int64 // time.Duration of the write deadline, 0: none
	leaving  atomic.Bool

	deadline struct {
		sync.Mutex
		caller, step time.Time
		ended        chan struct{} // closed when the caller's is in the past
	}
}

func newSocket(nc net.Conn) *socket {
	s := &socket{Conn: nc, budget: handshakeBytes}
	s.deadline.ended = make(chan struct{})
	return s
}

// Read reads, within the budget of the handshake.
func (s *socket) Read(p []byte) (n int, err error) {
	if len(s.rest) > 0 {
		n = copy(p, s.rest)
		s.rest = s.rest[n:]
		return n, nil
	}
	s.pass()
	if s.budget < 0 {
		return s.Conn.Read(p)
	}
	if s.budget == 0 {
		return 0, errTooLong
	}
	n, err = s.Conn.Read(p[:min(len(p), s.budget)])
	s.budget -= n
	return n, err
}

// open ends the budget and the deadline of a step.
func (s *socket) open() error {
	s.budget = -1
	return s.step(0)
}

// step gives reads d from now, if the caller's deadline is not earlier; 0 ends
// that.
func (s *socket) step(d time.Duration) error {
	s.deadline.Lock()
	defer s.deadline.Unlock()
	s.deadline.step = time.Time{}
	if d > 0 {
		s.deadline.step = time.Now().Add(d)
	}
	return s.arm()
}

// SetReadDeadline implements net.Conn. It may be called during the handshake.
func (s *socket) SetReadDeadline(t time.Time) error {
	s.deadline.Lock()
	defer s.deadline.Unlock()
	s.deadline.caller = t
	if !t.IsZero() && !t.After(time.Now()) {
		select {
		case <-s.deadline.ended:
		default:
			close(s.deadline.ended)
		}
	}
	return s.arm()
}

// pass calls ahead if that was not done yet.
func (s *socket) pass() {
	if s.ahead != nil {
		s.ahead()
		s.ahead = nil
	}
}

// takeTurn waits for one of the turns, at most until the caller's deadline. It
// is given back before the next read that may wait, or by pass.
func (s *socket) takeTurn(turns chan struct{}) error {
	if err := s.await(turns); err != nil {
		return err
	}
	s.ahead = func() { <-turns }
	return nil
}

func (s *socket) await(turns chan struct{}) error {
	select {
	case turns <- struct{}{}:
		return nil
	default:
	}
	s.deadline.Lock()
	caller := s.deadline.caller
	s.deadline.Unlock()
	var late <-chan time.Time
	if !caller.IsZero() {
		t := time.NewTimer(time.Until(caller))
		defer t.Stop()
		late = t.C
	}
	select {
	case turns <- struct{}{}:
		return nil
	case <-s.deadline.ended:
	case <-late:
	}
	return os.ErrDeadlineExceeded
}

// arm sets the earlier deadline; the caller holds the lock.
func (s *socket) arm() error {
	t, step := s.deadline.caller, s.deadline.step
	if t.IsZero() || !step.IsZero() && step.Before(t) {
		t = step
	}
	return s.Conn.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (s *socket) SetWriteDeadline(t time.Time) error {
	var patience time.Duration
	if !t.IsZero() {
		patience = time.Until(t)
	}
	if s.leaving.Load() && (t.IsZero() || patience > farewellTimeout) {
		patience, t = 0, time.Now().Add(farewellTimeout)
	}
	s.patience.Store(int64(patience))
	return s.Conn.SetWriteDeadline(t)
}

// SetDeadline implements net.Conn.
func (s *socket) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

// Write writes all of b, or until the peer took nothing for the time of the
// write deadline.
func (s *socket) Write(b []byte) (written int, err error) {
	for range maxExtensions {
		var n int
		n, err = s.Conn.Write(b[written:])
		written += n
		patience := time.Duration(s.patience.Load())
		if n == 0 || patience <= 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return written, err
		}
		if err := s.Conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
			return written, err
		}
	}
	return written, err
}

// readRecord reads ahead the first TLS record, a ClientHello, without more
// memory than bytes came. What is no such record is left to the handshake.
func (s *socket) readRecord() error {
	b := append(make([]byte, 0, 2<<10), s.rest...)
	s.rest = nil
	for !wholeRecord(b) {
		if len(b) == cap(b) {
			b = append(make([]byte, 0, 2*cap(b)), b...)
		}
		n, err := s.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err != nil {
			return err
		}
	}
	s.rest = b
	return nil
}

func wholeRecord(b []byte) bool {
	const handshake, header, longest = 0x16, 5, 16 << 10
	if len(b) > 0 && b[0] != handshake {
		return true
	}
	if len(b) < header {
		return false
	}
	n := int(b[3])<<8 | int(b[4])
	return n > longest || len(b) >= header+n
}

// CloseWrite ends this side's half.
func (s *socket) CloseWrite() error { return closeWrite(s.Conn) }

// hurry bounds the writes of a Close.
func (s *socket) hurry() { s.leaving.Store(true) }

func closeWrite(nc net.Conn) error {
	if c, ok := nc.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return errors.ErrUnsupported
}

// farewell lets the last words arrive: closing a TCP socket with unread input
// resets it, and the peer may lose what was sent just before.
func farewell(nc net.Conn) {
	if closeWrite(nc) != nil || nc.SetReadDeadline(time.Now().Add(farewellTimeout)) != nil {
		return
	}
	io.Copy(io.Discard, io.LimitReader(nc, handshakeBytes)) // whatever ends it, the socket is closed next
}
