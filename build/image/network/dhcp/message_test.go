package dhcp

import (
	"bytes"
	"net/netip"
	"reflect"
	"testing"
	"time"
)

func ack(options map[byte][]byte) *Message {
	m := &Message{Reply: true, Hardware: own, Your: netip.MustParseAddr("192.168.7.20"), Options: map[byte][]byte{
		optKind: {byte(Ack)}, optServer: {192, 168, 7, 1}, optLeaseTime: {0, 0, 14, 16}, optMask: {255, 255, 255, 0},
	}}
	for k, v := range options {
		m.Options[k] = v
	}
	return m
}

func TestLease(t *testing.T) {
	// RFC 3397, 2.1: eng.apple.com and marketing.apple.com, compressed.
	search := []byte("\x03eng\x05apple\x03com\x00\x09marketing\xc0\x04")
	l, err := newLease(ack(map[byte][]byte{
		optDNS: {9, 9, 9, 9, 0, 0, 0, 0, 1, 1, 1, 1, 8, 8, 8, 8, 8, 8, 4, 4}, optNTP: {192, 168, 7, 1, 7}, optSearch: search, optRouter: {192, 168, 7, 254},
	}))
	if err != nil {
		t.Fatal(err)
	}
	a := netip.MustParseAddr
	want := Lease{
		Address: netip.MustParsePrefix("192.168.7.20/24"), Router: a("192.168.7.254"), Server: a("192.168.7.1"),
		DNS: []netip.Addr{a("9.9.9.9"), a("1.1.1.1"), a("8.8.8.8")}, NTP: []netip.Addr{a("192.168.7.1")},
		Search: []string{"eng.apple.com", "marketing.apple.com"}, Renew: 30 * time.Minute, Rebind: 52*time.Minute + 30*time.Second, Expire: time.Hour,
	}
	if !reflect.DeepEqual(l, want) {
		t.Errorf("got  %+v\nwant %+v", l, want)
	}
	for name, options := range map[string]map[byte][]byte{
		"a mask with holes": {optMask: {255, 0, 255, 0}},
		"no lease time":     {optLeaseTime: nil},
		"no server":         {optServer: nil},
		"a mask of nothing": {optMask: {0, 0, 0, 0}},
	} {
		if l, err := newLease(ack(options)); err == nil {
			t.Errorf("%s: %+v", name, l)
		}
	}
	if l, err := newLease(ack(map[byte][]byte{optLeaseTime: {255, 255, 255, 255}})); err != nil || l.Expire != 0 {
		t.Errorf("for ever: %+v, %v", l, err)
	}
	if l, err := newLease(ack(map[byte][]byte{optT1: {0, 1, 0, 0}, optT2: {0, 0, 0, 1}})); err != nil || l.Renew >= l.Rebind || l.Rebind >= l.Expire {
		t.Errorf("times out of order: %+v, %v", l, err)
	}
	// The longest lease that ends: 136 years, which times 7 is no time.Duration.
	if l, err := newLease(ack(map[byte][]byte{optLeaseTime: {255, 255, 255, 254}})); err != nil || l.Renew <= 0 || l.Renew >= l.Rebind || l.Rebind >= l.Expire {
		t.Errorf("136 years: %+v, %v", l, err)
	}
	for size, want := range map[int]int{1400: 1400, 576: 576, 575: 0, 0: 0, 65535: 65535} {
		if l, err := newLease(ack(map[byte][]byte{optMTU: {byte(size >> 8), byte(size)}})); err != nil || l.MTU != want {
			t.Errorf("packets of %d bytes: %d, %v", size, l.MTU, err)
		}
	}
	for _, evil := range []string{"lan\nnameserver 6.6.6.6", "a b", ""} {
		if got := searchList(ack(map[byte][]byte{optDomain: []byte(evil)})); len(got) != 0 {
			t.Errorf("domain %q gives %q", evil, got)
		}
	}
}

func TestClasslessRoutes(t *testing.T) {
	a, p := netip.MustParseAddr, netip.MustParsePrefix
	given := []byte{
		24, 10, 9, 8, 192, 168, 7, 2, // a network
		0, 192, 168, 7, 3, // the default route
		12, 172, 31, 192, 168, 7, 4, // with bits of a host
		16, 10, 7, 0, 0, 0, 0, // on the link
		0, 192, 168, 7, 9, // a second default route
		24, 224, 0, 0, 192, 168, 7, 2, // no network of hosts
		24, 10, 9, 9, 127, 0, 0, 1, // no router
	}
	l, err := newLease(ack(map[byte][]byte{optRouter: {192, 168, 7, 254}, optRoutes: given}))
	want := []Route{{p("10.9.8.0/24"), a("192.168.7.2")}, {p("172.16.0.0/12"), a("192.168.7.4")}, {To: p("10.7.0.0/16")}}
	if err != nil || l.Router != a("192.168.7.3") || !reflect.DeepEqual(l.Routes, want) {
		t.Errorf("RFC3442: %v, %v, want %v", l.Router, l.Routes, want)
	}
	for name, broken := range map[string][]byte{"a length": {33, 1, 2, 3, 4, 5, 6, 7, 8, 9}, "cut off": {24, 10, 9, 8, 192, 168}, "empty": {}} {
		if l, err := newLease(ack(map[byte][]byte{optRouter: {192, 168, 7, 254}, optRoutes: broken})); err != nil || l.Router.IsValid() || len(l.Routes) > 0 {
			t.Errorf("%s: %+v, %v", name, l, err)
		}
	}
}

func TestMessage(t *testing.T) {
	m := ack(map[byte][]byte{optSearch: bytes.Repeat([]byte("\x03abc"), 100)}) // longer than one option
	b := m.Append(nil)
	got, err := Parse(b)
	if err != nil || !reflect.DeepEqual(got.Options, m.Options) || got.Your != m.Your {
		t.Errorf("%+v, %v", got, err)
	}
	if again := got.Append(nil); !bytes.Equal(again, b) {
		t.Error("its bytes differ the second time")
	}
	for name, edit := range map[string]func([]byte) []byte{
		"cut off":         func(b []byte) []byte { return b[:239] },
		"no cookie":       func(b []byte) []byte { b[236] = 0; return b },
		"no Ethernet":     func(b []byte) []byte { b[1] = 6; return b },
		"option too long": func(b []byte) []byte { return append(b[:240], 53, 9, 1) },
		"too large":       func(b []byte) []byte { return append(b, make([]byte, 1500)...) },
	} {
		if m, err := Parse(edit(bytes.Clone(b))); err == nil {
			t.Errorf("%s: %+v", name, m)
		}
	}
	over := ack(map[byte][]byte{optOverload: {1}}).Append(nil)
	copy(over[108:], "\x0f\x03lan\xff")
	if got, err := Parse(over); err != nil || string(got.Options[optDomain]) != "lan" {
		t.Errorf("option in the file field: %v, %v", got, err)
	}
}

func TestFrames(t *testing.T) {
	body := ack(nil).Append(nil)
	b := appendUDP(nil, netip.IPv4Unspecified(), body)
	b[20], b[21], b[22], b[23] = 0, serverPort, 0, clientPort // as a server sends it
	if got, err := udpBody(b); err != nil || !bytes.Equal(got, body) {
		t.Errorf("%v", err)
	}
	for at, name := range map[int]string{0: "version", 3: "length", 10: "checksum", 21: "port", 24: "size"} {
		bad := bytes.Clone(b)
		bad[at] ^= 0x55
		if _, err := udpBody(bad); err == nil {
			t.Errorf("a wrong %s is taken", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(ack(nil).Append(nil))
	f.Add(ack(map[byte][]byte{optSearch: []byte("\x03eng\x05apple\x03com\x00\x09marketing\xc0\x04")}).Append(nil))
	f.Add(ack(map[byte][]byte{optLeaseTime: {255, 255, 255, 254}}).Append(nil))
	f.Add(ack(map[byte][]byte{optRoutes: {24, 10, 9, 8, 192, 168, 7, 2, 0, 192, 168, 7, 3}}).Append(nil))
	f.Add(appendUDP(nil, netip.IPv4Unspecified(), ack(nil).Append(nil)))
	f.Fuzz(func(t *testing.T, b []byte) {
		udpBody(b)
		m, err := Parse(b)
		if err != nil {
			return
		}
		if again, err := Parse(m.Append(nil)); err == nil && !reflect.DeepEqual(m.Options, again.Options) {
			t.Errorf("%v\n%v", m.Options, again.Options)
		}
		l, err := newLease(m)
		if err != nil {
			return
		}
		if l.Expire > 0 && (l.Renew <= 0 || l.Renew >= l.Rebind || l.Rebind >= l.Expire) {
			t.Errorf("times %v %v %v", l.Renew, l.Rebind, l.Expire)
		}
		if len(l.Routes) > maxRoutes {
			t.Errorf("%d routes", len(l.Routes))
		}
		for _, r := range l.Routes {
			if r.To != r.To.Masked() || r.To.Bits() == 0 || r.Via.IsValid() && !usable(r.Via) {
				t.Errorf("route %v", r)
			}
		}
		for _, s := range l.Search {
			if !validName(s) {
				t.Errorf("search %q", s)
			}
		}
	})
}
