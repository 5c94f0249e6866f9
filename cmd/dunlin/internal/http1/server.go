package http1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Handler answers a request. ctx ends when the server stops. It must answer in
// its own time: nothing bounds it but the client's patience.
type Handler func(ctx context.Context, w *Writer, r *Request)

// Server serves one listener.
type Server struct {
	Handler Handler
	// Refuse answers what is no request, in the Handler's form; nil: a line of
	// text.
	Refuse func(w *Writer, status int, why string)
	// Connections is how many there may be at a time; default 32. For one more
	// the one is closed that has kept us waiting longest, for its request or to
	// take its answer; if none does, the new one.
	Connections int
	// Full is called when a connection is closed because there are too many.
	Full func()
	// Body is the largest body in bytes; default 1 MiB.
	Body int
	// Stream reports whether a request's body, of any length, is for the Handler
	// to read. Its connection ends with it.
	Stream func(*Request) bool
	// Upgrade is offered a request that asks for another protocol, with its
	// connection and all that was read of it; true: the connection is not the
	// Server's any more.
	Upgrade func(r *Request, read []byte) bool
	// Patience bounds each wait for a client that has begun something: a head,
	// a body, taking an answer. Default 10 s. Between requests it may be
	// silent for six times as long.
	Patience time.Duration
	Log      *slog.Logger // nil discards

	open struct {
		sync.Mutex
		conns map[*conn]struct{}
		ended bool
	}
}

func (s *Server) patience() time.Duration {
	if s.Patience > 0 {
		return s.Patience
	}
	return 10 * time.Second
}

// Serve accepts until ctx ends; then it closes the listener and every
// connection, waits for the Handlers, and returns nil. Where somebody else has
// closed the listener it goes on with the connections that there are until they
// or ctx end. Errors of accept end nothing.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	stop := context.AfterFunc(ctx, func() {
		ln.Close()
		s.closeAll()
	})
	defer stop()
	var running sync.WaitGroup
	defer running.Wait()
	for {
		nc, err := ln.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				nc.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil: // no file descriptors left, perhaps: others may free some
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		c := &conn{s: s, nc: nc, waits: time.Now()}
		if !s.enter(c) {
			nc.Close()
			continue
		}
		running.Go(func() {
			defer s.leave(c)
			c.serve(ctx)
		})
	}
}

func (s *Server) enter(c *conn) bool {
	most := s.Connections
	if most == 0 {
		most = 32
	}
	s.open.Lock()
	defer s.open.Unlock()
	if s.open.ended {
		return false
	}
	if len(s.open.conns) >= most {
		if s.Full != nil {
			s.Full()
		}
		if !s.closeOne() {
			return false
		}
	}
	if s.open.conns == nil {
		s.open.conns = make(map[*conn]struct{})
	}
	s.open.conns[c] = struct{}{}
	return true
}

// closeOne closes who has kept us waiting longest, so that nobody takes all
// places by doing nothing. The caller holds the lock of open.
func (s *Server) closeOne() bool {
	var slowest *conn
	for c := range s.open.conns {
		if !c.waits.IsZero() && (slowest == nil || c.waits.Before(slowest.waits)) {
			slowest = c
		}
	}
	if slowest == nil {
		return false
	}
	slowest.nc.Close()
	delete(s.open.conns, slowest)
	return true
}

func (s *Server) leave(c *conn) {
	if !c.taken {
		c.nc.Close()
	}
	s.open.Lock()
	delete(s.open.conns, c)
	s.open.Unlock()
}

func (s *Server) closeAll() {
	s.open.Lock()
	defer s.open.Unlock()
	s.open.ended = true
	for c := range s.open.conns {
		c.nc.Close()
	}
}

// conn is one connection.
type conn struct {
	s     *Server
	nc    net.Conn
	buf   []byte // read and not used yet
	taken bool   // by Upgrade
	// waits is since when we wait for the client; zero: we do not. The lock of
	// open guards it.
	waits time.Time
}

// wait says whether we wait for the client from now on.
func (c *conn) wait(on bool) {
	c.s.open.Lock()
	defer c.s.open.Unlock()
	if c.waits = (time.Time{}); on {
		c.waits = time.Now()
	}
}

func (c *conn) serve(ctx context.Context) {
	for ctx.Err() == nil {
		r, wrong, err := c.next()
		c.wait(false)
		if err != nil {
			return // nobody is there to be told
		}
		if wrong != nil {
			c.refuse(wrong)
			return
		}
		w := &Writer{c: c, r: r}
		c.answer(ctx, w)
		if !w.finish() {
			c.farewell()
			return
		}
		c.wait(true)
	}
}

// answer calls the Handler; a panic of it costs the connection only.
func (c *conn) answer(ctx context.Context, w *Writer) {
	defer func() {
		if p := recover(); p != nil {
			if c.s.Log != nil {
				c.s.Log.Error("a request panicked", "method", w.r.Method, "path", w.r.Path, "err", fmt.Sprint(p))
			}
			w.r.close = true
			w.Reply(500, "text/plain", []byte("this is a mistake in dunlin\n"))
		}
	}()
	c.s.Handler(ctx, w, w.r)
}

// next waits for a request. An error means that the client has gone or took
// too long.
func (c *conn) next() (*Request, *refusal, error) {
	c.nc.SetReadDeadline(time.Now().Add(6 * c.s.patience()))
	begun, end := false, 0
	for {
		if !begun && len(c.buf) > 0 {
			begun = true
			c.nc.SetReadDeadline(time.Now().Add(c.s.patience()))
		}
		if end = endOfHead(c.buf); end >= 0 {
			break
		}
		if len(c.buf) >= maxHead {
			return nil, &refusal{431, "the request has no end"}, nil
		}
		if err := c.read(maxHead); err != nil {
			return nil, nil, err
		}
	}
	r, wrong := parse(c.buf[:end])
	if wrong != nil {
		return nil, wrong, nil
	}
	r.Conn = c.nc
	if c.upgrade(r) {
		return nil, nil, errTaken
	}
	c.buf = c.buf[end+4:]
	if c.s.Stream != nil && c.s.Stream(r) {
		r.Rest, r.close = &rest{c: c, r: r}, true
		return r, nil, nil
	}
	wrong, err := c.body(r)
	return r, wrong, err
}

// errTaken ends the serving of a connection that is somebody else's.
var errTaken = errors.New("upgraded")

// upgrade offers a request that asks for another protocol.
func (c *conn) upgrade(r *Request) bool {
	if c.s.Upgrade != nil && r.Header.Get("upgrade") != "" {
		c.nc.SetReadDeadline(time.Time{})
		c.wait(false)
		c.taken = c.s.Upgrade(r, c.buf)
	}
	return c.taken
}

func (c *conn) body(r *Request) (*refusal, error) {
	most := c.s.Body
	if most == 0 {
		most = 1 << 20
	}
	if r.length > most {
		return &refusal{413, "the body is too large"}, nil
	}
	c.goOn(r)
	c.nc.SetReadDeadline(time.Now().Add(c.s.patience()))
	for len(c.buf) < r.length {
		if err := c.read(r.length); err != nil {
			return nil, err
		}
	}
	r.Body = append([]byte(nil), c.buf[:r.length]...)
	c.buf = c.buf[r.length:]
	return nil, nil
}

// goOn tells a client that waits for it to send its body (RFC 9110, 10.1.1).
func (c *conn) goOn(r *Request) {
	if r.length > 0 && r.Header.Get("expect") != "" && len(c.buf) == 0 {
		(&Writer{c: c}).write([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
	}
}

// rest is what of a body has not been read.
type rest struct {
	c     *conn
	r     *Request
	begun bool
}

func (s *rest) Read(p []byte) (n int, err error) {
	if s.r.length == 0 {
		return 0, io.EOF
	}
	if !s.begun {
		s.begun = true
		s.c.goOn(s.r)
	}
	p = p[:min(len(p), s.r.length)]
	if len(s.c.buf) > 0 {
		n = copy(p, s.c.buf)
		s.c.buf = s.c.buf[n:]
	} else {
		s.c.nc.SetReadDeadline(time.Now().Add(s.c.s.patience()))
		n, err = s.c.nc.Read(p)
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	s.r.length -= n
	return n, err
}

// read adds to buf, which holds less than most bytes, and grows only with what
// arrives.
func (c *conn) read(most int) error {
	if len(c.buf) == cap(c.buf) {
		c.buf = append(make([]byte, 0, max(1<<10, min(2*len(c.buf), most))), c.buf...)
	}
	n, err := c.nc.Read(c.buf[len(c.buf):cap(c.buf)])
	c.buf = c.buf[:len(c.buf)+n]
	if n > 0 {
		return nil
	}
	return err
}

func (c *conn) refuse(wrong *refusal) {
	w := &Writer{c: c, r: &Request{close: true}}
	if c.s.Refuse != nil {
		c.s.Refuse(w, wrong.status, wrong.why)
	} else {
		w.Reply(wrong.status, "text/plain", []byte(wrong.why+"\n"))
	}
	c.farewell()
}

// farewell lets the client read the answer before the connection ends: closing
// while data of the client lies unread would reset it.
func (c *conn) farewell() {
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	c.wait(true)
	c.nc.SetReadDeadline(time.Now().Add(time.Second))
	var sink [512]byte
	for range 64 {
		if _, err := c.nc.Read(sink[:]); err != nil {
			return
		}
	}
}
