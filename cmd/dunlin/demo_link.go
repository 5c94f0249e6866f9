package main

import (
	"context"
	"errors"
	"net"
	"sync"
)

var errLinkDown = errors.New("the demo's link is down")

// demoLink is the line between the demo's gateway and its cloud. While it is
// cut, connections end and new ones are refused, as when a modem loses its
// network.
type demoLink struct {
	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]struct{}
}

// Dial connects to server, or fails while the link is cut.
func (l *demoLink) Dial(ctx context.Context, server string) (net.Conn, error) {
	if l.isCut() {
		return nil, errLinkDown
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", server)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		c.Close()
		return nil, errLinkDown
	}
	if l.conns == nil {
		l.conns = map[net.Conn]struct{}{}
	}
	l.conns[c] = struct{}{}
	return &linkConn{Conn: c, link: l}, nil
}

func (l *demoLink) isCut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cut
}

// Cut ends all connections and refuses new ones.
func (l *demoLink) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	for c := range l.conns {
		c.Close() // the peer is on this machine: nothing to wait for
	}
	clear(l.conns)
}

// Mend lets connections through again.
func (l *demoLink) Mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = false
}

// linkConn is a connection that its link forgets when it is closed.
type linkConn struct {
	net.Conn
	link *demoLink
}

func (c *linkConn) Close() error {
	c.link.mu.Lock()
	delete(c.link.conns, c.Conn)
	c.link.mu.Unlock()
	return c.Conn.Close()
}
