package listen

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// The PROXY protocol, versions 1 and 2, as HAProxy describes it in
// proxy-protocol.txt.
const (
	proxyLine   = 107     // bytes of the longest version 1 header
	proxyFixed  = 16      // bytes of a version 2 header before addresses and TLVs
	proxyLength = 2 << 10 // bytes of addresses and TLVs that are taken
)

var proxySignature = []byte("\r\n\r\n\x00\r\nQUIT\n")

// TLV types.
const (
	tlvCRC32C = 0x03
	tlvSSL    = 0x20
	tlvSSLCN  = 0x22
)

// proxyHeader is what a proxy says about its client.
type proxyHeader struct {
	own    bool   // LOCAL: the proxy connects for itself
	source string // the client's address; "" if the proxy does not know it
	// user is the common name of a client certificate that the proxy has
	// verified.
	user string
}

var errProxy = errors.New("not a PROXY header")

// parseProxy reads a PROXY header at the start of b and returns its size; 0
// without an error when bytes are missing.
func parseProxy(b []byte) (n int, h proxyHeader, err error) {
	if k := min(len(b), len(proxySignature)); bytes.Equal(b[:k], proxySignature[:k]) {
		if k < len(proxySignature) {
			return 0, h, nil
		}
		return parseProxy2(b)
	}
	if k := min(len(b), len("PROXY ")); string(b[:k]) != "PROXY "[:k] {
		return 0, h, errProxy
	}
	end := bytes.Index(b[:min(len(b), proxyLine)], []byte("\r\n"))
	if end < 0 {
		if len(b) >= proxyLine {
			return 0, h, fmt.Errorf("%w: a line without end", errProxy)
		}
		return 0, h, nil
	}
	h.source, err = parseProxy1(string(b[:end]))
	return end + 2, h, err
}

// parseProxy1 reads "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443".
func parseProxy1(line string) (source string, err error) {
	f := strings.Split(line, " ")
	if f[1] == "UNKNOWN" {
		return "", nil
	}
	if len(f) != 6 || f[1] != "TCP4" && f[1] != "TCP6" {
		return "", fmt.Errorf("%w: %.100q", errProxy, line)
	}
	var ends [2]netip.AddrPort
	for i := range ends {
		a, err := netip.ParseAddr(f[2+i])
		port, perr := strconv.ParseUint(f[4+i], 10, 16)
		if err != nil || perr != nil || a.Is4() != (f[1] == "TCP4") || a.Zone() != "" || f[4+i] != strconv.FormatUint(port, 10) {
			return "", fmt.Errorf("%w: %.100q", errProxy, line)
		}
		ends[i] = netip.AddrPortFrom(a.Unmap(), uint16(port))
	}
	return ends[0].String(), nil
}

// parseProxy2 reads the binary version; its signature is there.
func parseProxy2(b []byte) (n int, h proxyHeader, err error) {
	if len(b) < proxyFixed {
		return 0, h, nil
	}
	command, family, length := b[12], b[13], int(binary.BigEndian.Uint16(b[14:]))
	if command != 0x20 && command != 0x21 {
		return 0, h, fmt.Errorf("%w: version and command %#x", errProxy, command)
	}
	if length > proxyLength {
		return 0, h, fmt.Errorf("%w: %d bytes long", errProxy, length)
	}
	n = proxyFixed + length
	if len(b) < n {
		return 0, h, nil
	}
	if command == 0x20 { // LOCAL: the rest, family included, means nothing
		return n, proxyHeader{own: true}, nil
	}
	source, tlvs, err := proxyAddress(family, b[proxyFixed:n])
	if err != nil {
		return 0, h, err
	}
	if err := h.options(tlvs, b[:n]); err != nil {
		return 0, h, err
	}
	h.source = source
	return n, h, nil
}

// proxyAddress reads the address block; tlvs is what follows it.
func proxyAddress(family byte, b []byte) (source string, tlvs []byte, err error) {
	size, known := map[byte]int{0x00: 0, 0x11: 12, 0x21: 36, 0x31: 216}[family]
	switch {
	case !known:
		return "", nil, fmt.Errorf("%w: address family and protocol %#x", errProxy, family)
	case len(b) < size:
		return "", nil, fmt.Errorf("%w: addresses of %d bytes", errProxy, len(b))
	case size == 0:
		return "", nil, nil // UNSPEC: what follows is to be skipped
	}
	tlvs = b[size:]
	if family == 0x31 {
		return "unix", tlvs, nil
	}
	half := (size - 4) / 2
	a, _ := netip.AddrFromSlice(b[:half])
	return netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(b[2*half:])).String(), tlvs, nil
}

// options reads the TLVs that matter. all is the whole header.
func (h *proxyHeader) options(tlvs, all []byte) error {
	for len(tlvs) > 0 {
		kind, value, rest, err := cutTLV(tlvs)
		if err != nil {
			return err
		}
		switch kind {
		case tlvCRC32C:
			if len(value) != 4 || !checksum(all, len(all)-len(rest)-4) {
				return fmt.Errorf("%w: wrong checksum", errProxy)
			}
		case tlvSSL:
			if h.user, err = proxyUser(value); err != nil {
				return err
			}
		}
		tlvs = rest
	}
	return nil
}

func cutTLV(b []byte) (kind byte, value, rest []byte, err error) {
	if len(b) < 3 || len(b)-3 < int(binary.BigEndian.Uint16(b[1:])) {
		return 0, nil, nil, fmt.Errorf("%w: a TLV ends early", errProxy)
	}
	end := 3 + int(binary.BigEndian.Uint16(b[1:]))
	return b[0], b[3:end], b[end:], nil
}

// checksum compares CRC-32C at the place given with that of the header in
// which it is zero.
func checksum(header []byte, at int) bool {
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(0, castagnoli, header[:at])
	sum = crc32.Update(sum, castagnoli, make([]byte, 4))
	sum = crc32.Update(sum, castagnoli, header[at+4:])
	return sum == binary.BigEndian.Uint32(header[at:])
}

// proxyUser takes the common name out of PP2_TYPE_SSL, if the client showed a
// certificate and the proxy found it good.
func proxyUser(b []byte) (string, error) {
	if len(b) < 5 {
		return "", fmt.Errorf("%w: a TLV ends early", errProxy)
	}
	const certConn, certSess = 0x02, 0x04 // shown on this connection, or in its TLS session
	verified := b[0]&(certConn|certSess) != 0 && binary.BigEndian.Uint32(b[1:]) == 0
	user := ""
	for b = b[5:]; len(b) > 0; {
		kind, value, rest, err := cutTLV(b)
		if err != nil {
			return "", err
		}
		if kind == tlvSSLCN && verified {
			user = string(value)
			if err := validUser(user); err != nil {
				return "", err
			}
		}
		b = rest
	}
	return user, nil
}

// readProxy reads the header that a proxy sends first. What follows it stays
// in the socket.
func (s *socket) readProxy() (proxyHeader, error) {
	if err := s.step(stepTimeout); err != nil {
		return proxyHeader{}, err
	}
	b := make([]byte, 0, 256)
	for {
		m, err := s.Read(b[len(b):cap(b)])
		b = b[:len(b)+m]
		n, h, perr := parseProxy(b)
		switch {
		case perr != nil:
			return h, perr
		case n > 0:
			s.rest = b[n:]
			return h, s.step(0)
		case err != nil:
			return h, err
		case len(b) == cap(b):
			b = append(make([]byte, 0, 2*cap(b)), b...)
		}
	}
}

// among reports whether an address is in one of the networks.
func among(networks []netip.Prefix, a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return false
	}
	ip, ok := netip.AddrFromSlice(t.IP)
	if !ok {
		return false
	}
	for _, n := range networks {
		if n.Contains(ip.Unmap()) {
			return true
		}
	}
	return false
}
