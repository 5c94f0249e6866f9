package websocket

import (
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	controlTimeout = 5 * time.Second // for a Pong
	closeTimeout   = time.Second     // for a Close frame
	joined         = 16 << 10        // bytes of payload that are copied behind their header for one write
)

var frameBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// Conn is one end of a WebSocket connection (RFC 6455) as a stream of MQTT
// bytes. It keeps no buffer: Read takes frames apart in the caller's.
// Extensions are not spoken: no compression, no deflate bomb.
type Conn struct {
	net.Conn
	rest []byte // came with the upgrade
	last func(net.Conn)

	// The reader's own.
	in   frames
	done error

	turn   chan struct{} // held while a frame is written
	pong   atomic.Pointer[[]byte]
	closed atomic.Bool // Close was sent, or writing failed
}

// Server speaks WebSocket on nc, on which the upgrade was answered. rest is
// what was read beyond the request. last is called with nc after the last
// frame was written and before nc is closed: it may wait until the peer has
// read it.
//
// This is also the way in for an HTTP server that took nc over (hijacked it)
// after the same answer.
func Server(nc net.Conn, rest []byte, last func(net.Conn)) *Conn {
	return &Conn{Conn: nc, rest: rest, last: last, turn: make(chan struct{}, 1)}
}

// Client is Server for the end that asked for the upgrade: its frames are
// masked. rest is what was read beyond the answer.
func Client(nc net.Conn, rest []byte) *Conn {
	c := Server(nc, rest, func(net.Conn) {})
	c.in.server = true
	return c
}

// Read reads payload of binary frames; io.EOF is a Close frame of the peer.
func (w *Conn) Read(p []byte) (int, error) {
	for w.done == nil {
		m, err := w.fetch(p)
		n, ferr := w.in.decode(p[:m])
		if ping := w.in.ping; ping != nil {
			w.in.ping = nil
			w.pong.Store(&ping)
			w.answer()
		}
		if ferr != nil {
			err = w.end(ferr)
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			w.done = err
		}
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
	}
	return 0, w.done
}

func (w *Conn) fetch(p []byte) (int, error) {
	if len(w.rest) > 0 {
		n := copy(p, w.rest)
		w.rest = w.rest[n:]
		return n, nil
	}
	return w.Conn.Read(p)
}

// end answers a Close frame, or tells the peer what it did wrong.
func (w *Conn) end(err error) error {
	var e *closeError
	if !errors.As(err, &e) {
		return err
	}
	w.sendClose(e, closeTimeout) // an answer may be on its way
	if e.peer {
		return io.EOF
	}
	w.last(w.Conn)
	return err
}

// Write sends p, a server in one message.
func (w *Conn) Write(p []byte) (n int, err error) {
	w.turn <- struct{}{}
	if w.closed.Load() {
		err = net.ErrClosed
	} else if w.in.server {
		n, err = w.messages(p)
	} else {
		n, err = w.message(p)
	}
	<-w.turn
	w.answer()
	return n, err
}

// message writes one binary frame. The caller has the turn.
func (w *Conn) message(p []byte) (n int, err error) {
	buf := frameBuffers.Get().(*[]byte)
	defer frameBuffers.Put(buf)
	b := appendHeader((*buf)[:0], opBinary, len(p))
	head, first := len(b), min(len(p), joined)
	b = append(b, p[:first]...)
	*buf = b
	n, err = w.Conn.Write(b)
	n = max(n-head, 0)
	if err == nil && first < len(p) {
		var more int
		more, err = w.Conn.Write(p[first:])
		n += more
	}
	if err != nil {
		w.closed.Store(true) // the frame is torn: nothing can follow it
	}
	return n, err
}

// messages writes masked copies of p in pieces, as frames. The caller has the
// turn.
func (w *Conn) messages(p []byte) (n int, err error) {
	buf := frameBuffers.Get().(*[]byte)
	defer frameBuffers.Put(buf)
	for n < len(p) {
		part := p[n:min(len(p), n+joined)]
		*buf = w.frame((*buf)[:0], opBinary, part)
		if _, err := w.Conn.Write(*buf); err != nil {
			w.closed.Store(true)
			return n, err
		}
		n += len(part)
	}
	return n, nil
}

// frame appends a whole frame, masked if this end is the client. The mask is
// no secret of ours: it keeps what a program writes from looking like a request
// to a proxy on the way (RFC 6455, 10.3).
func (w *Conn) frame(b []byte, op byte, payload []byte) []byte {
	start := len(b)
	b = appendHeader(b, op, len(payload))
	if !w.in.server {
		return append(b, payload...)
	}
	b[start+1] |= 0x80
	var mask [4]byte
	rand.Read(mask[:]) // never fails
	b = append(b, mask[:]...)
	at := len(b)
	b = append(b, payload...)
	exclusiveOr(b[at:], mask, 0)
	return b
}

// answer sends the Pong that waits, unless a write is under way: the writer
// does it then. So the reader never waits for a writer.
func (w *Conn) answer() {
	for w.pong.Load() != nil {
		select {
		case w.turn <- struct{}{}:
		default:
			return
		}
		if p := w.pong.Swap(nil); p != nil && !w.closed.Load() {
			w.control(w.frame(nil, opPong, *p), controlTimeout)
		}
		<-w.turn
	}
}

// control writes a control frame. The caller has the turn.
func (w *Conn) control(frame []byte, limit time.Duration) {
	err := w.Conn.SetWriteDeadline(time.Now().Add(limit))
	if err == nil {
		_, err = w.Conn.Write(frame)
	}
	if err != nil {
		w.closed.Store(true) // the next Write and the reader's end tell
	}
}

// sendClose sends a Close frame, once, unless somebody is stuck in a write for
// longer than patience. It reports whether it did.
func (w *Conn) sendClose(e *closeError, patience time.Duration) bool {
	select {
	case w.turn <- struct{}{}:
	default:
		if patience == 0 {
			return false
		}
		late := time.NewTimer(patience)
		defer late.Stop()
		select {
		case w.turn <- struct{}{}:
		case <-late.C:
			return false
		}
	}
	defer func() { <-w.turn }()
	if w.closed.Load() {
		return false
	}
	w.control(w.frame(nil, opClose, e.payload()), closeTimeout)
	return !w.closed.Swap(true)
}

// CloseWrite starts the closing handshake (RFC 6455, 7.1.2): reads go on until
// the peer has answered.
func (w *Conn) CloseWrite() error {
	w.sendClose(&closeError{code: closeNormal}, 0)
	return nil
}

// Close ends the connection. If no Close frame was sent yet, it sends one and
// lets it arrive.
func (w *Conn) Close() error {
	if w.sendClose(&closeError{code: closeNormal}, 0) {
		w.last(w.Conn)
	}
	return w.Conn.Close()
}
