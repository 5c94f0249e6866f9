package mdns

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

type conn struct{ udp *net.UDPConn }

// Dial opens the link's mDNS socket.
func Dial(ifi *net.Interface) (Conn, error) {
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var failed error
		err := raw.Control(func(fd uintptr) {
			failed = errors.Join(
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
				unix.BindToDevice(int(fd), ifi.Name))
		})
		return errors.Join(err, failed)
	}}
	socket, err := lc.ListenPacket(context.Background(), "udp4", "0.0.0.0:5353") // does not block
	if err != nil {
		return nil, err
	}
	p := ipv4.NewPacketConn(socket)
	err = errors.Join(
		p.JoinGroup(ifi, net.UDPAddrFromAddrPort(Group)),
		p.SetMulticastInterface(ifi),
		p.SetMulticastTTL(255),
		p.SetMulticastLoopback(false))
	if err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	return &conn{socket.(*net.UDPConn)}, nil
}

func (c *conn) Send(b []byte, to netip.AddrPort) error {
	_, err := c.udp.WriteToUDPAddrPort(b, to)
	return err
}

func (c *conn) Receive(b []byte, deadline time.Time) (int, netip.AddrPort, error) {
	if err := c.udp.SetReadDeadline(deadline); err != nil {
		return 0, netip.AddrPort{}, err
	}
	n, from, err := c.udp.ReadFromUDPAddrPort(b)
	return n, netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), err
}

func (c *conn) Close() error { return c.udp.Close() }
