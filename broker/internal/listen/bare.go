package listen

import (
	"net"
	"net/netip"
	"os"
)

// Bare is an accepted TCP connection that the runtime's poller does not know:
// an event loop takes its descriptor. It has nothing of net.Conn but RemoteAddr
// and Close; who needs the rest asks for Whole.
type Bare struct {
	net.Conn // nil
	fd       int
	remote   netip.AddrPort
}

// Take gives the descriptor away; the caller closes it.
func (b *Bare) Take() int {
	fd := b.fd
	b.fd = -1
	return fd
}

// Remote is the address of the other side.
func (b *Bare) Remote() netip.AddrPort { return b.remote }

// RemoteAddr implements net.Conn.
func (b *Bare) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(b.remote) }

// Close implements net.Conn.
func (b *Bare) Close() error {
	if b.fd < 0 {
		return net.ErrClosed
	}
	return closeSocket(b.Take())
}

// Whole returns nc, or what package net makes of it if it is Bare: a connection
// that has ended if that fails.
func Whole(nc net.Conn) net.Conn {
	b, ok := nc.(*Bare)
	if !ok {
		return nc
	}
	f := os.NewFile(uintptr(b.Take()), "socket")
	defer f.Close() // FileConn has a duplicate
	nc, err := net.FileConn(f)
	if err != nil {
		nc, _ = net.Pipe()
		nc.Close()
	}
	return nc
}
