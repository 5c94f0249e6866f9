package bridge

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge/cloudtest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// A server closes one half of a connection on a real socket: it says no more
// and goes on to read, as a proxy does whose own server died. The bridge leaves
// at once, closes its half too, and sends again what was not acknowledged.
func TestHalfClosed(t *testing.T) {
	connack := []byte{0x20, 2, 0, 0} // of 3.1.1
	for name, end := range map[string]func(*net.TCPConn) error{
		"after CONNACK":          func(c *net.TCPConn) error { return c.CloseWrite() },
		"within a packet":        func(c *net.TCPConn) error { _, _ = c.Write([]byte{0x40, 2, 0}); return c.CloseWrite() },
		"the other one, by RST":  func(c *net.TCPConn) error { _ = c.SetLinger(0); return c.Close() },
		"it reads and says RST":  func(c *net.TCPConn) error { _ = c.CloseRead(); _ = c.SetLinger(0); return c.Close() },
		"with a word of goodbye": func(c *net.TCPConn) error { _, _ = c.Write([]byte{0xD0, 0}); return c.CloseWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const patience = time.Minute
			cloud, err := cloudtest.New(cloudtest.Options{})
			if err != nil {
				t.Fatal(err)
			}
			ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() {
				c, err := ln.AcceptTCP()
				if err != nil {
					ended <- err
					return
				}
				defer c.Close()
				b := make([]byte, 4096)
				_, _ = c.Read(b) // CONNECT
				_, _ = c.Write(connack)
				_, _ = c.Read(b) // PUBLISH
				if err := end(c); err != nil {
					ended <- err
					return
				}
				_ = c.SetReadDeadline(time.Now().Add(patience))
				_, err = io.Copy(io.Discard, c) // until the bridge closes its half
				ended <- err
				cloud.Serve(ln)
			}()
			t.Cleanup(func() { ln.Close() })
			r := against(t, cloud, func(o *Options) {
				o.Protocol, o.RetryMax = mqtt.V311, 10*time.Millisecond
				o.Dial = func(ctx context.Context, _ string) (net.Conn, error) {
					var d net.Dialer
					return d.DialContext(ctx, "tcp", ln.Addr().String())
				}
			})
			r.put("out/a", "x", 2)
			select {
			case err := <-ended:
				if ne, ok := err.(net.Error); ok && ne.Timeout() {
					t.Error("the bridge keeps its half open")
				}
			case <-time.After(2 * patience):
				t.Fatal("the bridge does not come")
			}
			if !cloudtest.WaitFor(patience, func() bool { return r.Stats().Acked == 1 }) {
				t.Errorf("%+v", r.Stats())
			}
			want(t, "delivered", cloud.Payloads(), "[x]")
			r.stop()
		})
	}
}
