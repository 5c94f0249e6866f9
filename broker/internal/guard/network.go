package guard

import "net/netip"

// Network is the part of an address that one customer has.
func Network(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if !a.Is6() {
		return a
	}
	p, _ := a.Prefix(64) // an IPv6 address has one
	return p.Addr()
}

// Loopback reports whether a network is that of this machine.
func Loopback(a netip.Addr) bool {
	return a.IsLoopback() || a == netip.IPv6Unspecified() // the /64 of ::1
}
