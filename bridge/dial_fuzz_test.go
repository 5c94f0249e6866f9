package bridge

import (
	"net"
	"strings"
	"sync"
	"testing"
)

// answering gives f a connection whose other end says answer, takes what comes,
// and closes.
func answering(answer []byte, f func(net.Conn)) {
	near, far := net.Pipe()
	var peer sync.WaitGroup
	peer.Go(func() {
		b := make([]byte, 1000)
		for {
			if _, err := far.Read(b); err != nil {
				return
			}
		}
	})
	peer.Go(func() {
		_, _ = far.Write(answer)
		_ = far.Close()
	})
	f(near)
	_ = near.Close()
	peer.Wait()
}

// Whatever a server or proxy answers, the bridge ends the exchange without
// harm, and believes only what the standards call a success.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 200 OK\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 407 x\r\n\r\n"))
	f.Add([]byte{5, 0, 5, 0, 0, 1, 1, 2, 3, 4, 0, 80})
	f.Add([]byte{5, 2, 1, 0, 5, 0, 0, 3, 1, 'a', 0, 80})
	s := server{host: "cloud.example", port: "443", path: "/mqtt"}
	f.Fuzz(func(t *testing.T, answer []byte) {
		answering(answer, func(c net.Conn) {
			if _, err := upgrade(c, s); err == nil {
				t.Error("a WebSocket server that did not know the key")
			}
		})
		answering(answer, func(c net.Conn) {
			p := &proxy{username: "u", password: "p"}
			if err := p.connect(c, s); err == nil && !strings.HasPrefix(string(answer), "HTTP/1.") {
				t.Error("a proxy that does not speak HTTP")
			}
		})
		answering(answer, func(c net.Conn) {
			p := &proxy{socks: true, username: "u", password: "p"}
			if err := p.connect(c, s); err == nil && (len(answer) < 9 || answer[0] != 5) {
				t.Errorf("a proxy that answers %x", answer)
			}
		})
	})
}

// Addresses are taken apart or refused, and no refusal shows a password.
func FuzzAddresses(f *testing.F) {
	f.Add("wss://u:hunter2@cloud.example:1/x?y#z")
	f.Add("socks5://u:hunter2@proxy:1080")
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := parseServer(text); err == nil && (s.host == "" || s.port == "") {
			t.Errorf("%q: %+v", text, s)
		} else if err != nil && strings.Contains(text, ":hunter2@") && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", text, err)
		}
		if _, err := parseProxy(text); err != nil && strings.Contains(text, ":hunter2@") && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", text, err)
		}
	})
}
