package bridge

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/dunlin-mqtt/dunlin/broker/websocket"
)

// maxResponse bounds what a server or proxy may say before it gets to the
// point, in bytes.
const maxResponse = 8 << 10

// response is the head of an HTTP answer.
type response struct {
	status string // code and reason phrase
	fields []string
	rest   []byte // read beyond the head
}

// exchange sends a request and reads the head of the answer.
func exchange(c net.Conn, request string) (*response, error) {
	if _, err := c.Write([]byte(request)); err != nil {
		return nil, err
	}
	b := make([]byte, 0, 1<<10)
	for {
		if i := bytes.Index(b, []byte("\r\n\r\n")); i >= 0 {
			return parseResponse(string(b[:i]), b[i+4:])
		}
		if len(b) >= maxResponse {
			return nil, failf(ClassProtocol, "an answer of HTTP without end")
		}
		if len(b) == cap(b) {
			b = append(make([]byte, 0, 2*cap(b)), b...)
		}
		n, err := c.Read(b[len(b):cap(b)])
		if b = b[:len(b)+n]; n == 0 && err != nil {
			return nil, err
		}
	}
}

func parseResponse(head string, rest []byte) (*response, error) {
	lines := strings.Split(head, "\r\n")
	version, status, ok := strings.Cut(lines[0], " ")
	if !ok || !strings.HasPrefix(version, "HTTP/1.") || len(status) < 3 {
		return nil, failf(ClassProtocol, "the answer is not one of HTTP")
	}
	return &response{status: status, fields: lines[1:], rest: rest}, nil
}

// field returns the value of a header field, those of several joined.
func (r *response) field(name string) string {
	var values []string
	for _, f := range r.fields {
		if n, value, ok := strings.Cut(f, ":"); ok && strings.EqualFold(n, name) {
			values = append(values, strings.Trim(value, " \t"))
		}
	}
	return strings.Join(values, ", ")
}

// refused is the failure that an unwanted status stands for.
func (r *response) refused() error {
	class := ClassRefused
	switch r.status[:3] {
	case "401", "403", "407":
		class = ClassAuth
	case "429", "503":
		class = ClassQuota
	}
	return failf(class, "answered %.100q", r.status)
}

// upgrade asks for WebSocket (RFC 6455, 4.1) with the subprotocol mqtt
// [MQTT-6.0.0-3]. It returns what was read beyond the answer.
func upgrade(c net.Conn, s server) (rest []byte, err error) {
	var nonce [16]byte
	rand.Read(nonce[:]) // never fails
	key := base64.StdEncoding.EncodeToString(nonce[:])
	r, err := exchange(c, fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n",
		s.path, s.address(), key))
	if err != nil {
		return nil, err
	}
	switch protocol := r.field("Sec-WebSocket-Protocol"); {
	case r.status[:3] != "101":
		return nil, r.refused()
	case !strings.EqualFold(r.field("Upgrade"), "websocket") || r.field("Sec-WebSocket-Accept") != websocket.AcceptKey(key):
		return nil, failf(ClassProtocol, "the server does not speak WebSocket")
	case protocol != "mqtt" && protocol != "":
		return nil, failf(ClassProtocol, "the server chose the subprotocol %.100q [MQTT-6.0.0-4]", protocol)
	case r.field("Sec-WebSocket-Extensions") != "":
		return nil, failf(ClassProtocol, "the server uses WebSocket extensions that nobody offered")
	}
	return r.rest, nil
}

// tunnel asks an HTTP proxy for a connection (RFC 9110, 9.3.6).
func (p *proxy) tunnel(c net.Conn, s server) error {
	request := fmt.Sprintf("CONNECT %s HTTP/1.1\r\nHost: %[1]s\r\n", s.address())
	if p.username != "" {
		request += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(p.username+":"+p.password)) + "\r\n"
	}
	r, err := exchange(c, request+"\r\n")
	switch {
	case err != nil:
		return err
	case r.status[0] != '2':
		return r.refused()
	case len(r.rest) > 0:
		return errors.New("the proxy sent bytes of nobody")
	}
	return nil
}
