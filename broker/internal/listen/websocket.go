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
	controlTimeout = 5 * time.Second // for a Pong
	joined         = 16 << 10        // bytes of payload that are copied behind their header for one write
)

var frameBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// webSocket is the server's end of a WebSocket connection (RFC 6455) as a
// stream of MQTT bytes. It keeps no buffer: Read takes frames apart in the
// caller's. Extensions are not spoken: no compression, no deflate bomb.
type webSocket struct {
	net.Conn
	rest []byte // came with the upgrade request

	// The reader's own.
	in   frames
	done error

	turn   chan struct{} // held while a frame is written
	pong   atomic.Pointer[[]byte]
	closed atomic.Bool // Close was sent, or writing failed
}

// newWebSocket speaks WebSocket on nc, on which the upgrade was answered. rest
// is what was read beyond the request.
//
// This is also the way in for an HTTP server that took nc over (hijacked it)
// after the same answer.
func newWebSocket(nc net.Conn, rest []byte) *webSocket {
	return &webSocket{Conn: nc, rest: rest, turn: make(chan struct{}, 1)}
}

// Read reads payload of binary frames; io.EOF is a Close frame of the client.
func (w *webSocket) Read(p []byte) (int, error) {
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

func (w *webSocket) fetch(p []byte) (int, error) {
	if len(w.rest) > 0 {
		n := copy(p, w.rest)
		w.rest = w.rest[n:]
		return n, nil
	}
	return w.Conn.Read(p)
}

// end answers a Close frame, or tells the client what it did wrong.
func (w *webSocket) end(err error) error {
	var e *closeError
	if !errors.As(err, &e) {
		return err
	}
	w.sendClose(e)
	if e.peer {
		return io.EOF
	}
	farewell(w.Conn)
	return err
}

// Write sends p as one message.
func (w *webSocket) Write(p []byte) (n int, err error) {
	w.turn <- struct{}{}
	if w.closed.Load() {
		err = net.ErrClosed
	} else {
		n, err = w.message(p)
	}
	<-w.turn
	w.answer()
	return n, err
}

// message writes one binary frame. The caller has the turn.
func (w *webSocket) message(p []byte) (n int, err error) {
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

// answer sends the Pong that waits, unless a write is under way: the writer
// does it then. So the reader never waits for a writer.
func (w *webSocket) answer() {
	for w.pong.Load() != nil {
		select {
		case w.turn <- struct{}{}:
		default:
			return
		}
		if p := w.pong.Swap(nil); p != nil && !w.closed.Load() {
			w.control(append(appendHeader(nil, opPong, len(*p)), *p...), controlTimeout)
		}
		<-w.turn
	}
}

// control writes a control frame. The caller has the turn.
func (w *webSocket) control(frame []byte, limit time.Duration) {
	err := w.Conn.SetWriteDeadline(time.Now().Add(limit))
	if err == nil {
		_, err = w.Conn.Write(frame)
	}
	if err != nil {
		w.closed.Store(true) // the next Write and the reader's end tell
	}
}

// sendClose sends a Close frame, once, unless somebody is stuck in a write. It
// reports whether it did.
func (w *webSocket) sendClose(e *closeError) bool {
	select {
	case w.turn <- struct{}{}:
	default:
		return false
	}
	defer func() { <-w.turn }()
	if w.closed.Load() {
		return false
	}
	w.control(appendClose(nil, e), farewellTimeout)
	return !w.closed.Swap(true)
}

// CloseWrite starts the closing handshake (RFC 6455, 7.1.2): reads go on until
// the client has answered.
func (w *webSocket) CloseWrite() error {
	w.sendClose(&closeError{code: closeNormal})
	return nil
}

// Close ends the connection. If no Close frame was sent yet, it sends one and
// gives the client a second to read it.
func (w *webSocket) Close() error {
	if w.sendClose(&closeError{code: closeNormal}) {
		farewell(w.Conn)
	}
	return w.Conn.Close()
}
