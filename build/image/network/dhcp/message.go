package dhcp

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
)

// Kind is what a message is for: option 53 (RFC 2132, 9.6).
type Kind byte

const (
	Discover Kind = 1
	Offer    Kind = 2
	Request  Kind = 3
	Decline  Kind = 4
	Ack      Kind = 5
	Nak      Kind = 6
	Release  Kind = 7
)

// Options by their numbers (RFC 2132, 3397 and 3442).
const (
	optPad       = 0
	optMask      = 1
	optRouter    = 3
	optDNS       = 6
	optHostname  = 12
	optDomain    = 15
	optMTU       = 26
	optNTP       = 42
	optRequested = 50
	optLeaseTime = 51
	optOverload  = 52
	optKind      = 53
	optServer    = 54
	optWanted    = 55
	optMaxSize   = 57
	optT1        = 58
	optT2        = 59
	optClientID  = 61
	optSearch    = 119
	optRoutes    = 121
	optEnd       = 255
)

const (
	headerSize = 236 // up to and without the magic cookie
	minSize    = 300 // what BOOTP relays expect (RFC 1542, 2.1)
	maxSize    = 1472
)

var cookie = [4]byte{99, 130, 83, 99}

// Message is a DHCP packet. Addresses that it does not have are 0.0.0.0.
type Message struct {
	Reply     bool // BOOTREPLY: from a server
	XID       uint32
	Secs      uint16
	Broadcast bool
	Client    netip.Addr // ciaddr: what the client has
	Your      netip.Addr // yiaddr: what the server gives
	Hardware  net.HardwareAddr
	Options   map[byte][]byte
}

// Kind is the message's kind, 0 for a packet of BOOTP.
func (m *Message) Kind() Kind {
	if o := m.Options[optKind]; len(o) == 1 {
		return Kind(o[0])
	}
	return 0
}

// Append adds the message's bytes to b.
func (m *Message) Append(b []byte) []byte {
	start := len(b)
	b = append(b, make([]byte, headerSize)...)
	h := b[start:]
	h[0], h[1], h[2] = 1, 1, byte(len(m.Hardware))
	if m.Reply {
		h[0] = 2
	}
	binary.BigEndian.PutUint32(h[4:], m.XID)
	binary.BigEndian.PutUint16(h[8:], m.Secs)
	if m.Broadcast {
		h[10] = 0x80
	}
	putAddr(h[12:], m.Client)
	putAddr(h[16:], m.Your)
	copy(h[28:44], m.Hardware)
	b = append(b, cookie[:]...)
	for code := byte(1); code < optEnd; code++ { // in order: the same message gives the same bytes
		v, ok := m.Options[code]
		for ok {
			part := v[:min(len(v), 255)]
			b = append(append(b, code, byte(len(part))), part...)
			v = v[len(part):]
			ok = len(v) > 0
		}
	}
	b = append(b, optEnd)
	for len(b)-start < minSize {
		b = append(b, optPad)
	}
	return b
}

func putAddr(b []byte, a netip.Addr) {
	if a.Is4() {
		v := a.As4()
		copy(b, v[:])
	}
}

var (
	errShort  = errors.New("shorter than a DHCP message")
	errLong   = errors.New("longer than a DHCP message can be")
	errOp     = errors.New("neither request nor reply of Ethernet")
	errCookie = errors.New("no DHCP cookie")
	errOption = errors.New("an option reaches over its end")
)

// Parse reads a message. Options that come in pieces, or in the fields that
// option 52 lends them, are put together (RFC 3396).
func Parse(b []byte) (*Message, error) {
	switch {
	case len(b) < headerSize+len(cookie):
		return nil, errShort
	case len(b) > maxSize:
		return nil, errLong
	case b[0] != 1 && b[0] != 2, b[1] != 1, b[2] != 6:
		return nil, errOp
	case [4]byte(b[headerSize:]) != cookie:
		return nil, errCookie
	}
	m := &Message{
		Reply:     b[0] == 2,
		XID:       binary.BigEndian.Uint32(b[4:]),
		Secs:      binary.BigEndian.Uint16(b[8:]),
		Broadcast: b[10]&0x80 != 0,
		Client:    netip.AddrFrom4([4]byte(b[12:])),
		Your:      netip.AddrFrom4([4]byte(b[16:])),
		Hardware:  net.HardwareAddr(b[28:34:34]),
		Options:   map[byte][]byte{},
	}
	if err := m.options(b[headerSize+len(cookie):]); err != nil {
		return nil, err
	}
	if over := m.Options[optOverload]; len(over) == 1 {
		if over[0]&1 != 0 {
			if err := m.options(b[108:headerSize]); err != nil { // file
				return nil, err
			}
		}
		if over[0]&2 != 0 {
			if err := m.options(b[44:108]); err != nil { // sname
				return nil, err
			}
		}
	}
	return m, nil
}

func (m *Message) options(b []byte) error {
	for len(b) > 0 {
		code := b[0]
		if code == optEnd {
			return nil
		}
		if b = b[1:]; code == optPad {
			continue
		}
		if len(b) < 1 || len(b) < 1+int(b[0]) {
			return errOption
		}
		n := 1 + int(b[0])
		m.Options[code] = append(m.Options[code], b[1:n]...)
		b = b[n:]
	}
	return nil
}

// addrs are the usable addresses of an option, at most n.
func (m *Message) addrs(code byte, n int) []netip.Addr {
	var out []netip.Addr
	for v := m.Options[code]; len(v) >= 4 && len(out) < n; v = v[4:] {
		if a := netip.AddrFrom4([4]byte(v)); usable(a) {
			out = append(out, a)
		}
	}
	return out
}

// usable says whether a host can have the address.
func usable(a netip.Addr) bool {
	first := a.As4()[0]
	return first != 0 && first != 127 && first < 224
}
