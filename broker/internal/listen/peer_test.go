package listen

import (
	"net"
	"os/user"
	"path/filepath"
	"runtime"
	"testing"
)

// accepted returns both ends of a connection to ln.
func accepted(t *testing.T, ln net.Listener) (server, client net.Conn) {
	t.Helper()
	client, err := net.Dial(ln.Addr().Network(), ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	server, err = ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return server, client
}

func bind(t *testing.T, where string) net.Listener {
	t.Helper()
	ln, err := Bind(where)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

func TestPeerOf(t *testing.T) {
	t.Run("TCP", func(t *testing.T) {
		server, client := accepted(t, bind(t, "127.0.0.1:0"))
		if p := PeerOf(server); p != (Peer{Remote: client.LocalAddr().String(), Local: true}) {
			t.Errorf("got %+v", p)
		}
	})
	t.Run("Unix", func(t *testing.T) {
		server, _ := accepted(t, bind(t, "unix:"+filepath.Join(t.TempDir(), "s")))
		want := Peer{Remote: "unix", Local: true}
		if me, err := user.Current(); runtime.GOOS == "linux" && err == nil {
			want.SocketUser = me.Username
		}
		if p := PeerOf(server); p != want {
			t.Errorf("got %+v, want %+v", p, want)
		}
	})
	t.Run("in memory", func(t *testing.T) {
		a, b := net.Pipe()
		defer a.Close()
		defer b.Close()
		if p := PeerOf(a); p != (Peer{Remote: "pipe"}) {
			t.Errorf("got %+v", p)
		}
	})
}
