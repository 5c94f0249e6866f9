package bridge

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strconv"
)

// proxy is a parsed Options.Proxy.
type proxy struct {
	socks              bool
	address            string // host:port
	username, password string
}

// parseProxy reads http:// or socks5:// with user name and password before the
// host. Its errors do not repeat them.
func parseProxy(text string) (*proxy, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("proxy: not a URL")
	case u.Scheme != "http" && u.Scheme != "socks5" || u.Hostname() == "" || u.Port() == "":
		return nil, fmt.Errorf("proxy %q: it must be http://host:port or socks5://host:port", shown(text))
	case u.Path != "" && u.Path != "/" || u.RawQuery != "":
		return nil, fmt.Errorf("proxy %q: it has no path", shown(text))
	}
	p := &proxy{socks: u.Scheme == "socks5", address: u.Host, username: u.User.Username()}
	p.password, _ = u.User.Password()
	if p.socks && (len(p.username) > 255 || len(p.password) > 255) {
		return nil, errors.New("proxy: SOCKS5 has no user names and passwords of more than 255 bytes")
	}
	return p, nil
}

// connect makes c, a connection to the proxy, one to s. The proxy resolves the
// name.
func (p *proxy) connect(c net.Conn, s server) error {
	if !p.socks {
		return p.tunnel(c, s)
	}
	if err := p.authenticate(c); err != nil {
		return err
	}
	port, err := strconv.ParseUint(s.port, 10, 16)
	if err != nil {
		return fmt.Errorf("port %q: %w", s.port, err)
	}
	request := []byte{5, 1, 0} // version, CONNECT, reserved
	switch a, err := netip.ParseAddr(s.host); {
	case err != nil && len(s.host) > 255:
		return errors.New("the host name is too long for SOCKS5")
	case err != nil:
		request = append(append(request, 3, byte(len(s.host))), s.host...)
	case a.Unmap().Is4():
		request = append(append(request, 1), a.Unmap().AsSlice()...)
	default:
		request = append(append(request, 4), a.AsSlice()...)
	}
	if _, err := c.Write(binary.BigEndian.AppendUint16(request, uint16(port))); err != nil {
		return err
	}
	return socksReply(c)
}

// authenticate agrees on a method (RFC 1928, 3) and uses it (RFC 1929).
func (p *proxy) authenticate(c net.Conn) error {
	hello := []byte{5, 1, 0} // no authentication
	if p.username != "" {
		hello = []byte{5, 2, 0, 2} // or user name and password
	}
	var answer [2]byte
	if err := ask(c, hello, answer[:]); err != nil {
		return err
	}
	switch {
	case answer[0] != 5:
		return failf(ClassProtocol, "it does not speak SOCKS5")
	case answer[1] == 0:
		return nil
	case answer[1] != 2 || p.username == "":
		return failf(ClassAuth, "it wants another way to sign in")
	}
	login := append([]byte{1, byte(len(p.username))}, p.username...)
	login = append(append(login, byte(len(p.password))), p.password...)
	if err := ask(c, login, answer[:]); err != nil {
		return err
	}
	if answer[1] != 0 {
		return failf(ClassAuth, "it refuses user name or password")
	}
	return nil
}

// ask writes p and reads the answer of a known size.
func ask(c net.Conn, p, answer []byte) error {
	if _, err := c.Write(p); err != nil {
		return err
	}
	_, err := io.ReadFull(c, answer)
	return err
}

// socksReplies are those of RFC 1928, 6.
var socksReplies = [...]string{1: "general failure", "not allowed", "network unreachable", "host unreachable",
	"connection refused", "TTL expired", "command not supported", "address type not supported"}

// socksReply reads the answer with the address that the proxy uses.
func socksReply(c net.Conn) error {
	var head [4]byte // some say no more when they refuse
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return err
	}
	if head[0] != 5 {
		return failf(ClassProtocol, "it does not speak SOCKS5")
	}
	if code := int(head[1]); code != 0 {
		text := "unknown failure"
		if code < len(socksReplies) {
			text = socksReplies[code]
		}
		return failf(ClassTCP, "it answers: %s (%d)", text, code)
	}
	var rest [16 + 2]byte // address and port
	size := map[byte]int{1: 4, 3: 1, 4: 16}[head[3]]
	if size == 0 {
		return failf(ClassProtocol, "it answers with an address of type %d", head[3])
	}
	_, err := io.ReadFull(c, rest[:size+2])
	if err == nil && head[3] == 3 { // a name, of so many bytes
		_, err = io.ReadFull(c, make([]byte, rest[0]))
	}
	return err
}
