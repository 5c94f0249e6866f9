package cloudtest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/websocket"
)

// Transport puts what lies between TCP and MQTT over the pipes of Dial.
type Transport struct {
	Cloud *Cloud
	// TLS is asked for each connection, so that certificates can rotate; nil:
	// none.
	TLS  func() *tls.Config
	Path string // of WebSocket; empty: none
	// Proxy is "http", "socks5" or empty; User "name:password" is required by
	// it if set.
	Proxy, User string
	Refuse      bool // the proxy refuses to connect

	mu struct {
		sync.Mutex
		targets []string // host:port that the proxy was asked for
		servers []string // server names of TLS
		alpn    []string
		clients []string // common names of client certificates
	}
}

// Dial is an Options.Dial of a bridge.
func (t *Transport) Dial(context.Context, string) (net.Conn, error) {
	client, far := net.Pipe()
	server := newBuffered(far)
	go func() {
		nc, err := t.layers(server)
		if err != nil {
			_ = server.Close()
			return
		}
		t.Cloud.Attach(nc)
	}()
	return client, nil
}

// Seen returns what the layers were told: targets of the proxy, server names,
// protocols of ALPN, names of client certificates.
func (t *Transport) Seen() (targets, servers, alpn, clients []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.targets, t.mu.servers, t.mu.alpn, t.mu.clients
}

func (t *Transport) note(list *[]string, s string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*list = append(*list, s)
}

func (t *Transport) layers(nc net.Conn) (net.Conn, error) {
	var err error
	switch t.Proxy {
	case "http":
		err = t.tunnel(nc)
	case "socks5":
		err = t.socks(nc)
	}
	if err != nil {
		return nil, err
	}
	if t.TLS != nil {
		s := tls.Server(nc, t.TLS())
		if err := s.Handshake(); err != nil {
			return nil, err
		}
		state := s.ConnectionState()
		t.note(&t.mu.servers, state.ServerName)
		t.note(&t.mu.alpn, state.NegotiatedProtocol)
		for _, c := range state.PeerCertificates {
			t.note(&t.mu.clients, c.Subject.CommonName)
		}
		nc = s
	}
	if t.Path == "" {
		return nc, nil
	}
	return t.upgrade(nc)
}

// head reads a request up to its empty line.
func head(r *bufio.Reader) (line string, fields map[string]string, err error) {
	fields = map[string]string{}
	for {
		l, err := r.ReadString('\n')
		if err != nil {
			return "", nil, err
		}
		l = strings.TrimRight(l, "\r\n")
		switch name, value, ok := strings.Cut(l, ": "); {
		case l == "":
			return line, fields, nil
		case line == "":
			line = l
		case ok:
			fields[strings.ToLower(name)] = value
		}
	}
}

func (t *Transport) tunnel(nc net.Conn) error {
	line, fields, err := head(bufio.NewReader(nc))
	if err != nil {
		return err
	}
	method, rest, _ := strings.Cut(line, " ")
	target, _, _ := strings.Cut(rest, " ")
	t.note(&t.mu.targets, target)
	answer := "200 Connection established"
	switch {
	case method != "CONNECT" || fields["host"] != target:
		answer = "400 Bad Request"
	case t.User != "" && fields["proxy-authorization"] != "Basic "+base64.StdEncoding.EncodeToString([]byte(t.User)):
		answer = "407 Proxy Authentication Required"
	case t.Refuse:
		answer = "502 Bad Gateway"
	}
	if _, err := fmt.Fprintf(nc, "HTTP/1.1 %s\r\n\r\n", answer); err != nil || answer[0] != '2' {
		return fmt.Errorf("cloudtest: proxy: %s, %w", answer, err)
	}
	return nil
}

func (t *Transport) socks(nc net.Conn) error {
	r := bufio.NewReader(nc)
	read := func(n int) []byte {
		b := make([]byte, n)
		_, _ = io.ReadFull(r, b) // zeros are refused below
		return b
	}
	methods := string(read(int(read(2)[1])))
	method := byte(0)
	if t.User != "" {
		method = 2
	}
	if !strings.Contains(methods, string(method)) {
		method = 0xFF
	}
	if _, err := nc.Write([]byte{5, method}); err != nil || method == 0xFF {
		return fmt.Errorf("cloudtest: no method: %w", err)
	}
	if method == 2 {
		name := read(int(read(2)[1]))
		password := read(int(read(1)[0]))
		ok := byte(0)
		if string(name)+":"+string(password) != t.User {
			ok = 1
		}
		if _, err := nc.Write([]byte{1, ok}); err != nil || ok != 0 {
			return fmt.Errorf("cloudtest: wrong password: %w", err)
		}
	}
	host := ""
	switch read(4)[3] {
	case 1:
		host = net.IP(read(4)).String()
	case 3:
		host = string(read(int(read(1)[0])))
	case 4:
		host = net.IP(read(16)).String()
	}
	t.note(&t.mu.targets, net.JoinHostPort(host, strconv.Itoa(int(binary.BigEndian.Uint16(read(2))))))
	code := byte(0)
	if t.Refuse {
		code = 5
	}
	if _, err := nc.Write([]byte{5, code, 0, 3, 2, 'a', 'b', 0, 80}); err != nil || code != 0 {
		return fmt.Errorf("cloudtest: refused: %w", err)
	}
	return nil
}

func (t *Transport) upgrade(nc net.Conn) (net.Conn, error) {
	r := bufio.NewReader(nc)
	line, fields, err := head(r)
	if err != nil {
		return nil, err
	}
	if line != "GET "+t.Path+" HTTP/1.1" || fields["sec-websocket-protocol"] != "mqtt" || fields["sec-websocket-version"] != "13" {
		_, err = fmt.Fprint(nc, "HTTP/1.1 404 Not Found\r\n\r\n")
		return nil, fmt.Errorf("cloudtest: %q: %w", line, err)
	}
	_, err = fmt.Fprintf(nc, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n",
		websocket.AcceptKey(fields["sec-websocket-key"]))
	rest, _ := r.Peek(r.Buffered())
	return websocket.Server(nc, rest, func(net.Conn) {}), err
}

// buffered is the end of a pipe whose writes do not wait for a reader, as a
// kernel's do not: both ends of TLS may speak at a time.
type buffered struct {
	net.Conn
	out   chan []byte
	ended chan struct{}
	close func()
}

func newBuffered(nc net.Conn) *buffered {
	b := &buffered{Conn: nc, out: make(chan []byte, 4096), ended: make(chan struct{})}
	b.close = sync.OnceFunc(func() { close(b.ended) })
	go func() {
		defer nc.Close()
		for {
			select {
			case p := <-b.out:
				if _, err := nc.Write(p); err != nil {
					b.close()
					return
				}
			case <-b.ended:
				for len(b.out) > 0 {
					_ = nc.SetWriteDeadline(time.Now().Add(time.Second))
					_, _ = nc.Write(<-b.out)
				}
				return
			}
		}
	}()
	return b
}

func (b *buffered) Write(p []byte) (int, error) {
	select {
	case b.out <- bytes.Clone(p):
		return len(p), nil
	case <-b.ended:
		return 0, net.ErrClosed
	}
}

// Close lets what was written leave.
func (b *buffered) Close() error {
	b.close()
	return nil
}
