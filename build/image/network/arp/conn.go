package arp

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Conn sends and receives a link's ARP packets, all by broadcast.
type Conn interface {
	Send(Packet) error
	// Only has what comes from addr, and probes for it, received from now on,
	// and nothing else: a large network has hundreds of packets a second.
	Only(addr netip.Addr) error
	// Receive waits for the next packet, until the deadline.
	Receive(deadline time.Time) (Packet, error)
	Close() error
}

type conn struct {
	socket *packet.Conn
	buf    [256]byte
}

var broadcast = &packet.Addr{HardwareAddr: net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}

// about is a filter for what comes from addr, and for probes for it. It leaves out
// packets of VLANs of which this host is no member: the kernel hands them to
// packet sockets, marked as another host's.
func about(addr netip.Addr) ([]bpf.RawInstruction, error) {
	const sender, target = 14, 24
	a := addr.As4()
	wanted := binary.BigEndian.Uint32(a[:])
	return bpf.Assemble([]bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.PACKET_OTHERHOST, SkipTrue: 6},
		bpf.LoadAbsolute{Off: sender, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: wanted, SkipTrue: 3},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 3},
		bpf.LoadAbsolute{Off: target, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: wanted, SkipTrue: 1},
		bpf.RetConstant{Val: 256},
		bpf.RetConstant{Val: 0},
	})
}

// Dial opens the link's ARP socket.
func Dial(ifi *net.Interface) (Conn, error) {
	nothing, err := bpf.Assemble([]bpf.Instruction{bpf.RetConstant{}})
	if err != nil {
		return nil, err
	}
	socket, err := packet.Listen(ifi, packet.Datagram, unix.ETH_P_ARP, &packet.Config{Filter: nothing})
	if err != nil {
		return nil, err
	}
	return &conn{socket: socket}, nil
}

func (c *conn) Only(addr netip.Addr) error {
	filter, err := about(addr)
	if err != nil {
		return err
	}
	return c.socket.SetBPF(filter)
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
		if p, err := Parse(c.buf[:n]); err == nil && !ours(p.SenderHardware) {
			p.SenderHardware = append(net.HardwareAddr(nil), p.SenderHardware...) // the buffer is used again
			p.TargetHardware = append(net.HardwareAddr(nil), p.TargetHardware...)
			return p, nil
		}
	}
}

// ours says whether a hardware address is one of this host's. Of two links to
// one network each hears what the other sends, and the kernel may send the
// address of one by way of the other.
func ours(a net.HardwareAddr) bool {
	all, err := net.Interfaces()
	return err == nil && slices.ContainsFunc(all, func(i net.Interface) bool { return bytes.Equal(i.HardwareAddr, a) })
}

func (c *conn) Close() error { return c.socket.Close() }
