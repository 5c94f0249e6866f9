package listen

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/websocket"
)

// Layers say what lies between a socket and MQTT. The zero value is nothing.
type Layers struct {
	// Proxies are the networks whose PROXY header is required and believed:
	// the client's address, and the name in the certificate that the client
	// showed to the proxy. Connections from elsewhere are closed.
	Proxies   []netip.Prefix
	TLS       *TLS
	WebSocket *WebSocket
	Log       *slog.Logger // required
}

// Over returns a listener whose connections are Handshakers that work off the
// layers: PROXY, then TLS, then WebSocket. Without any it is ln itself.
func (l Layers) Over(ln net.Listener) net.Listener {
	if len(l.Proxies) == 0 && l.TLS == nil && l.WebSocket == nil {
		return ln
	}
	return &layeredListener{Listener: ln, layers: l, notice: &notice{log: l.Log}}
}

// Split takes a listener of Over apart: into the socket, and what puts the
// layers over a connection of it; of any other it is the listener, and nil.
func Split(ln net.Listener) (socket net.Listener, over func(net.Conn) net.Conn) {
	if l, ok := ln.(*layeredListener); ok {
		return l.Listener, l.over
	}
	return ln, nil
}

// OnRevoked has f called when connections of a listener of Over may have become
// Revoked without a Reload: a handshake found other files.
func OnRevoked(ln net.Listener, f func()) {
	if l, ok := ln.(*layeredListener); ok && l.layers.TLS != nil {
		l.layers.TLS.followed.Store(&f)
	}
}

type layeredListener struct {
	net.Listener
	layers Layers
	notice *notice
}

// Accept implements net.Listener. It does not wait for the client to say
// something.
func (l *layeredListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.over(nc), nil
}

func (l *layeredListener) over(nc net.Conn) net.Conn {
	h, _ := nc.(handedOver)
	if h.Conn != nil {
		nc = h.Conn
	}
	s := newSocket(nc)
	s.rest = h.read
	return &layered{Conn: s, top: s, l: l}
}

// layered is a connection with layers. Deadlines and addresses are the
// socket's, also during the handshake; bytes go through the layer on top.
type layered struct {
	net.Conn // the socket
	top      net.Conn
	l        *layeredListener
	begun    atomic.Bool
	secure   *tls.Conn // since the handshake; nil without TLS
}

// Begun reports whether the client has said hello in TLS, or was answered in
// WebSocket: it means to go on, and to end it now would waste what it cost.
func (c *layered) Begun() bool { return c.begun.Load() }

// Revoked reports whether the client's certificate has been revoked since the
// handshake. That its authority was exchanged is no reason: it was not the
// client that lost trust.
func (c *layered) Revoked() bool {
	if c.secure == nil {
		return false
	}
	s := c.secure.ConnectionState()
	return len(s.PeerCertificates) > 0 && !slices.ContainsFunc(s.VerifiedChains, c.l.layers.TLS.now.Load().unrevoked)
}

func (c *layered) socket() *socket { return c.Conn.(*socket) }

// Handshake implements Handshaker.
func (c *layered) Handshake() (Peer, error) {
	p, err := c.handshake()
	if err == nil {
		err = c.socket().open()
	}
	if err != nil && !gone(err) {
		c.l.notice.warn("connection refused before MQTT", "remote", p.Remote, "err", err)
	}
	return p, err
}

// gone reports whether the client left or said nothing: that is not worth a
// line.
func gone(err error) bool {
	var timeout net.Error
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.As(err, &timeout) && timeout.Timeout()
}

func (c *layered) handshake() (p Peer, err error) {
	s, l := c.socket(), &c.l.layers
	p = PeerOf(s.Conn)
	if len(l.Proxies) > 0 {
		if err := c.proxy(&p); err != nil {
			return p, err
		}
	}
	if l.TLS != nil {
		if err := c.tls(&p); err != nil {
			return p, err
		}
	}
	if l.WebSocket != nil {
		if err := s.step(stepTimeout); err != nil {
			return p, err
		}
		rest, err := l.WebSocket.upgrade(c.top, p.Local)
		if err != nil {
			return p, err
		}
		c.top = websocket.Server(c.top, rest, farewell)
		c.begun.Store(true)
	}
	return p, nil
}

func (c *layered) proxy(p *Peer) error {
	if !among(c.l.layers.Proxies, c.RemoteAddr()) {
		return errors.New("not from a network in proxy_protocol")
	}
	h, err := c.socket().readProxy()
	if err != nil || h.own {
		return err
	}
	if h.source != "" {
		p.Remote = h.source
	}
	p.CertificateUser, p.Local = h.user, false
	return nil
}

func (c *layered) tls(p *Peer) error {
	t, s := c.l.layers.TLS, c.socket()
	if err := s.readRecord(); err != nil {
		return err
	}
	c.begun.Store(true)
	if err := s.takeTurn(t.turns); err != nil {
		return err
	}
	defer s.pass()
	tc := tls.Server(s, t.base)
	if err := tc.Handshake(); err != nil {
		var plain tls.RecordHeaderError
		if errors.As(err, &plain) {
			return fmt.Errorf("the client does not speak TLS: %w", err)
		}
		return err
	}
	c.top, c.secure = tc, tc
	if user := t.now.Load().user(tc.ConnectionState()); user != "" {
		p.CertificateUser = user
	}
	return nil
}

func (c *layered) Read(b []byte) (int, error)  { return c.top.Read(b) }
func (c *layered) Write(b []byte) (int, error) { return c.top.Write(b) }
func (c *layered) CloseWrite() error           { return closeWrite(c.top) }

// Close implements net.Conn. What layers have to say last is bounded in time.
func (c *layered) Close() error {
	c.socket().hurry()
	return c.top.Close()
}

// notice keeps a log from being flooded: at most one line in a while, with the
// number of those left out.
type notice struct {
	log *slog.Logger

	lines struct {
		sync.Mutex
		next       time.Time
		suppressed int
	}
}

// noticeEvery is the shortest time between two lines.
const noticeEvery = 10 * time.Second

func (n *notice) warn(msg string, args ...any) {
	n.lines.Lock()
	now := time.Now()
	if now.Before(n.lines.next) {
		n.lines.suppressed++
		n.lines.Unlock()
		return
	}
	if n.lines.suppressed > 0 {
		args = append(args, "suppressed", n.lines.suppressed)
	}
	n.lines.next, n.lines.suppressed = now.Add(noticeEvery), 0
	n.lines.Unlock()
	n.log.Warn(msg, args...)
}
