package bridge

import (
	"context"
	"errors"
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
		r := newResolver(func(context.Context, string) ([]netip.Addr, error) { return addrs, nil })
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

// An address behind which nobody answers gives the others their turn, and is not
// what stands in for a name server.
func TestAddressThatIsMute(t *testing.T) {
	var port string
	for _, host := range []string{"127.0.0.1:0", "127.0.0.2:"} {
		ln, err := net.Listen("tcp", host+port)
		if err != nil {
			t.Skip(err)
		}
		defer ln.Close()
		_, port, _ = net.SplitHostPort(ln.Addr().String())
	}
	first, second := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")
	var broken error
	r := newResolver(func(context.Context, string) ([]netip.Addr, error) {
		if broken != nil {
			return nil, broken
		}
		return []netip.Addr{first, second}, nil
	})
	dial := func(to netip.Addr) {
		t.Helper()
		c, err := r.dial(t.Context(), net.JoinHostPort("cloud.example", port))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		want(t, "address", c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr(), to)
	}
	dial(first)
	dial(second)
	dial(first)
	dial(second)
	r.answered("cloud.example")
	dial(first) // in the order of names again
	broken = errors.New("no name server")
	dial(second)
}

func TestNameServerThatIsSilent(t *testing.T) {
	bubble(t, "B1 it is given 5 s", func(t *testing.T) {
		r := newResolver(func(ctx context.Context, _ string) ([]netip.Addr, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		began := time.Now()
		_, err := r.resolve(t.Context(), "cloud.example")
		want(t, "class", classify(err, time.Now()).class, ClassDNS)
		want(t, "time", time.Since(began), 5*time.Second)
	})
}
