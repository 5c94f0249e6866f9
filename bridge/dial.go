package bridge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"sync"
	"time"
)

// Deadlines of one attempt; together below 45 s.
const (
	resolveTimeout = 5 * time.Second
	dialTimeout    = 10 * time.Second
	tlsTimeout     = 15 * time.Second
	connackTimeout = 10 * time.Second
	subackTimeout  = 10 * time.Second
	addressStagger = 300 * time.Millisecond // RFC 8305, 5
	addressMaxAge  = 24 * time.Hour
	sendBuffer     = 64 << 10 // so that the window, not the kernel, holds what waits
)

// server is one parsed entry of Options.Servers.
type server struct {
	host, port string
	tls        bool
}

func (s server) address() string { return net.JoinHostPort(s.host, s.port) }

func parseServer(text string) (server, error) {
	u, err := url.Parse(text)
	if err != nil {
		return server{}, fmt.Errorf("server %q: %w", text, errors.Unwrap(err))
	}
	s := server{host: u.Hostname(), port: u.Port()}
	switch u.Scheme {
	case "mqtt", "tcp":
		s.port = orDefault(s.port, "1883")
	case "mqtts", "ssl":
		s.tls = true
		s.port = orDefault(s.port, "8883")
	default:
		return server{}, fmt.Errorf("server %q: the scheme must be mqtt, mqtts, tcp or ssl", text)
	}
	if s.host == "" {
		return server{}, fmt.Errorf("server %q: the host is missing", text)
	}
	if u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" {
		return server{}, fmt.Errorf("server %q: only scheme://host:port is understood", u.Redacted())
	}
	return s, nil
}

func orDefault(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// dialer connects to servers. It remembers the last good addresses of each, so
// that a dead resolver does not take the link down with it.
type dialer struct {
	tls    *tls.Config
	dial   func(ctx context.Context, server string) (net.Conn, error) // nil: TCP
	lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	known  map[string]known // by host; used by one goroutine
}

type known struct {
	addrs []netip.Addr
	at    time.Time
}

func newDialer(cfg *tls.Config, hook func(context.Context, string) (net.Conn, error)) *dialer {
	return &dialer{tls: cfg, dial: hook, known: map[string]known{},
		lookup: func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}}
}

// connect returns an established, for mqtts verified, connection to s.
func (d *dialer) connect(ctx context.Context, s server) (net.Conn, error) {
	c, err := d.open(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", s.address(), err)
	}
	c = progressConn{c}
	if !s.tls {
		return c, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if d.tls != nil {
		cfg = d.tls.Clone()
	}
	if cfg.ServerName == "" {
		cfg.ServerName = s.host
	}
	hctx, cancel := context.WithTimeout(ctx, tlsTimeout)
	defer cancel()
	t := tls.Client(c, cfg)
	if err := t.HandshakeContext(hctx); err != nil {
		_ = c.Close()
		if errors.Is(err, context.DeadlineExceeded) {
			return nil, failf(ClassTimeout, "TLS with %s: no answer within %v", s.address(), tlsTimeout)
		}
		return nil, fmt.Errorf("TLS with %s: %w", s.address(), err)
	}
	return t, nil
}

func (d *dialer) open(ctx context.Context, s server) (net.Conn, error) {
	if d.dial != nil {
		dctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		return d.dial(dctx, s.address())
	}
	addrs, err := d.resolve(ctx, s.host)
	if err != nil {
		return nil, err
	}
	dctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return race(dctx, addrs, s.port)
}

func (d *dialer) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	rctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	now := time.Now()
	addrs, err := d.lookup(rctx, host)
	if err == nil && len(addrs) > 0 {
		d.known[host] = known{addrs, now}
		return addrs, nil
	}
	if k, ok := d.known[host]; ok && now.Sub(k.at) < addressMaxAge {
		return k.addrs, nil
	}
	if err == nil {
		err = errors.New("no address")
	}
	return nil, failf(ClassDNS, "resolve %s: %w", host, err)
}

// race tries the addresses in order, each a moment after the one before, and
// returns the first connection.
func race(ctx context.Context, addrs []netip.Addr, port string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		c   net.Conn
		err error
	}
	results := make(chan result, len(addrs))
	var wg sync.WaitGroup
	for i, a := range addrs {
		wg.Go(func() {
			delay := time.NewTimer(time.Duration(i) * addressStagger)
			defer delay.Stop()
			select {
			case <-delay.C:
			case <-ctx.Done():
				results <- result{err: ctx.Err()}
				return
			}
			nd := net.Dialer{
				KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
				Control:         setUserTimeout,
			}
			c, err := nd.DialContext(ctx, "tcp", net.JoinHostPort(a.Unmap().String(), port))
			results <- result{c, err}
		})
	}
	var won net.Conn
	var first error
	for range addrs {
		r := <-results
		switch {
		case r.err == nil && won == nil:
			won = r.c
			cancel()
		case r.err == nil:
			_ = r.c.Close()
		case first == nil:
			first = r.err
		}
	}
	wg.Wait()
	if won == nil {
		return nil, first
	}
	if t, ok := won.(*net.TCPConn); ok {
		_ = t.SetWriteBuffer(sendBuffer) // an optimization: the default works too
	}
	return won, nil
}
