package listen

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/dunlin-mqtt/dunlin/broker/websocket"
)

const maxHead = 8 << 10 // bytes of an upgrade request

// WebSocket says what a WebSocket listener answers to. The client must offer
// the subprotocol mqtt or mqttv3.1 [MQTT-6.0.0-3].
type WebSocket struct {
	// Path of the URL, for example /mqtt. A query is ignored.
	Path string
	// Origins are those of web pages besides the ones that come from the same
	// host name: scheme://host or scheme://host:port. "*" is any.
	Origins []string
}

// refusal is an answer other than 101.
type refusal struct {
	status string // code and reason phrase
	header string // more lines
	why    string
}

func (r *refusal) Error() string { return "upgrade refused: " + r.why }

func refuse(status, why string) *refusal { return &refusal{status: status, why: why} }

// head is what matters of a request.
type head struct {
	method, path                     string
	host, origin, key, version       string
	upgrade, connection, subprotocol []string
	seen                             []string
}

// parseHead reads a request line and its header fields, without the empty line
// (RFC 9112). It takes no liberties: what two servers could read in two ways
// is refused.
func parseHead(b []byte) (*head, *refusal) {
	lines := strings.Split(string(b), "\r\n")
	h := new(head)
	method, rest, _ := strings.Cut(lines[0], " ")
	target, version, _ := strings.Cut(rest, " ")
	if strings.ContainsAny(string(b), "\x00") || !isToken(method) || !strings.HasPrefix(target, "/") || !strings.HasPrefix(version, "HTTP/") {
		return nil, refuse("400 Bad Request", "not an HTTP request")
	}
	if version != "HTTP/1.1" {
		return nil, refuse("505 HTTP Version Not Supported", version)
	}
	h.method = method
	h.path, _, _ = strings.Cut(target, "?")
	for _, line := range lines[1:] {
		name, value, ok := strings.Cut(line, ":")
		if !ok || !isToken(name) || strings.ContainsAny(line, "\r\n") {
			return nil, refuse("400 Bad Request", "a header field that is none")
		}
		if r := h.field(strings.ToLower(name), strings.Trim(value, " \t")); r != nil {
			return nil, r
		}
	}
	return h, nil
}

func (h *head) field(name, value string) *refusal {
	switch name {
	case "upgrade":
		h.upgrade = append(h.upgrade, elements(value)...)
		return nil
	case "connection":
		h.connection = append(h.connection, elements(value)...)
		return nil
	case "sec-websocket-protocol":
		h.subprotocol = append(h.subprotocol, elements(value)...)
		return nil
	case "host":
		h.host = value
	case "origin":
		h.origin = value
	case "sec-websocket-key":
		h.key = value
	case "sec-websocket-version":
		h.version = value
	case "content-length":
		if value != "0" {
			return refuse("400 Bad Request", "a request with a body")
		}
	case "transfer-encoding":
		return refuse("400 Bad Request", "a request with a body")
	default:
		return nil
	}
	if slices.Contains(h.seen, name) {
		return refuse("400 Bad Request", name+" twice")
	}
	h.seen = append(h.seen, name)
	return nil
}

// elements splits a list of tokens.
func elements(value string) []string {
	parts := strings.Split(value, ",")
	for i := range parts {
		parts[i] = strings.Trim(parts[i], " \t")
	}
	return parts
}

func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7F || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// upgradeTo says what to ask for, to this hop only (RFC 9110, 7.8).
const upgradeTo = "Connection: Upgrade\r\nUpgrade: websocket\r\n"

// judge decides about a request that came in on local. It returns the
// subprotocol.
func (w *WebSocket) judge(h *head, local net.Addr) (string, *refusal) {
	fold := func(list []string, word string) bool {
		return slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(s, word) })
	}
	switch {
	case h.path != w.Path:
		return "", refuse("404 Not Found", fmt.Sprintf("path %.100q", h.path))
	case h.method != "GET":
		return "", &refusal{"405 Method Not Allowed", "Allow: GET\r\n", "method " + h.method}
	case h.host == "":
		return "", refuse("400 Bad Request", "no Host")
	case !fold(h.connection, "upgrade") || !fold(h.upgrade, "websocket"):
		return "", &refusal{"426 Upgrade Required", upgradeTo, "not a WebSocket request"}
	case h.version != "13":
		return "", &refusal{"426 Upgrade Required", upgradeTo + "Sec-WebSocket-Version: 13\r\n", fmt.Sprintf("version %.10q", h.version)}
	}
	if key, err := base64.StdEncoding.DecodeString(h.key); err != nil || len(key) != 16 {
		return "", refuse("400 Bad Request", "Sec-WebSocket-Key is not 16 bytes in base64")
	}
	if !w.welcome(h, local) {
		return "", refuse("403 Forbidden", fmt.Sprintf("pages of %.100q may not connect", h.origin))
	}
	// mqtt wherever it stands in the list [MQTT-6.0.0-4]; the other name is
	// that of 3.1, and of clients that know no better.
	for _, p := range []string{"mqtt", "mqttv3.1"} {
		if slices.Contains(h.subprotocol, p) {
			return p, nil
		}
	}
	return "", refuse("400 Bad Request", "the client does not offer the subprotocol mqtt")
}

// welcome judges the page that connects; programs name none. A page on this
// host is welcome on any port. A listener on a loopback address has names that
// an attacker cannot own: else a foreign page could reach it under a name that
// resolves to 127.0.0.1 (DNS rebinding).
func (w *WebSocket) welcome(h *head, local net.Addr) bool {
	if h.origin == "" || slices.Contains(w.Origins, "*") {
		return true
	}
	if slices.ContainsFunc(w.Origins, func(o string) bool { return strings.EqualFold(o, h.origin) }) {
		return true
	}
	page, err := url.Parse(h.origin)
	if err != nil || page.Hostname() == "" || !strings.EqualFold(page.Hostname(), hostname(h.host)) {
		return false
	}
	if a, ok := local.(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
		return true
	}
	ip, err := netip.ParseAddr(page.Hostname())
	return strings.EqualFold(page.Hostname(), "localhost") || err == nil && ip.IsLoopback()
}

// hostname returns a Host without its port.
func hostname(host string) string {
	u := url.URL{Host: host}
	return u.Hostname()
}

// upgrade reads a request from nc, answers it, and returns what was read
// beyond it. nc bounds the time. near is false for a client behind a proxy.
func (w *WebSocket) upgrade(nc net.Conn, near bool) (rest []byte, err error) {
	b, end, err := readHead(nc)
	var r *refusal
	if err != nil {
		return nil, err
	}
	var h *head
	if end < 0 {
		r = refuse("431 Request Header Fields Too Large", "the request has no end")
	} else {
		h, r = parseHead(b[:end])
	}
	var protocol string
	if r == nil {
		local := nc.LocalAddr()
		if !near {
			local = nil // no page can speak PROXY to a loopback address
		}
		protocol, r = w.judge(h, local)
	}
	if r != nil {
		body := r.why + "\n"
		_, err := fmt.Fprintf(nc, "HTTP/1.1 %s\r\n%sContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
			r.status, r.header, len(body), body)
		if err == nil {
			farewell(nc)
		}
		return nil, r
	}
	_, err = fmt.Fprintf(nc, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: %s\r\n\r\n",
		websocket.AcceptKey(h.key), protocol)
	return b[end+4:], err
}

// readHead reads up to the empty line after a request; end is -1 if there is
// none within the limit.
func readHead(nc net.Conn) (b []byte, end int, err error) {
	b = make([]byte, 0, 1<<10)
	for {
		n, err := nc.Read(b[len(b):cap(b)])
		searched := max(len(b)-3, 0)
		b = b[:len(b)+n]
		if i := bytes.Index(b[searched:], []byte("\r\n\r\n")); i >= 0 {
			return b, searched + i, nil
		}
		switch {
		case err != nil:
			return nil, 0, err
		case len(b) >= maxHead:
			return b, -1, nil
		case !mayBeRequest(b):
			return nil, 0, fmt.Errorf("not an HTTP request: perhaps MQTT without WebSocket")
		case len(b) == cap(b):
			b = append(make([]byte, 0, min(2*cap(b), maxHead)), b...)
		}
	}
}

// mayBeRequest tells other protocols by their first byte.
func mayBeRequest(b []byte) bool { return len(b) == 0 || b[0] >= 'A' && b[0] <= 'Z' }
