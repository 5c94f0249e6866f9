package listen

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const sampleKey = "dGhlIHNhbXBsZSBub25jZQ==" // of RFC 6455, 1.3

// upgradeRequest is a good request with header fields added or, by their name,
// replaced; "Name:" alone leaves one out.
func upgradeRequest(line string, fields ...string) string {
	good := []string{
		"Host: gateway:8083", "Upgrade: websocket", "Connection: keep-alive, Upgrade",
		"Sec-WebSocket-Key: " + sampleKey, "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: mqtt",
	}
	var all []string
	for _, g := range good {
		name, _, _ := strings.Cut(g, ":")
		replaced := false
		for _, f := range fields {
			replaced = replaced || strings.HasPrefix(f, name+":")
		}
		if !replaced {
			all = append(all, g)
		}
	}
	for _, f := range fields {
		if !strings.HasSuffix(f, ":") {
			all = append(all, f)
		}
	}
	return line + "\r\n" + strings.Join(all, "\r\n") + "\r\n\r\n"
}

const get = "GET /mqtt HTTP/1.1"

// response reads status and header fields.
func response(t *testing.T, r *bufio.Reader) (status string, fields map[string]string) {
	t.Helper()
	fields = map[string]string{}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		line = strings.TrimSuffix(line, "\r\n")
		if line == "" {
			return status, fields
		}
		if name, value, ok := strings.Cut(line, ": "); ok && status != "" {
			if before := fields[name]; before != "" {
				value = before + ", " + value
			}
			fields[name] = value
		} else {
			_, status, _ = strings.Cut(line, " ")
		}
	}
}

func TestUpgrade(t *testing.T) {
	for _, tc := range []struct {
		name, request, status, protocol string
	}{
		{"MQTT-6.0.0-3 mqtt", upgradeRequest(get), "101 Switching Protocols", "mqtt"},
		{"MQTT-6.0.0-4 MQTT311-6.0.0-4 mqtt, wherever it stands in the list", upgradeRequest(get, "Sec-WebSocket-Protocol: chat, mqttv3.1", "Sec-WebSocket-Protocol: mqtt"), "101 Switching Protocols", "mqtt"},
		{"mqttv3.1 where it is all there is", upgradeRequest(get, "Sec-WebSocket-Protocol: mqttv3.1"), "101 Switching Protocols", "mqttv3.1"},
		{"a query", upgradeRequest("GET /mqtt?a=/b HTTP/1.1"), "101 Switching Protocols", "mqtt"},
		{"MQTT-6.0.0-3 no subprotocol", upgradeRequest(get, "Sec-WebSocket-Protocol:"), "400 Bad Request", ""},
		{"MQTT-6.0.0-3 another subprotocol", upgradeRequest(get, "Sec-WebSocket-Protocol: chat"), "400 Bad Request", ""},
		{"another path", upgradeRequest("GET /mqtt2 HTTP/1.1"), "404 Not Found", ""},
		{"a path that climbs", upgradeRequest("GET /x/../mqtt HTTP/1.1"), "404 Not Found", ""},
		{"another method", upgradeRequest("POST /mqtt HTTP/1.1"), "405 Method Not Allowed", ""},
		{"HTTP/1.0", upgradeRequest("GET /mqtt HTTP/1.0"), "505 HTTP Version Not Supported", ""},
		{"a browser that opens the address", upgradeRequest(get, "Upgrade:", "Connection: keep-alive"), "426 Upgrade Required", ""},
		{"Upgrade for another connection", upgradeRequest(get, "Connection: keep-alive"), "426 Upgrade Required", ""},
		{"another version", upgradeRequest(get, "Sec-WebSocket-Version: 8"), "426 Upgrade Required", ""},
		{"a key that is none", upgradeRequest(get, "Sec-WebSocket-Key: abc"), "400 Bad Request", ""},
		{"no Host", upgradeRequest(get, "Host:"), "400 Bad Request", ""},
		{"two Hosts", upgradeRequest(get, "Host: a", "Host: b"), "400 Bad Request", ""},
		{"a body", upgradeRequest(get, "Content-Length: 5"), "400 Bad Request", ""},
		{"chunks", upgradeRequest(get, "Transfer-Encoding: chunked"), "400 Bad Request", ""},
		{"a folded field", upgradeRequest(get, "X-A: b\r\n c"), "400 Bad Request", ""},
		{"a space before the colon", upgradeRequest(get, "X-A : b"), "400 Bad Request", ""},
		{"a bare line feed", upgradeRequest(get, "X-A: b\nX-B: c"), "400 Bad Request", ""},
		{"a foreign page", upgradeRequest(get, "Origin: https://evil.example"), "403 Forbidden", ""},
		{"a page in a file", upgradeRequest(get, "Origin: null"), "403 Forbidden", ""},
		{"a page that is let in", upgradeRequest(get, "Origin: https://panel.example.com"), "101 Switching Protocols", "mqtt"},
		{"a page of the same name, resolved to loopback", upgradeRequest(get, "Host: evil.example:8083", "Origin: http://evil.example:8083"), "403 Forbidden", ""},
		{"a page of this machine, another port", upgradeRequest(get, "Host: localhost:8083", "Origin: http://localhost:8080"), "101 Switching Protocols", "mqtt"},
		{"a page of this machine by address", upgradeRequest(get, "Host: [::1]:8083", "Origin: http://[::1]"), "101 Switching Protocols", "mqtt"},
		{"a head without end", "GET /mqtt HTTP/1.1\r\nX: " + strings.Repeat("x", maxHead), "431 Request Header Fields Too Large", ""},
		{"not HTTP", "GARBAGE\r\n\r\n", "400 Bad Request", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			address, arrived := serveLayers(t, Layers{WebSocket: &WebSocket{Path: "/mqtt", Origins: []string{"https://panel.example.com"}}})
			nc := dial(t, address)
			if _, err := nc.Write([]byte(tc.request)); err != nil {
				t.Fatal(err)
			}
			status, fields := response(t, bufio.NewReader(nc))
			if status != tc.status || fields["Sec-WebSocket-Protocol"] != tc.protocol {
				t.Errorf("%s, %q", status, fields)
			}
			if strings.HasPrefix(status, "426") && (fields["Upgrade"] != "websocket" || fields["Connection"] != "Upgrade, close") {
				t.Errorf("what to ask for: %q", fields)
			}
			nc.Close()
			if a := <-arrived; (a.err == nil) != (tc.protocol != "") {
				t.Error(a.err)
			} else if a.err == nil {
				if fields["Sec-WebSocket-Accept"] != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
					t.Errorf("accept key %q", fields["Sec-WebSocket-Accept"])
				}
				a.Close()
			}
		})
	}
}

func TestOriginsBeyondLoopback(t *testing.T) {
	w := &WebSocket{Path: "/mqtt"}
	public := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}
	for origin, ok := range map[string]bool{"http://gateway": true, "https://GATEWAY:8443": true, "http://gateway.example": false, "gateway": false, "": true} {
		if got := w.welcome(&head{host: "gateway:8083", origin: origin}, public); got != ok {
			t.Errorf("%q: %v", origin, got)
		}
	}
	if !(&WebSocket{Origins: []string{"*"}}).welcome(&head{host: "gateway", origin: "http://evil.example"}, public) {
		t.Error("* is not any")
	}
}

// A proxy on this machine serves pages of names that are not this machine's.
func TestOriginsBehindALocalProxy(t *testing.T) {
	for header, want := range map[string]string{
		"PROXY TCP4 192.0.2.7 192.0.2.1 1234 443\r\n": "101 Switching Protocols",
		string(proxy2(0x20, 0, nil)):                  "403 Forbidden", // LOCAL
	} {
		address, arrived := serveLayers(t, Layers{Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, WebSocket: &WebSocket{Path: "/mqtt"}})
		client := dial(t, address)
		if _, err := client.Write([]byte(header + upgradeRequest(get, "Host: gateway.example", "Origin: https://gateway.example"))); err != nil {
			t.Fatal(err)
		}
		if status, _ := response(t, bufio.NewReader(client)); status != want {
			t.Errorf("%q: %s", header, status)
		}
		client.Close()
		if server := <-arrived; server.err == nil {
			server.Close()
		}
	}
}

// webSocketPair is a client's socket and the server's end after the upgrade.
func webSocketPair(t *testing.T) (client net.Conn, r *bufio.Reader, server arrival) {
	t.Helper()
	address, arrived := serveLayers(t, Layers{WebSocket: &WebSocket{Path: "/mqtt"}})
	client = dial(t, address)
	// The first frame comes with the request.
	if _, err := client.Write(append([]byte(upgradeRequest(get)), binaryFrame("first")...)); err != nil {
		t.Fatal(err)
	}
	r = bufio.NewReader(client)
	response(t, r)
	server = <-arrived
	if server.err != nil {
		t.Fatal(server.err)
	}
	t.Cleanup(func() {
		client.Close() // or the server gives it a second to answer Close
		server.Close()
	})
	got := make([]byte, 5)
	if _, err := io.ReadFull(server, got); err != nil || string(got) != "first" {
		t.Fatalf("%q, %v", got, err)
	}
	return client, r, server
}

// Opcodes and a status code (RFC 6455, 5.2 and 7.4.1).
const (
	opBinary         = 0x2
	opClose          = 0x8
	closeUnsupported = 1003
)

// clientFrame is a short frame as a client sends it, with fin and the opcode in
// the first byte.
func clientFrame(first byte, payload []byte) []byte {
	b := []byte{first, 0x80 | byte(len(payload)), 1, 2, 3, 4}
	for i, c := range payload {
		b = append(b, c^b[2+i%4])
	}
	return b
}

func binaryFrame(payload string) []byte { return clientFrame(0x80|opBinary, []byte(payload)) }

// readFrame reads one frame of the server.
func readFrame(t *testing.T, r *bufio.Reader) (op byte, payload []byte) {
	t.Helper()
	var h [2]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		t.Fatal(err)
	}
	size := uint64(h[1])
	if size == 126 || size == 127 {
		more := make([]byte, map[uint64]int{126: 2, 127: 8}[size])
		if _, err := io.ReadFull(r, more); err != nil {
			t.Fatal(err)
		}
		size = binary.BigEndian.Uint64(append(make([]byte, 8-len(more)), more...))
	}
	payload = make([]byte, size)
	if _, err := io.ReadFull(r, payload); err != nil {
		t.Fatal(err)
	}
	if h[0]&0x80 == 0 {
		t.Error("a fragment")
	}
	return h[0] & 15, payload
}

func wantFrame(t *testing.T, r *bufio.Reader, op byte, payload string) {
	t.Helper()
	if gotOp, got := readFrame(t, r); gotOp != op || string(got) != payload {
		t.Fatalf("frame %x %.60q, want %x %.60q", gotOp, got, op, payload)
	}
}

func TestWebSocket(t *testing.T) {
	t.Run("MQTT-6.0.0-1 MQTT311-6.0.0-1 the server sends binary frames, of any size", func(t *testing.T) {
		_, r, server := webSocketPair(t)
		for _, size := range []int{1, 125, 126, 16384, 16385, 65535, 65536, 1 << 20} {
			want := strings.Repeat("x", size-1) + "y"
			done := make(chan error, 1)
			go func() {
				n, err := server.Write([]byte(want))
				if err == nil && n != size {
					err = fmt.Errorf("%d bytes written", n)
				}
				done <- err
			}()
			wantFrame(t, r, opBinary, want)
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("Close is answered with its code", func(t *testing.T) {
		client, r, server := webSocketPair(t)
		if _, err := client.Write(clientFrame(0x88, []byte{0x03, 0xE9, 'b', 'y', 'e'})); err != nil {
			t.Fatal(err)
		}
		if _, err := server.Read(make([]byte, 10)); err != io.EOF {
			t.Errorf("read: %v", err)
		}
		wantFrame(t, r, opClose, "\x03\xE9")
		if _, err := server.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write after Close: %v", err)
		}
		server.Close()
		if _, err := r.ReadByte(); err != io.EOF {
			t.Errorf("after Close: %v", err)
		}
	})
	t.Run("the server's end is a Close frame, and the client's answer ends reads", func(t *testing.T) {
		client, r, server := webSocketPair(t)
		if err := closeWrite(server.Conn); err != nil {
			t.Fatal(err)
		}
		wantFrame(t, r, opClose, "\x03\xE8")
		if _, err := client.Write(append(binaryFrame("late"), clientFrame(0x88, []byte{0x03, 0xE8})...)); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(server); string(got) != "late" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		server.Close()
		if _, err := r.ReadByte(); err != io.EOF {
			t.Errorf("a second Close frame, or %v", err)
		}
	})
	t.Run("MQTT-6.0.0-1 MQTT311-6.0.0-1 text closes the connection, and the client learns why", func(t *testing.T) {
		client, r, server := webSocketPair(t)
		// What is left unread must not eat the reason.
		if _, err := client.Write(append(append(binaryFrame("good"), clientFrame(0x81, []byte("text"))...), make([]byte, 30000)...)); err != nil {
			t.Fatal(err)
		}
		read := make(chan string, 1)
		go func() {
			got, err := io.ReadAll(server)
			server.Close()
			read <- fmt.Sprintf("%s %v", got, err)
		}()
		op, payload := readFrame(t, r)
		if op != opClose || binary.BigEndian.Uint16(payload) != closeUnsupported {
			t.Errorf("frame %x %q", op, payload)
		}
		if _, err := r.ReadByte(); err != io.EOF {
			t.Errorf("after Close: %v", err)
		}
		client.Close()
		if got := <-read; !strings.HasPrefix(got, "good websocket: ") {
			t.Errorf("server read %q", got)
		}
	})
	t.Run("10,000 frames of one byte", func(t *testing.T) {
		client, _, server := webSocketPair(t)
		go client.Write(bytes.Repeat(binaryFrame("x"), 10000))
		got := make([]byte, 10000)
		if _, err := io.ReadFull(server, got); err != nil || strings.Trim(string(got), "x") != "" {
			t.Error(err)
		}
	})
	t.Run("a client that is gone", func(t *testing.T) {
		client, _, server := webSocketPair(t)
		client.Close()
		if _, err := server.Read(make([]byte, 10)); err != io.EOF {
			t.Errorf("read: %v", err)
		}
	})
	t.Run("a deadline passes and reads go on", func(t *testing.T) {
		client, _, server := webSocketPair(t)
		server.SetReadDeadline(time.Now().Add(-time.Second))
		if _, err := server.Read(make([]byte, 10)); err == nil || !err.(net.Error).Timeout() {
			t.Fatal(err)
		}
		server.SetReadDeadline(time.Now().Add(5 * time.Second))
		client.Write(binaryFrame("x"))
		if n, err := server.Read(make([]byte, 10)); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	})
}

func TestSlowUpgradeHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemory()
		ln := Layers{WebSocket: &WebSocket{Path: "/mqtt"}, Log: slog.New(slog.DiscardHandler)}.Over(mem)
		defer ln.Close()
		ended := make(chan error, 1)
		go func() {
			nc, err := ln.Accept()
			if err == nil {
				nc.SetDeadline(time.Now().Add(10 * time.Second))
				_, err = nc.(Handshaker).Handshake()
				nc.Close()
			}
			ended <- err
		}()
		client, err := mem.Dial()
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		for err == nil { // never idle, never done
			time.Sleep(time.Second)
			_, err = client.Write([]byte("G"))
		}
		if err := <-ended; err == nil || time.Since(start) > stepTimeout+time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		client.Close()
	})
}

func TestAllLayers(t *testing.T) {
	a := newAuthority(t)
	a.server("server")
	me := a.client("me")
	var log logged
	s, err := NewTLS(TLSOptions{Cert: a.path("server.pem"), Key: a.path("server.key"), CA: a.path("ca.pem")}, log.logger())
	if err != nil {
		t.Fatal(err)
	}
	address, arrived := serveLayers(t, Layers{
		Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, TLS: s, WebSocket: &WebSocket{Path: "/mqtt"},
	})
	nc := dial(t, address)
	if _, err := nc.Write([]byte("PROXY TCP4 192.0.2.7 192.0.2.1 1234 8883\r\n")); err != nil {
		t.Fatal(err)
	}
	client := tlsClient(nc, a, me)
	if _, err := client.Write([]byte(upgradeRequest(get))); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(client)
	if status, _ := response(t, r); status != "101 Switching Protocols" {
		t.Fatal(status)
	}
	server := <-arrived
	defer server.Close()
	if want := (Peer{Remote: "192.0.2.7:1234", CertificateUser: "me"}); server.err != nil || server.peer != want {
		t.Fatalf("%+v, %v", server.peer, server.err)
	}
	if _, err := client.Write(binaryFrame("ping")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4)
	if _, err := io.ReadFull(server, got); err != nil || string(got) != "ping" {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := server.Write([]byte("pong")); err != nil {
		t.Fatal(err)
	}
	wantFrame(t, r, opBinary, "pong")
	server.Close()
	wantFrame(t, r, opClose, "\x03\xE8")
}

func FuzzUpgrade(f *testing.F) {
	f.Add([]byte(upgradeRequest(get, "Origin: http://gateway")))
	f.Add([]byte("GET / HTTP/1.1\r\nA:b"))
	w := &WebSocket{Path: "/mqtt"}
	f.Fuzz(func(t *testing.T, b []byte) {
		head, _, _ := bytes.Cut(b, []byte("\r\n\r\n"))
		h, refused := parseHead(head)
		if (h == nil) == (refused == nil) {
			t.Fatal("neither or both")
		}
		if h == nil {
			return
		}
		protocol, refused := w.judge(h, &net.TCPAddr{})
		if (protocol == "mqtt" || protocol == "mqttv3.1") == (refused != nil) {
			t.Fatal(protocol, refused)
		}
		if refused == nil && (h.method != "GET" || h.path != "/mqtt" || h.host == "") {
			t.Fatalf("let in: %+v", h)
		}
		if refused != nil && strings.ContainsAny(refused.status+refused.why, "\r\n") {
			t.Fatalf("splits the answer: %+v", refused)
		}
	})
}
