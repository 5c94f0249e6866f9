package bridge

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	addressStagger = 300 * time.Millisecond // RFC 8305, 5
	addressMaxAge  = 24 * time.Hour
)

// resolver finds addresses and connects to them. It remembers those that
// worked, so that a dead or a lying name server does not take the link down, and
// one behind which nobody answers, so that the others get their turn.
type resolver struct {
	lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	known  map[string]known      // by host
	mute   map[string]netip.Addr // by host: it took the last connection; no answer to CONNECT came yet
}

// known is the address of the last connection that was answered.
type known struct {
	addr netip.Addr
	at   time.Time
}

func newResolver(lookup func(ctx context.Context, host string) ([]netip.Addr, error)) resolver {
	return resolver{lookup: lookup, known: map[string]known{}, mute: map[string]netip.Addr{}}
}

// answered is told that the last connection to host leads to a server.
func (r *resolver) answered(host string) {
	if addr, ok := r.mute[host]; ok {
		r.known[host] = known{addr, time.Now()}
		delete(r.mute, host)
	}
}

// dial connects over TCP to server, a host:port.
func (r *resolver) dial(ctx context.Context, server string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(server)
	if err != nil {
		return nil, err
	}
	addrs, err := r.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	dctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	c, addr, err := race(dctx, addrs, port)
	if err == nil {
		r.mute[host] = addr
	}
	return c, err
}

// resolve returns the addresses of host, and at the end the one that worked
// last, and the one that is mute.
func (r *resolver) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	rctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	addrs, err := r.lookup(rctx, host)
	if k, ok := r.known[host]; ok && time.Since(k.at) < addressMaxAge && !slices.Contains(addrs, k.addr) {
		addrs, err = append(addrs, k.addr), nil
	}
	if i := slices.Index(addrs, r.mute[host]); i >= 0 {
		addrs = append(slices.Delete(addrs, i, i+1), r.mute[host])
	}
	if err == nil && len(addrs) == 0 {
		err = errors.New("no address")
	}
	if err != nil {
		return nil, failf(ClassDNS, "resolve %s: %w", host, err)
	}
	return addrs, nil
}

// race tries the addresses in order, each a moment after the one before, and
// returns the first connection.
func race(ctx context.Context, addrs []netip.Addr, port string) (net.Conn, netip.Addr, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		c    net.Conn
		addr netip.Addr
		err  error
	}
	results := make(chan result, len(addrs))
	var wg sync.WaitGroup
	for i, a := range addrs {
		wg.Go(func() {
			if err := sleep(ctx, time.Duration(i)*addressStagger); err != nil {
				results <- result{err: err}
				return
			}
			nd := net.Dialer{
				KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
				Control:         setUserTimeout,
			}
			c, err := nd.DialContext(ctx, "tcp", net.JoinHostPort(a.Unmap().String(), port))
			results <- result{c, a, err}
		})
	}
	var won result
	for range addrs {
		r := <-results
		switch {
		case r.err == nil && won.c == nil:
			won = r
			cancel()
		case r.err == nil:
			_ = r.c.Close()
		case won.err == nil:
			won.err = r.err // of the first to fail
		}
	}
	wg.Wait()
	if won.c == nil {
		return nil, netip.Addr{}, won.err
	}
	if t, ok := won.c.(*net.TCPConn); ok {
		_ = t.SetWriteBuffer(sendBuffer) // an optimization: the default works too
	}
	return won.c, won.addr, nil
}
