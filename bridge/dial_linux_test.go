package bridge

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"
)

// What lies below a link, on real sockets.
func TestSockets(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	dead, alive := netip.MustParseAddr("127.0.0.99"), netip.MustParseAddr("127.0.0.1")
	dial := func(addrs ...netip.Addr) (net.Conn, error) {
		r := resolver{known: map[string]known{}, lookup: func(context.Context, string) ([]netip.Addr, error) { return addrs, nil }}
		return r.dial(t.Context(), net.JoinHostPort("cloud.example", port))
	}
	t.Run("B1 a dead address before a good one", func(t *testing.T) {
		c, err := dial(dead, alive)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		if c, err := dial(dead); err == nil {
			c.Close()
			t.Error("connected to nobody")
		}
	})
	t.Run("B3 TCP_USER_TIMEOUT", func(t *testing.T) {
		c, err := dial(alive)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		raw, err := c.(syscall.Conn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var got int
		if cerr := raw.Control(func(fd uintptr) { got, err = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout) }); cerr != nil || err != nil {
			t.Fatal(cerr, err)
		}
		want(t, "milliseconds", got, int(20*time.Second/time.Millisecond))
	})
}

func TestNameServerThatIsSilent(t *testing.T) {
	bubble(t, "B1 it is given 5 s", func(t *testing.T) {
		r := resolver{known: map[string]known{}, lookup: func(ctx context.Context, _ string) ([]netip.Addr, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		began := time.Now()
		_, err := r.resolve(t.Context(), "cloud.example")
		want(t, "class", classify(err, time.Now()).class, ClassDNS)
		want(t, "time", time.Since(began), 5*time.Second)
	})
}
