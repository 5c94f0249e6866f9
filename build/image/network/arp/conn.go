package arp

import (
	"net"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Conn sends and receives a link's ARP packets, all by broadcast.
type Conn interface {
	Send(Packet) error
	// Receive waits for the next packet, until the deadline.
	Receive(deadline time.Time) (Packet, error)
	Close() error
}

type conn struct {
	socket *packet.Conn
	buf    [256]byte
}

var broadcast = &packet.Addr{HardwareAddr: net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}

// onlyOurs leaves out packets of VLANs of which this host is no member: the
// kernel hands them to packet sockets, marked as another host's.
var onlyOurs = []bpf.Instruction{
	bpf.LoadExtension{Num: bpf.ExtType},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.PACKET_OTHERHOST, SkipTrue: 1},
	bpf.RetConstant{Val: 256},
	bpf.RetConstant{Val: 0},
}

// Dial opens the link's ARP socket.
func Dial(ifi *net.Interface) (Conn, error) {
	filter, err := bpf.Assemble(onlyOurs)
	if err != nil {
		return nil, err
	}
	socket, err := packet.Listen(ifi, packet.Datagram, unix.ETH_P_ARP, &packet.Config{Filter: filter})
	if err != nil {
		return nil, err
	}
	return &conn{socket: socket}, nil
}

func (c *conn) Send(p Packet) error {
	_, err := c.socket.WriteTo(p.Append(nil), broadcast)
	return err
}

func (c *conn) Receive(deadline time.Time) (Packet, error) {
	if err := c.socket.SetReadDeadline(deadline); err != nil {
		return Packet{}, err
	}
	for {
		n, _, err := c.socket.ReadFrom(c.buf[:])
		if err != nil {
			return Packet{}, err
		}
		if p, err := Parse(c.buf[:n]); err == nil {
			p.SenderHardware = append(net.HardwareAddr(nil), p.SenderHardware...) // the buffer is used again
			p.TargetHardware = append(net.HardwareAddr(nil), p.TargetHardware...)
			return p, nil
		}
	}
}

func (c *conn) Close() error { return c.socket.Close() }
