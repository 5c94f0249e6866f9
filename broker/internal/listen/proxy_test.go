package listen

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net"
	"net/netip"
	"strings"
	"testing"
)

// proxy2 is a version 2 header.
func proxy2(command, family byte, addresses []byte, tlvs ...[]byte) []byte {
	b := append(bytes.Clone(proxySignature), command, family)
	rest := append(bytes.Clone(addresses), bytes.Join(tlvs, nil)...)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(rest))), rest...)
}

func tlv(kind byte, value []byte) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{kind}, uint16(len(value))), value...)
}

var (
	tcp4 = []byte{192, 0, 2, 7, 192, 0, 2, 1, 0x04, 0xD2, 0x07, 0x5B} // 192.0.2.7:1234 to 192.0.2.1:1883
	tcp6 = append(append(netip.MustParseAddr("2001:db8::7").AsSlice(), netip.MustParseAddr("2001:db8::1").AsSlice()...), 0x04, 0xD2, 0x07, 0x5B)
)

// certified is PP2_TYPE_SSL with a client's common name.
func certified(flags byte, verify uint32, cn string) []byte {
	return tlv(tlvSSL, append(binary.BigEndian.AppendUint32([]byte{flags}, verify), append(tlv(0x21, []byte("TLSv1.3")), tlv(tlvSSLCN, []byte(cn))...)...))
}

// summed puts a CRC-32C into the TLV for it, behind which so many bytes of the
// header are left.
func summed(b []byte, left int, wrong byte) []byte {
	sum := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
	binary.BigEndian.PutUint32(b[len(b)-left-4:], sum^uint32(wrong))
	return b
}

func TestParseProxy(t *testing.T) {
	ok := func(source, user string) *proxyHeader { return &proxyHeader{source: source, user: user} }
	for _, tc := range []struct {
		name string
		in   string
		want *proxyHeader // nil: refused
	}{
		{"1, TCP4", "PROXY TCP4 192.0.2.7 192.0.2.1 1234 1883\r\n", ok("192.0.2.7:1234", "")},
		{"1, TCP6", "PROXY TCP6 2001:db8::7 2001:db8::1 1234 1883\r\n", ok("[2001:db8::7]:1234", "")},
		{"1, the longest", "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", ok("", "")},
		{"1, UNKNOWN", "PROXY UNKNOWN\r\n", ok("", "")},
		{"1, addresses of the other family", "PROXY TCP4 2001:db8::7 2001:db8::1 1234 1883\r\n", nil},
		{"1, a port too many", "PROXY TCP4 192.0.2.7 192.0.2.1 1234 1883 5\r\n", nil},
		{"1, a port too large", "PROXY TCP4 192.0.2.7 192.0.2.1 65536 1883\r\n", nil},
		{"1, a port with a zero in front", "PROXY TCP4 192.0.2.7 192.0.2.1 01234 1883\r\n", nil},
		{"1, two spaces", "PROXY  TCP4 192.0.2.7 192.0.2.1 1234 1883\r\n", nil},
		{"1, UDP", "PROXY UDP4 192.0.2.7 192.0.2.1 1234 1883\r\n", nil},
		{"1, a zone", "PROXY TCP6 fe80::1%eth0 fe80::2 1234 1883\r\n", nil},
		{"1, too long", "PROXY UNKNOWN " + strings.Repeat("x", 93) + "\r\n", nil},
		{"2, TCP4", string(proxy2(0x21, 0x11, tcp4)), ok("192.0.2.7:1234", "")},
		{"2, TCP6", string(proxy2(0x21, 0x21, tcp6)), ok("[2001:db8::7]:1234", "")},
		{"2, Unix", string(proxy2(0x21, 0x31, make([]byte, 216))), ok("unix", "")},
		{"2, LOCAL", string(proxy2(0x20, 0x00, nil)), &proxyHeader{own: true}},
		{"2, LOCAL with addresses", string(proxy2(0x20, 0x11, tcp4, certified(0x07, 0, "me"))), &proxyHeader{own: true}},
		{"2, LOCAL of a family without its addresses", string(proxy2(0x20, 0x11, nil)), &proxyHeader{own: true}},
		{"2, LOCAL of an unknown family", string(proxy2(0x20, 0x55, []byte("anything"))), &proxyHeader{own: true}},
		{"2, UNSPEC", string(proxy2(0x21, 0x00, []byte("anything"))), ok("", "")},
		{"2, UDP", string(proxy2(0x21, 0x12, tcp4)), nil},
		{"2, another command", string(proxy2(0x22, 0x11, tcp4)), nil},
		{"2, version 3", string(proxy2(0x31, 0x11, tcp4)), nil},
		{"2, addresses that end early", string(proxy2(0x21, 0x11, tcp4[:11])), nil},
		{"2, too long", string(proxy2(0x21, 0x11, append(bytes.Clone(tcp4), make([]byte, proxyLength)...))), nil},
		{"2, a TLV that ends early", string(proxy2(0x21, 0x11, tcp4, []byte{0x04, 0, 5, 1})), nil},
		{"2, an unknown TLV", string(proxy2(0x21, 0x11, tcp4, tlv(0xEA, []byte("vpce-1")))), ok("192.0.2.7:1234", "")},
		{"2, a verified certificate", string(proxy2(0x21, 0x11, tcp4, certified(0x03, 0, "me"))), ok("192.0.2.7:1234", "me")},
		{"2, a verified certificate of the session", string(proxy2(0x21, 0x11, tcp4, certified(0x05, 0, "me"))), ok("192.0.2.7:1234", "me")},
		{"2, a certificate that is not verified", string(proxy2(0x21, 0x11, tcp4, certified(0x03, 1, "me"))), ok("192.0.2.7:1234", "")},
		{"2, a name without a certificate", string(proxy2(0x21, 0x11, tcp4, certified(0x01, 0, "me"))), ok("192.0.2.7:1234", "")},
		{"2, a certificate with a wildcard", string(proxy2(0x21, 0x11, tcp4, certified(0x03, 0, "a/#"))), nil},
		{"2, TLS details that end early", string(proxy2(0x21, 0x11, tcp4, tlv(tlvSSL, []byte{1, 0}))), nil},
		{"2, a checksum", string(summed(proxy2(0x21, 0x11, tcp4, tlv(tlvCRC32C, make([]byte, 4))), 0, 0)), ok("192.0.2.7:1234", "")},
		{"2, a wrong checksum", string(summed(proxy2(0x21, 0x11, tcp4, tlv(tlvCRC32C, make([]byte, 4))), 0, 1)), nil},
		{"2, a checksum in front of a name", string(summed(proxy2(0x21, 0x11, tcp4, tlv(tlvCRC32C, make([]byte, 4)), certified(0x03, 0, "me")), len(certified(0x03, 0, "me")), 0)), ok("192.0.2.7:1234", "me")},
		{"2, a wrong one in front of a name", string(summed(proxy2(0x21, 0x11, tcp4, tlv(tlvCRC32C, make([]byte, 4)), certified(0x03, 0, "me")), len(certified(0x03, 0, "me")), 1)), nil},
		{"2, a short checksum", string(proxy2(0x21, 0x11, tcp4, tlv(tlvCRC32C, []byte{0, 0}))), nil},
		{"MQTT", "\x10\x0c\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x00", nil},
		{"HTTP", "GET / HTTP/1.1\r\n\r\n", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n, h, err := parseProxy([]byte(tc.in + "rest"))
			if tc.want == nil {
				if !errors.Is(err, errProxy) && err == nil {
					t.Errorf("accepted: %+v", h)
				}
				return
			}
			if err != nil || h != *tc.want || n != len(tc.in) {
				t.Errorf("%+v, %d bytes of %d, %v", h, n, len(tc.in), err)
			}
			for i := range len(tc.in) {
				if n, _, err := parseProxy([]byte(tc.in[:i])); n != 0 || err != nil {
					t.Fatalf("with %d bytes: %d, %v", i, n, err)
				}
			}
		})
	}
}

func TestProxy(t *testing.T) {
	here := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	t.Run("what follows the header is MQTT's", func(t *testing.T) {
		address, arrived := serveLayers(t, Layers{Proxies: here})
		client := dial(t, address)
		header := proxy2(0x21, 0x11, tcp4, certified(0x03, 0, "me"))
		for _, part := range [][]byte{header[:5], append(bytes.Clone(header[5:]), "pi"...), []byte("ng")} {
			if _, err := client.Write(part); err != nil {
				t.Fatal(err)
			}
		}
		server := <-arrived
		if server.err != nil {
			t.Fatal(server.err)
		}
		if want := (Peer{Remote: "192.0.2.7:1234", CertificateUser: "me"}); server.peer != want {
			t.Errorf("%+v", server.peer)
		}
		got := make([]byte, 0, 4)
		for len(got) < 4 {
			n, err := server.Read(got[len(got):cap(got)])
			if err != nil {
				t.Fatal(err)
			}
			got = got[:len(got)+n]
		}
		if string(got) != "ping" {
			t.Errorf("%q", got)
		}
	})
	t.Run("LOCAL is the proxy itself", func(t *testing.T) {
		address, arrived := serveLayers(t, Layers{Proxies: here})
		client := dial(t, address)
		client.Write(proxy2(0x20, 0, nil))
		if server := <-arrived; server.err != nil || server.peer != (Peer{Remote: client.LocalAddr().String(), Local: true}) {
			t.Errorf("%+v, %v", server.peer, server.err)
		}
	})
	t.Run("from elsewhere", func(t *testing.T) {
		address, arrived := serveLayers(t, Layers{Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
		client := dial(t, address)
		client.Write([]byte("PROXY TCP4 192.0.2.7 192.0.2.1 1234 1883\r\n"))
		if server := <-arrived; server.err == nil {
			t.Error("let in")
		}
	})
	t.Run("without a header", func(t *testing.T) {
		address, arrived := serveLayers(t, Layers{Proxies: here})
		dial(t, address).Write([]byte("\x10\x0c\x00\x04MQTT"))
		if server := <-arrived; !errors.Is(server.err, errProxy) {
			t.Error(server.err)
		}
	})
	t.Run("networks", func(t *testing.T) {
		networks := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
		for ip, want := range map[string]bool{"10.1.2.3": true, "::ffff:10.1.2.3": true, "11.0.0.1": false, "2001:db8::1": true, "2001:db9::1": false} {
			if among(networks, &net.TCPAddr{IP: net.ParseIP(ip)}) != want {
				t.Errorf("%s: %v", ip, !want)
			}
		}
		if among(networks, &net.UnixAddr{}) {
			t.Error("a Unix socket is in a network")
		}
	})
}

func FuzzProxyHeader(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.7 192.0.2.1 1234 1883\r\nx"))
	f.Add(proxy2(0x21, 0x11, tcp4, certified(0x03, 0, "me")))
	f.Add(summed(proxy2(0x21, 0x21, tcp6, tlv(tlvCRC32C, make([]byte, 4))), 0, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, h, err := parseProxy(b)
		if err != nil {
			return
		}
		if n == 0 {
			if len(b) >= proxyFixed+proxyLength {
				t.Fatal("asks for more than a header can have")
			}
			return
		}
		if n > len(b) {
			t.Fatal(n, len(b))
		}
		if m, again, err := parseProxy(b[:n]); m != n || again != h || err != nil {
			t.Fatalf("what follows changes it: %+v, %+v, %v", h, again, err)
		}
		if h.source != "" && h.source != "unix" {
			if _, err := netip.ParseAddrPort(h.source); err != nil {
				t.Fatal(err)
			}
		}
		if h.user != "" && validUser(h.user) != nil {
			t.Fatalf("user %q", h.user)
		}
	})
}
