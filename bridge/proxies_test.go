package bridge

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge/cloudtest"
)

// A proxy that misbehaves: what it answers to each thing that it is told, and
// how. After the last answer it passes everything on, or closes.
type oddProxy struct {
	name    string
	scheme  string // http or socks5
	user    string
	answers []string
	every   time.Duration // between two bytes
	closes  bool
	class   Class // empty: the message arrives
	says    string
}

const established = "HTTP/1.1 200 Connection established\r\n"

func oddProxies() []oddProxy {
	long := strings.Repeat("X-Filler: "+strings.Repeat("x", 100)+"\r\n", 80)
	slow := time.Second / 4
	ok := "\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50"
	return []oddProxy{
		{name: "an answer byte by byte", scheme: "http", answers: []string{established + "\r\n"}, every: slow / 2},
		{name: "an answer too slow to wait for", scheme: "http", answers: []string{established + "\r\n"}, every: 2 * slow, class: ClassTimeout, says: "no answer of the proxy within 10s"},
		{name: "fields that mean nothing for CONNECT", scheme: "http", answers: []string{"HTTP/1.0 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n"}},
		{name: "a status without a reason", scheme: "http", answers: []string{"HTTP/1.1 200\r\n\r\n"}},
		{name: "no word", scheme: "http", answers: []string{""}, closes: true, class: ClassTCP, says: "the proxy"},
		{name: "half an answer", scheme: "http", answers: []string{established}, closes: true, class: ClassTCP, says: "the proxy"},
		{name: "half an answer, and silence", scheme: "http", answers: []string{established}, class: ClassTimeout, says: "no answer of the proxy within 10s"},
		{name: "an answer without end", scheme: "http", answers: []string{established + long + long}, class: ClassProtocol, says: "without end"},
		{name: "407 with a page", scheme: "http", answers: []string{"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 9\r\n\r\n<html>no!"}, closes: true, class: ClassAuth, says: "407 Proxy Authentication Required"},
		{name: "407 though there is a password", scheme: "http", user: "me:wrong@", answers: []string{"HTTP/1.1 407 \r\n\r\n"}, closes: true, class: ClassAuth, says: "407"},
		{name: "403", scheme: "http", answers: []string{"HTTP/1.1 403 Forbidden\r\n\r\n"}, closes: true, class: ClassAuth, says: "403 Forbidden"},
		{name: "503", scheme: "http", answers: []string{"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 9\r\n\r\n"}, closes: true, class: ClassQuota, says: "503"},
		{name: "a redirect", scheme: "http", answers: []string{"HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\n\r\n"}, closes: true, class: ClassRefused, says: "302 Found"},
		{name: "HTTP/2", scheme: "http", answers: []string{"HTTP/2 200\r\n\r\n"}, class: ClassProtocol, says: "not one of HTTP"},
		{name: "SOCKS where HTTP is asked for", scheme: "http", answers: []string{"\x05\xff\r\n\r\n"}, class: ClassProtocol, says: "not one of HTTP"},
		{name: "bytes behind the answer", scheme: "http", answers: []string{established + "\r\nhello"}, class: ClassTCP, says: "bytes of nobody"},

		{name: "an answer byte by byte", scheme: "socks5", answers: []string{"\x05\x00", ok}, every: slow},
		{name: "the address is a name", scheme: "socks5", answers: []string{"\x05\x00", "\x05\x00\x00\x03\x04abcd\x00\x50"}},
		{name: "the address is a name without letters", scheme: "socks5", answers: []string{"\x05\x00", "\x05\x00\x00\x03\x00\x00\x50"}},
		{name: "a password is not asked for", scheme: "socks5", user: "me:secret@", answers: []string{"\x05\x00", ok}},
		{name: "no word", scheme: "socks5", answers: []string{""}, closes: true, class: ClassTCP, says: "the proxy"},
		{name: "no way to sign in", scheme: "socks5", answers: []string{"\x05\xff"}, closes: true, class: ClassAuth, says: "another way to sign in"},
		{name: "the password is refused", scheme: "socks5", user: "me:wrong@", answers: []string{"\x05\x02", "\x01\x01"}, closes: true, class: ClassAuth, says: "refuses user name or password"},
		{name: "silence after the password", scheme: "socks5", user: "me:secret@", answers: []string{"\x05\x02", ""}, class: ClassTimeout, says: "no answer of the proxy within 10s"},
		{name: "half an answer", scheme: "socks5", answers: []string{"\x05\x00", "\x05\x00\x00\x01\x7f\x00"}, closes: true, class: ClassTCP, says: "the proxy"},
		{name: "a refusal of four bytes", scheme: "socks5", answers: []string{"\x05\x00", "\x05\x05\x00\x01"}, closes: true, class: ClassTCP, says: "connection refused"},
		{name: "an answer that nobody knows", scheme: "socks5", answers: []string{"\x05\x00", "\x05\x63\x00\x01\x7f\x00\x00\x01\x00\x50"}, class: ClassTCP, says: "unknown failure (99)"},
		{name: "an address that nobody knows", scheme: "socks5", answers: []string{"\x05\x00", "\x05\x00\x00\x09\x7f\x00\x00\x01\x00\x50"}, class: ClassProtocol, says: "address of type 9"},
		{name: "SOCKS4", scheme: "socks5", answers: []string{"\x00\x5a\x00\x00\x00\x00\x00\x00"}, class: ClassProtocol, says: "does not speak SOCKS5"},
		{name: "HTTP where SOCKS is asked for", scheme: "socks5", answers: []string{"HTTP/1.1 400 Bad Request\r\n\r\n"}, class: ClassProtocol, says: "does not speak SOCKS5"},
	}
}

// dial is Options.Dial: the far side of the connection is the proxy.
func (p *oddProxy) dial(c *cloudtest.Cloud, ended *sync.WaitGroup) func(context.Context, string) (net.Conn, error) {
	return func(context.Context, string) (net.Conn, error) {
		near, far := net.Pipe()
		ended.Go(func() {
			b := make([]byte, 4096)
			for _, answer := range p.answers {
				if _, err := far.Read(b); err != nil {
					return
				}
				for piece := range strings.SplitSeq(answer, "") {
					if p.every == 0 {
						piece = answer
					}
					if _, err := far.Write([]byte(piece)); err != nil {
						_ = far.Close()
						return
					}
					if p.every == 0 {
						break
					}
					time.Sleep(p.every) // in a synctest bubble
				}
			}
			if p.closes {
				_ = far.Close()
				return
			}
			c.Attach(far)
		})
		return near, nil
	}
}

// Whatever a proxy does, an attempt ends in time with a reason that names the
// proxy, which is not asked more often than the back-off allows.
func TestOddProxies(t *testing.T) {
	for _, p := range oddProxies() {
		bubble(t, p.scheme+": "+p.name, func(t *testing.T) {
			c, err := cloudtest.New(cloudtest.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if p.class == ClassTimeout {
				c.Set(func(f *cloudtest.Faults) { f.BlackHole = true })
			}
			var ended sync.WaitGroup
			r := against(t, c, func(o *Options) {
				o.Servers, o.Dial, o.Proxy = []string{"mqtt://cloud.example"}, p.dial(c, &ended), p.scheme+"://"+p.user+"proxy.example:3128"
			})
			r.put("out/a", "x", 1)
			after(14 * time.Second)
			st := r.Stats()
			if p.class == "" {
				want(t, "delivered", c.Payloads(), "[x]")
			}
			want(t, "class", st.Class, p.class)
			if !strings.Contains(st.Reason, p.says) || p.class != "" && !strings.Contains(st.Reason, "through the proxy proxy.example:3128") || strings.Contains(st.Reason, "wrong") {
				t.Errorf("reason %q, want %q of the proxy in it", st.Reason, p.says)
			}
			after(time.Hour)
			if n := r.Stats().Attempts; n > 200 { // a wait between 1 s and 5 min, each up to three times the last
				t.Errorf("%d attempts in an hour", n)
			}
			r.stop()
			ended.Wait()
		})
	}
}
