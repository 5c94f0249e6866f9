package dhcp

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"net/netip"
	"strings"
	"time"
)

// Lease is what a link may use. A server's word is bounded: three name
// servers, four time servers, six search domains, sixteen routes.
type Lease struct {
	Address netip.Prefix // with the host's part
	Router  netip.Addr   // not valid: none
	Routes  []Route      // others than the one to the router
	DNS     []netip.Addr
	NTP     []netip.Addr
	Search  []string
	MTU     int           // how long a packet of this network may be; 0: as long as the link takes it
	Server  netip.Addr    // who gave it; not valid for an address of 169.254/16
	Renew   time.Duration // T1, after the lease's start
	Rebind  time.Duration // T2
	Expire  time.Duration // 0: never
}

// Route is a way to a network.
type Route struct {
	To  netip.Prefix
	Via netip.Addr // not valid: the link itself
}

// Leases shorter than a minute would keep the link busy with asking.
const minLease = time.Minute

// newLease reads the lease out of an ACK or an OFFER.
func newLease(m *Message) (Lease, error) {
	server := m.addrs(optServer, 1)
	if len(server) == 0 {
		return Lease{}, fmt.Errorf("the server does not say who it is")
	}
	if !usable(m.Your) {
		return Lease{}, fmt.Errorf("%v is no host's address", m.Your)
	}
	prefix, err := maskBits(m.Options[optMask], m.Your)
	if err != nil {
		return Lease{}, err
	}
	l := Lease{
		Address: netip.PrefixFrom(m.Your, prefix),
		DNS:     m.addrs(optDNS, 3),
		NTP:     m.addrs(optNTP, 4),
		Search:  searchList(m),
		MTU:     mtu(m.Options[optMTU]),
		Server:  server[0],
	}
	if routers := m.addrs(optRouter, 1); len(routers) > 0 {
		l.Router = routers[0]
	}
	if given, ok := m.Options[optRoutes]; ok { // in the router's place, RFC 3442
		l.Router, l.Routes = routes(given)
	}
	l.Expire, err = leaseTime(m)
	if err != nil || l.Expire == 0 {
		return l, err
	}
	l.Renew, l.Rebind = seconds(m.Options[optT1]), seconds(m.Options[optT2])
	if l.Rebind <= 0 || l.Rebind >= l.Expire {
		l.Rebind = l.Expire / 8 * 7 // RFC 2131, 4.4.5; divided first, as 136 years times 7 is no Duration
	}
	if l.Renew <= 0 || l.Renew >= l.Rebind {
		l.Renew = min(l.Expire/2, l.Rebind/7*4)
	}
	return l, nil
}

// minMTU is what every host takes (RFC 791). A server that asks for less, down to
// the 68 bytes of RFC 2132, makes fun of us.
const minMTU = 576

func mtu(v []byte) int {
	if len(v) != 2 || binary.BigEndian.Uint16(v) < minMTU {
		return 0
	}
	return int(binary.BigEndian.Uint16(v))
}

const maxRoutes = 16

// routes unpacks classless static routes: the length of each prefix, as many
// bytes of it as that takes, and the router; 0.0.0.0 is the link itself. What
// is broken ends the list.
func routes(b []byte) (router netip.Addr, all []Route) {
	for len(b) > 0 && len(all) < maxRoutes {
		bits := int(b[0])
		n := 1 + (bits+7)/8
		if bits > 32 || len(b) < n+4 {
			return router, all
		}
		var to [4]byte
		copy(to[:], b[1:n])
		via := netip.AddrFrom4([4]byte(b[n:]))
		b = b[n+4:]
		r := Route{To: netip.PrefixFrom(netip.AddrFrom4(to), bits).Masked()}
		if !via.IsUnspecified() {
			r.Via = via
		}
		switch {
		case r.Via.IsValid() && !usable(r.Via):
		case bits == 0 && !router.IsValid():
			router = r.Via
		case bits > 0 && usable(r.To.Addr()):
			all = append(all, r)
		}
	}
	return router, all
}

func leaseTime(m *Message) (time.Duration, error) {
	v := m.Options[optLeaseTime]
	if len(v) != 4 {
		return 0, fmt.Errorf("no lease time")
	}
	if binary.BigEndian.Uint32(v) == 0xffffffff {
		return 0, nil
	}
	return max(seconds(v), minLease), nil
}

func seconds(v []byte) time.Duration {
	if len(v) != 4 {
		return 0
	}
	return time.Duration(binary.BigEndian.Uint32(v)) * time.Second
}

// maskBits is the length of the network's prefix; without a mask it is that
// of the address' class.
func maskBits(v []byte, a netip.Addr) (int, error) {
	if len(v) == 0 {
		switch first := a.As4()[0]; {
		case first < 128:
			return 8, nil
		case first < 192:
			return 16, nil
		}
		return 24, nil
	}
	if len(v) != 4 {
		return 0, fmt.Errorf("a mask of %d bytes", len(v))
	}
	mask := binary.BigEndian.Uint32(v)
	n := bits.LeadingZeros32(^mask)
	if mask != 0 && bits.OnesCount32(mask) != n || n < 1 {
		return 0, fmt.Errorf("mask %v has holes", netip.AddrFrom4([4]byte(v)))
	}
	return n, nil
}

const maxSearch = 6

// searchList is the list of option 119 (RFC 3397), else the domain of
// option 15. Names that are none are left out.
func searchList(m *Message) []string {
	list := names(m.Options[optSearch])
	if len(list) == 0 {
		if d := strings.TrimRight(string(m.Options[optDomain]), ".\x00"); validName(d) {
			list = []string{d}
		}
	}
	return list
}

// names unpacks domain names in DNS' form, whose compression points into the
// option itself.
func names(b []byte) []string {
	var out []string
	for at := 0; at < len(b) && len(out) < maxSearch; {
		name, next := nameAt(b, at)
		if next <= at {
			return out
		}
		if validName(name) {
			out = append(out, name)
		}
		at = next
	}
	return out
}

// nameAt reads the name at an offset, and says where what follows it begins;
// 0 for a name that is broken. A pointer must point backwards, so it ends.
func nameAt(b []byte, at int) (name string, next int) {
	limit := at
	for at < len(b) {
		switch n := int(b[at]); {
		case n == 0:
			if next == 0 {
				next = at + 1
			}
			return name, next
		case n >= 0xc0:
			if at+1 >= len(b) {
				return "", 0
			}
			to := n&0x3f<<8 | int(b[at+1])
			if to >= limit {
				return "", 0
			}
			if next == 0 {
				next = at + 2
			}
			at, limit = to, to
		case n > 63 || at+1+n > len(b) || len(name)+n > 253:
			return "", 0
		default:
			if name != "" {
				name += "."
			}
			name += string(b[at+1 : at+1+n])
			at += 1 + n
		}
	}
	return "", 0
}

// validName keeps what goes into resolv.conf to letters, digits, hyphens and
// dots: a server must not write lines of its own there.
func validName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for _, c := range []byte(s) {
		ok := c == '-' || c == '.' || c == '_' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
		if !ok {
			return false
		}
	}
	return true
}
