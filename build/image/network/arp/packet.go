package arp

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
)

// Packet is an ARP packet for IPv4 over Ethernet.
type Packet struct {
	Reply          bool
	SenderHardware net.HardwareAddr // 6 bytes
	Sender         netip.Addr       // 0.0.0.0 in a probe
	TargetHardware net.HardwareAddr // 6 bytes; nil stands for zeros
	Target         netip.Addr
}

const packetSize = 28

var errPacket = errors.New("not an ARP packet for IPv4 over Ethernet")

// Append adds the packet's bytes to b.
func (p Packet) Append(b []byte) []byte {
	var out [packetSize]byte
	copy(out[:], []byte{0, 1, 8, 0, 6, 4, 0, 1})
	if p.Reply {
		out[7] = 2
	}
	sender, target := p.Sender.As4(), p.Target.As4()
	copy(out[8:14], p.SenderHardware)
	copy(out[14:18], sender[:])
	copy(out[18:24], p.TargetHardware)
	copy(out[24:28], target[:])
	return append(b, out[:]...)
}

// Parse reads a packet; what follows it is the frame's padding.
func Parse(b []byte) (Packet, error) {
	if len(b) < packetSize || string(b[:6]) != "\x00\x01\x08\x00\x06\x04" {
		return Packet{}, errPacket
	}
	op := binary.BigEndian.Uint16(b[6:])
	if op != 1 && op != 2 {
		return Packet{}, errPacket
	}
	return Packet{
		Reply:          op == 2,
		SenderHardware: net.HardwareAddr(b[8:14:14]),
		Sender:         netip.AddrFrom4([4]byte(b[14:18])),
		TargetHardware: net.HardwareAddr(b[18:24:24]),
		Target:         netip.AddrFrom4([4]byte(b[24:28])),
	}, nil
}
