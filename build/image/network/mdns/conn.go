package mdns

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

type conn struct{ udp *net.UDPConn }

// Dial opens the link's mDNS socket, one for IPv4 and IPv6. It is made by hand:
// package net would look once, at a time when the board may have no address of
// IPv6, whether there is IPv6 at all.
func Dial(ifi *net.Interface) (Conn, error) {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), "mdns")
	defer f.Close() // the connection has a copy
	set := func(level, option, value int) error { return unix.SetsockoptInt(fd, level, option, value) }
	link := &unix.IPMreqn{Multiaddr: Group.Addr().As4(), Ifindex: int32(ifi.Index)}
	err = errors.Join(
		set(unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.BindToDevice(fd, ifi.Name),
		set(unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0),
		unix.Bind(fd, &unix.SockaddrInet6{Port: int(Group.Port())}),
		unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, link),
		unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, link),
		set(unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, 255),
		set(unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0),
		unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, &unix.IPv6Mreq{Multiaddr: Group6.Addr().As16(), Interface: uint32(ifi.Index)}),
		set(unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, ifi.Index),
		set(unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255),
		set(unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, 255),
		set(unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, 0))
	if err != nil {
		return nil, os.NewSyscallError("setsockopt", err)
	}
	socket, err := net.FilePacketConn(f)
	if err != nil {
		return nil, err
	}
	return &conn{socket.(*net.UDPConn)}, nil
}

func (c *conn) Send(b []byte, to netip.AddrPort) error {
	// An address of IPv4 is one of IPv6 to the socket.
	_, err := c.udp.WriteToUDPAddrPort(b, netip.AddrPortFrom(netip.AddrFrom16(to.Addr().As16()), to.Port()))
	return err
}

func (c *conn) Receive(b []byte, deadline time.Time) (int, netip.AddrPort, error) {
	if err := c.udp.SetReadDeadline(deadline); err != nil {
		return 0, netip.AddrPort{}, err
	}
	n, from, err := c.udp.ReadFromUDPAddrPort(b)
	return n, netip.AddrPortFrom(from.Addr().Unmap().WithZone(""), from.Port()), err // there is one link only
}

func (c *conn) Close() error { return c.udp.Close() }
