package dhcp

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Conn sends and receives a link's DHCP messages.
type Conn interface {
	// Send sends to a server, or to everybody if to is not valid.
	Send(m *Message, to netip.Addr) error
	// Receive waits for the next message, until the deadline.
	Receive(deadline time.Time) (*Message, error)
	Close() error
}

// conn reads and broadcasts frames, which works without an address. What goes
// to one server goes by an ordinary socket, which knows the way there; what
// the kernel queues there is seen in the frames already.
type conn struct {
	frames *packet.Conn
	udp    net.PacketConn
	buf    [2048]byte
}

const clientPort, serverPort = 68, 67

// onlyDHCP passes whole UDP packets to the client's port; none of a VLAN of
// which this host is no member, which the kernel marks as another host's.
var onlyDHCP = []bpf.Instruction{
	bpf.LoadExtension{Num: bpf.ExtType},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.PACKET_OTHERHOST, SkipTrue: 8},
	bpf.LoadAbsolute{Off: 9, Size: 1},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_UDP, SkipTrue: 6},
	bpf.LoadAbsolute{Off: 6, Size: 2},
	bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x1fff, SkipTrue: 4}, // a later fragment
	bpf.LoadMemShift{Off: 0},
	bpf.LoadIndirect{Off: 2, Size: 2},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: clientPort, SkipTrue: 1},
	bpf.RetConstant{Val: 2048},
	bpf.RetConstant{Val: 0},
}

// Dial opens the link's sockets.
func Dial(ifi *net.Interface) (Conn, error) {
	filter, err := bpf.Assemble(onlyDHCP)
	if err != nil {
		return nil, err
	}
	frames, err := packet.Listen(ifi, packet.Datagram, unix.ETH_P_IP, &packet.Config{Filter: filter})
	if err != nil {
		return nil, err
	}
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var failed error
		err := raw.Control(func(fd uintptr) {
			failed = errors.Join(
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 0), // the least there is
				unix.BindToDevice(int(fd), ifi.Name))
		})
		return errors.Join(err, failed)
	}}
	udp, err := lc.ListenPacket(context.Background(), "udp4", ":68") // does not block
	if err != nil {
		return nil, errors.Join(err, frames.Close())
	}
	return &conn{frames: frames, udp: udp}, nil
}

var everybody = &packet.Addr{HardwareAddr: net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}

func (c *conn) Send(m *Message, to netip.Addr) error {
	body := m.Append(nil)
	if to.IsValid() {
		_, err := c.udp.WriteTo(body, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, serverPort)))
		return err
	}
	source := netip.IPv4Unspecified()
	if m.Client.IsValid() { // REBINDING
		source = m.Client
	}
	_, err := c.frames.WriteTo(appendUDP(nil, source, body), everybody)
	return err
}

func (c *conn) Receive(deadline time.Time) (*Message, error) {
	if err := c.frames.SetReadDeadline(deadline); err != nil {
		return nil, err
	}
	for {
		n, _, err := c.frames.ReadFrom(c.buf[:])
		if err != nil {
			return nil, err
		}
		body, err := udpBody(c.buf[:n])
		if err != nil {
			continue // somebody else's, or broken
		}
		if m, err := Parse(append([]byte(nil), body...)); err == nil { // the message keeps its bytes
			return m, nil
		}
	}
}

func (c *conn) Close() error { return errors.Join(c.frames.Close(), c.udp.Close()) }

const ipHeader, udpHeader = 20, 8

// appendUDP adds an IPv4 packet with body, from the client's to the servers'
// port of everybody.
func appendUDP(b []byte, source netip.Addr, body []byte) []byte {
	var h [ipHeader + udpHeader]byte
	h[0], h[8], h[9] = 0x45, 64, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(h[2:], uint16(len(h)+len(body)))
	from := source.As4()
	copy(h[12:], from[:])
	copy(h[16:], []byte{255, 255, 255, 255})
	binary.BigEndian.PutUint16(h[10:], ^checksum(0, h[:ipHeader]))
	u := h[ipHeader:]
	binary.BigEndian.PutUint16(u, clientPort)
	binary.BigEndian.PutUint16(u[2:], serverPort)
	binary.BigEndian.PutUint16(u[4:], uint16(udpHeader+len(body)))
	pseudo := checksum(uint32(unix.IPPROTO_UDP)+uint32(udpHeader+len(body)), h[12:20])
	sum := ^checksum(uint32(checksum(uint32(pseudo), u)), body)
	if sum == 0 {
		sum = 0xffff // 0 stands for none
	}
	binary.BigEndian.PutUint16(u[6:], sum)
	return append(append(b, h[:]...), body...)
}

var errPacket = errors.New("not a packet from a DHCP server")

// udpBody is what an IPv4 packet carries to the client's port. The checksum
// of UDP is not looked at: in packets of the same machine (a bridge, a virtual
// link) the kernel has not filled it in when a packet socket sees them.
func udpBody(b []byte) ([]byte, error) {
	if len(b) < ipHeader || b[0]>>4 != 4 {
		return nil, errPacket
	}
	header, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if header < ipHeader || total < header+udpHeader || len(b) < total || checksum(0, b[:header]) != 0xffff {
		return nil, errPacket
	}
	u := b[header:total]
	size := int(binary.BigEndian.Uint16(u[4:]))
	if b[9] != unix.IPPROTO_UDP || size < udpHeader || size > len(u) ||
		binary.BigEndian.Uint16(u) != serverPort || binary.BigEndian.Uint16(u[2:]) != clientPort {
		return nil, errPacket
	}
	return u[udpHeader:size], nil
}

// checksum is the ones' complement sum of RFC 1071, begun with sum.
func checksum(sum uint32, b []byte) uint16 {
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}
