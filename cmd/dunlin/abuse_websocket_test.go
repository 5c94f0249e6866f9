//go:build linux

package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Opcodes of RFC 6455.
const (
	wsContinuation, wsText, wsBinary, wsClose, wsPing = 0x0, 0x1, 0x2, 0x8, 0x9
)

// withWebSocket is the open configuration with a second listener.
var withWebSocket = strings.Replace(open, "}],", `}, {bind: "127.0.0.1:0", anonymous: true, protocol: websocket}],`, 1)

// wsFrame is a frame of a client; first holds FIN and the opcode.
func wsFrame(first byte, payload []byte) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = append(b, 0x80|126, byte(n>>8), byte(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := [4]byte{1, 2, 3, 4}
	b = append(b, mask[:]...)
	for i, c := range payload {
		b = append(b, c^mask[i&3])
	}
	return b
}

// wsConn reads the payload of a server's binary frames; what is written to it
// goes out as it is.
type wsConn struct {
	net.Conn
	in     *bufio.Reader
	left   int
	closed uint16 // the code of the server's Close frame
	other  []byte // opcodes of frames that were no payload
}

func (c *wsConn) Read(p []byte) (int, error) {
	for c.left == 0 {
		var head [2]byte
		if _, err := io.ReadFull(c.in, head[:]); err != nil {
			return 0, err
		}
		n := int(head[1] & 0x7F)
		more := make([]byte, map[int]int{126: 2, 127: 8}[n])
		if _, err := io.ReadFull(c.in, more); err != nil {
			return 0, err
		}
		if len(more) > 0 {
			n = 0
			for _, b := range more {
				n = n<<8 | int(b)
			}
		}
		if op := head[0] & 0x0F; op != wsBinary && op != wsContinuation {
			body := make([]byte, n)
			if _, err := io.ReadFull(c.in, body); err != nil {
				return 0, err
			}
			c.other = append(c.other, op)
			if op == wsClose && n >= 2 {
				c.closed = binary.BigEndian.Uint16(body)
			}
			continue
		}
		c.left = n
	}
	n, err := c.in.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// request sends an upgrade request with these lines changed: a value of ""
// leaves a field out.
func (s *victim) request(line string, fields map[string]string) (*http.Response, *wsConn) {
	s.t.Helper()
	nc := s.openAt(1)
	all := map[string]string{
		"Host": s.addresses[1], "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
		"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "mqtt",
	}
	for k, v := range fields {
		all[k] = v
	}
	var b strings.Builder
	b.WriteString(line + "\r\n")
	for k, v := range all {
		if v != "" {
			fmt.Fprintf(&b, "%s: %s\r\n", k, v)
		}
	}
	nc.SetDeadline(time.Now().Add(8 * time.Second))
	io.WriteString(nc, b.String()+"\r\n") // a server that closes early is seen below
	in := bufio.NewReader(nc)
	r, err := http.ReadResponse(in, nil)
	if err != nil {
		return nil, nil
	}
	return r, &wsConn{Conn: nc, in: in}
}

// webSocket is a WebSocket connection that was let in.
func (s *victim) webSocket() (*attacker, *wsConn) {
	s.t.Helper()
	r, c := s.request("GET /mqtt HTTP/1.1", map[string]string{"Sec-WebSocket-Extensions": "permessage-deflate"})
	if r == nil || r.StatusCode != http.StatusSwitchingProtocols {
		s.t.Fatalf("upgrade: %v\n%s", r, s.tail())
	}
	if x := r.Header.Get("Sec-WebSocket-Extensions"); x != "" {
		s.t.Errorf("the server agrees to %s", x)
	}
	return newAttacker(s.t, c, mqtt.V5), c
}

func webSocketBorders(t *testing.T) {
	s := attackOn(t, victimOptions{config: withWebSocket})
	a, c := s.webSocket()
	connect := rawConnect(2, props(), field("borders"))
	a.write(wsFrame(0x80|wsBinary, connect[:5]), wsFrame(0x80|wsBinary, connect[5:])) // Remaining Length beyond the frame
	a.expect("CONNACK rc=0x00 ...")
	a.write(wsFrame(0x80|wsBinary, frame(0x82, u16(1), props(), field("t"), []byte{0})))
	a.expect("SUBACK ...")
	large := frame(0x30, field("t"), props(), []byte(strings.Repeat("x", 10_000)))
	var dust []byte
	for i, b := range large { // fragments of one message, then messages of their own
		first := byte(0x80 | wsBinary)
		if i < 5000 {
			first = wsContinuation
			if i == 0 {
				first = wsBinary
			} else if i == 4999 {
				first |= 0x80
			}
		}
		dust = append(dust, wsFrame(first, []byte{b})...)
	}
	a.write(dust)
	if got := a.receive(); len(got) < 10_000 || !strings.HasPrefix(got, "PUBLISH topic=t payload=xxx") {
		t.Errorf("a packet over %d frames: %.100s", len(large), got)
	}
	var ten []byte
	for i := range 10 {
		ten = append(ten, frame(0x30, field("t"), props(), []byte{'0' + byte(i)})...)
	}
	a.write(wsFrame(0x80|wsBinary, ten))
	for i := range 10 {
		a.expect(fmt.Sprintf("PUBLISH topic=t payload=%d qos=0", i))
	}
	a.write(wsFrame(0x80|wsBinary, nil), wsFrame(0x80|wsPing, []byte("p")), wsFrame(0x80|wsBinary, []byte{0xC0, 0}))
	a.expect("PINGRESP")
	a.write(wsFrame(0x80|wsBinary, []byte{0x30, 0xFF, 0xFF, 0xFF, 0x7F}))
	a.closedWith(mqtt.PacketTooLarge)
	if len(c.other) == 0 {
		t.Error("no Pong")
	}
	before := s.status("VmRSS")
	for range 20 { // a frame that promises 200 MB and does not come
		a, _ := s.webSocket()
		a.write(wsFrame(0x80|wsBinary, rawConnect(2, props(), field(""))))
		a.expect("CONNACK rc=0x00 ...")
		a.write([]byte{0x80 | wsBinary, 0xFF, 0, 0, 0, 0, 0x0C, 0, 0, 0, 1, 2, 3, 4}, make([]byte, 1000))
	}
	if grown := s.status("VmRSS") - before; grown > 16<<20 {
		t.Errorf("RSS grew by %d MiB", grown>>20)
	}
}

func webSocketViolations(t *testing.T) {
	s := attackOn(t, victimOptions{config: withWebSocket})
	unmasked := []byte{0x80 | wsBinary, 2, 0xC0, 0}
	for name, tc := range map[string]struct {
		bytes []byte
		codes []uint16
	}{
		"length of 2^63":           {[]byte{0x80 | wsBinary, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, []uint16{1002, 1009}},
		"length of 2^40":           {[]byte{0x80 | wsBinary, 0xFF, 0, 0, 1, 0, 0, 0, 0, 0, 1, 2, 3, 4}, []uint16{1009}},
		"fragmented control frame": {wsFrame(wsPing, []byte("p")), []uint16{1002}},
		"control frame of 126":     {wsFrame(0x80|wsPing, make([]byte, 126)), []uint16{1002}},
		"unmasked":                 {unmasked, []uint16{1002}},
		"text":                     {wsFrame(0x80|wsText, []byte("x")), []uint16{1002, 1003}},
		"reserved bits (deflate)":  {wsFrame(0xC0|wsBinary, []byte("x")), []uint16{1002}},
		"unknown opcode":           {wsFrame(0x83, []byte("x")), []uint16{1002}},
		"continuation of nothing":  {wsFrame(0x80|wsContinuation, []byte("x")), []uint16{1002}},
		"length not shortest":      {[]byte{0x80 | wsBinary, 0xFE, 0, 1, 1, 2, 3, 4, 'x' ^ 1}, []uint16{1002}},
		"Close of one byte":        {wsFrame(0x80|wsClose, []byte{3}), []uint16{1002}},
		"Close with code 999":      {wsFrame(0x80|wsClose, []byte{3, 231}), []uint16{1002}},
	} {
		a, c := s.webSocket()
		a.write(tc.bytes)
		if last := a.last(); last == "silence" || c.closed != tc.codes[0] && c.closed != tc.codes[len(tc.codes)-1] {
			t.Errorf("%s: %s with code %d, want %d", name, last, c.closed, tc.codes)
		}
	}
	a, c := s.webSocket()
	a.write(wsFrame(0x80|wsBinary, rawConnect(2, props(), field("pinger"))))
	a.expect("CONNACK rc=0x00 ...")
	for range 200 { // a flood of Ping that is not read
		a.write([]byte(strings.Repeat(string(wsFrame(0x80|wsPing, make([]byte, 125))), 100)))
	}
	a.write(wsFrame(0x80|wsBinary, []byte{0xC0, 0}))
	a.expect("PINGRESP")
	if len(c.other) == 0 {
		t.Error("no Pong at all")
	}
}

func wrongUpgrades(t *testing.T) {
	s := attackOn(t, victimOptions{config: withWebSocket})
	get := "GET /mqtt HTTP/1.1"
	for name, tc := range map[string]struct {
		line   string
		fields map[string]string
		status []int
	}{
		"no subprotocol":        {get, map[string]string{"Sec-WebSocket-Protocol": ""}, []int{400}},
		"another subprotocol":   {get, map[string]string{"Sec-WebSocket-Protocol": "chat"}, []int{400}},
		"a foreign page":        {get, map[string]string{"Origin": "https://evil.example"}, []int{403}},
		"a rebound name":        {get, map[string]string{"Origin": "http://evil.example:80", "Host": "evil.example:80"}, []int{403}},
		"a body":                {get, map[string]string{"Content-Length": "5"}, []int{400}},
		"two lengths of a body": {get, map[string]string{"Content-Length": "5", "Transfer-Encoding": "chunked"}, []int{400}},
		"a header of 1 MB":      {get, map[string]string{"X-Large": strings.Repeat("x", 1<<20)}, []int{431}},
		"path traversal":        {"GET /../../etc/passwd HTTP/1.1", nil, []int{400, 404}},
		"another path":          {"GET /debug/pprof/ HTTP/1.1", nil, []int{404}},
		"POST":                  {"POST /mqtt HTTP/1.1", nil, []int{400, 405}},
		"HTTP/1.0":              {"GET /mqtt HTTP/1.0", nil, []int{400, 426, 505}},
		"no upgrade":            {get, map[string]string{"Upgrade": ""}, []int{400, 426}},
		"no key":                {get, map[string]string{"Sec-WebSocket-Key": ""}, []int{400}},
		"an obsolete version":   {get, map[string]string{"Sec-WebSocket-Version": "8"}, []int{400, 426}},
		"a folded line":         {get, map[string]string{"X-Folded": "a\r\n b"}, []int{400}},
	} {
		r, _ := s.request(tc.line, tc.fields)
		if r == nil && name == "a header of 1 MB" {
			continue // reset before the answer was read: refused as well
		}
		if r == nil || r.StatusCode != tc.status[0] && r.StatusCode != tc.status[len(tc.status)-1] && (len(tc.status) < 3 || r.StatusCode != tc.status[1]) {
			t.Errorf("%s: %v, want %d", name, r, tc.status)
		}
	}
	slow := s.openAt(1) // a header that takes for ever
	begin := time.Now()
	for slow != nil {
		_, err := slow.Write([]byte("G"))
		slow.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		if _, rerr := slow.Read(make([]byte, 1)); err != nil || rerr == io.EOF || rerr != nil && !strings.Contains(rerr.Error(), "timeout") {
			break
		}
		if time.Since(begin) > time.Duration(scale(60, 12))*time.Second {
			t.Error("a header that never ends is read for ever")
			break
		}
	}
}
