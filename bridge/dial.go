package bridge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/websocket"
)

// Deadlines of one attempt at one server; attemptTimeout bounds all of them
// but CONNACK.
const (
	resolveTimeout = 5 * time.Second
	dialTimeout    = 10 * time.Second
	proxyTimeout   = 10 * time.Second
	tlsTimeout     = 15 * time.Second
	upgradeTimeout = 10 * time.Second
	attemptTimeout = 35 * time.Second
	connackTimeout = 10 * time.Second
	subackTimeout  = 10 * time.Second
	sendBuffer     = 64 << 10 // so that the window, not the kernel, holds what waits
)

// server is one parsed entry of Options.Servers.
type server struct {
	host, port string
	tls        bool
	path       string // of the WebSocket upgrade; empty: MQTT itself
}

func (s server) address() string { return net.JoinHostPort(s.host, s.port) }

// schemes are the transports.
var schemes = map[string]struct {
	port    string
	tls, ws bool
}{
	"mqtt": {port: "1883"}, "tcp": {port: "1883"},
	"mqtts": {port: "8883", tls: true}, "ssl": {port: "8883", tls: true},
	"ws": {port: "80", ws: true}, "wss": {port: "443", tls: true, ws: true},
}

func parseServer(text string) (server, error) {
	u, err := url.Parse(text)
	if err != nil {
		return server{}, errors.New("server: not a URL") // it may hold a password
	}
	scheme, ok := schemes[u.Scheme]
	s := server{host: u.Hostname(), port: u.Port(), tls: scheme.tls}
	switch {
	case !ok:
		return server{}, fmt.Errorf("server %q: the scheme must be mqtt, mqtts, ws or wss", shown(text))
	case s.host == "":
		return server{}, fmt.Errorf("server %q: the host is missing", shown(text))
	case u.User != nil || u.Fragment != "":
		return server{}, fmt.Errorf("server %q: only scheme://host:port/path is understood", shown(text))
	case scheme.ws:
		s.path = u.RequestURI() // "/" at least
	case u.Path != "" && u.Path != "/" || u.RawQuery != "":
		return server{}, fmt.Errorf("server %q: only ws and wss have a path", shown(text))
	}
	if s.port == "" {
		s.port = scheme.port
	}
	return s, nil
}

// shown is an address for a message; one that may hold a password is not.
func shown(address string) string {
	if strings.Contains(address, "@") {
		return "***"
	}
	return address
}

// dialer connects to servers. It is used by one goroutine at a time.
type dialer struct {
	tls   func() (*tls.Config, error) // nil: the system's roots
	dial  func(ctx context.Context, server string) (net.Conn, error)
	proxy *proxy // nil: none
	adapt func(cfg *tls.Config, port string)
	built time.Time
	names resolver
}

func newDialer(o *Options) (*dialer, error) {
	d := &dialer{tls: o.TLS, dial: o.Dial, adapt: o.Profile.configure, built: o.Built}
	d.names = newResolver(func(ctx context.Context, host string) ([]netip.Addr, error) {
		return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	})
	if d.dial == nil {
		d.dial = d.names.dial
	}
	if o.Proxy == "" {
		return d, nil
	}
	var err error
	d.proxy, err = parseProxy(o.Proxy)
	return d, err
}

// connect returns a connection to s that carries MQTT: through the proxy,
// verified if s has TLS, upgraded if it is WebSocket.
func (d *dialer) connect(ctx context.Context, s server) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	c, err := d.open(ctx, s)
	if err != nil {
		if op := (*net.OpError)(nil); errors.As(err, &op) && op.Addr != nil && op.Addr.String() == s.address() {
			err = op.Err // the address is said once
		}
		return nil, fmt.Errorf("connect to %s: %w", s.address(), err)
	}
	if s.tls {
		if c, err = d.secure(ctx, c, s); err != nil {
			return nil, fmt.Errorf("TLS with %s: %w", s.address(), err)
		}
	}
	if s.path == "" {
		return c, nil
	}
	var rest []byte
	err = within(ctx, c, upgradeTimeout, "answer to the WebSocket request", func() (err error) {
		rest, err = upgrade(c, s)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("WebSocket with %s: %w", s.address(), err)
	}
	return websocket.Client(c, rest), nil
}

// open connects to the server, or to the proxy and through it.
func (d *dialer) open(ctx context.Context, s server) (net.Conn, error) {
	address := s.address()
	if d.proxy != nil {
		address = d.proxy.address
	}
	dctx, cancel := context.WithTimeout(ctx, dialTimeout+resolveTimeout)
	defer cancel()
	c, err := d.dial(dctx, address)
	if err == nil {
		c = progressConn{c, quiet(c)}
	}
	if d.proxy == nil {
		return c, err
	}
	if err == nil {
		err = within(ctx, c, proxyTimeout, "answer of the proxy", func() error { return d.proxy.connect(c, s) })
	}
	if err != nil {
		return nil, fmt.Errorf("through the proxy %s: %w", d.proxy.address, err)
	}
	return c, nil
}

// within runs one exchange on c, for at most d. When that fails, c is closed.
func within(ctx context.Context, c net.Conn, d time.Duration, what string, f func() error) error {
	wctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	unblock := context.AfterFunc(wctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	err := f()
	if !unblock() && err == nil {
		err = wctx.Err()
	}
	if err == nil {
		return nil
	}
	_ = c.Close()
	if errors.Is(wctx.Err(), context.DeadlineExceeded) {
		return failf(ClassTimeout, "no %s within %v", what, d)
	}
	return err
}
