package broker

import (
	"net"
	"net/netip"

	"github.com/dunlin-mqtt/dunlin/broker/internal/listen"
)

// addressOf is the network that a remote address "host:port" counts for; not
// valid for other transports.
func addressOf(remote string) netip.Addr {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return network(ap.Addr())
}

func addressOfConn(nc net.Conn) netip.Addr {
	if b, ok := nc.(*listen.Bare); ok {
		return network(b.Remote().Addr())
	}
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		return network(a.AddrPort().Addr())
	}
	return netip.Addr{}
}

// network is the part of an address that one customer has.
func network(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if !a.Is6() {
		return a
	}
	p, _ := a.Prefix(64) // an IPv6 address has one
	return p.Addr()
}

// loopback reports whether a network is that of this machine.
func loopback(a netip.Addr) bool {
	return a.IsLoopback() || a == netip.IPv6Unspecified() // the /64 of ::1
}
