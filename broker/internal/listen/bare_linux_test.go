package listen

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// rawOn listens on an address of loopback and accepts one client.
func rawOn(t *testing.T, address string) (client *net.TCPConn, b *Bare) {
	t.Helper()
	socket, err := Bind(address)
	if err != nil {
		t.Skip(err) // no IPv6
	}
	ln := Raw(socket)
	t.Cleanup(func() { ln.Close() })
	nc, err := net.Dial("tcp", socket.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	b, ok := accepted.(*Bare)
	if !ok {
		t.Fatalf("accepted a %T", accepted)
	}
	return nc.(*net.TCPConn), b
}

func TestRawKnowsTheClient(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", "[::]:0"} {
		client, b := rawOn(t, address)
		want := client.LocalAddr().(*net.TCPAddr)
		if got := PeerOf(b); got != (Peer{Remote: want.String(), Local: true}) || b.RemoteAddr().String() != want.String() {
			t.Errorf("on %s: %+v, %v instead of %v", address, got, b.RemoteAddr(), want)
		}
		noDelay, err := syscall.GetsockoptInt(b.fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY)
		if err != nil || noDelay == 0 {
			t.Errorf("on %s: TCP_NODELAY %d, %v", address, noDelay, err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if n, err := client.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("on %s, after Close: %d, %v", address, n, err)
		}
		if err := b.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("the second Close: %v", err)
		}
	}
}

// Who connects between listen and the first Accept waits for no acknowledgement
// of the kernel's either.
func TestRawKnowsWhoWasEarly(t *testing.T) {
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	early, err := net.Dial("tcp", socket.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	ln := Raw(socket)
	defer ln.Close()
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	noDelay, err := syscall.GetsockoptInt(accepted.(*Bare).fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY)
	if err != nil || noDelay == 0 {
		t.Errorf("TCP_NODELAY %d, %v", noDelay, err)
	}
}

func TestWholeIsAConnection(t *testing.T) {
	client, b := rawOn(t, "127.0.0.1:0")
	nc := Whole(b)
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	client.SetDeadline(time.Now().Add(10 * time.Second))
	if _, ok := nc.(*net.TCPConn); !ok || PeerOf(nc).Remote != client.LocalAddr().String() {
		t.Errorf("%T of %v", nc, PeerOf(nc))
	}
	buf := make([]byte, 2)
	client.Write([]byte("in"))
	if _, err := io.ReadFull(nc, buf); err != nil || string(buf) != "in" {
		t.Errorf("%q, %v", buf, err)
	}
	if Whole(nc) != nc {
		t.Error("a connection of package net is replaced")
	}
	none, err := syscall.Open("/dev/null", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := Whole(&Bare{fd: none}).Read(buf); n != 0 || err == nil {
		t.Errorf("what is no socket: %d, %v", n, err)
	}
}

// Accept ends with its context while nobody comes, and takes all who came at
// once.
func TestAcceptRaw(t *testing.T) {
	socket, err := Bind("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	const clients = 50
	accepted, done := make(chan netip.AddrPort, clients), make(chan struct{})
	go func() {
		defer close(done)
		Accept(ctx, Raw(socket), slog.New(slog.DiscardHandler), func(nc net.Conn) {
			accepted <- nc.(*Bare).Remote()
			nc.Close()
		})
	}()
	left := make(map[string]bool)
	for range clients {
		nc, err := net.Dial("tcp", socket.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		left[nc.LocalAddr().String()] = true
	}
	for range clients {
		select {
		case a := <-accepted:
			delete(left, a.String())
		case <-time.After(30 * time.Second):
			t.Fatalf("%d clients are not accepted", len(left))
		}
	}
	if len(left) > 0 {
		t.Errorf("never accepted: %v", left)
	}
	cancel()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("Accept goes on after its context")
	}
	if nc, err := net.Dial("tcp", socket.Addr().String()); err == nil {
		nc.Close()
		t.Error("the socket is open")
	}
}

// What Raw opened for a listener that it cannot watch is closed once: not again
// by the garbage collector, when the descriptor may be another file's.
func TestRawOfAClosedListener(t *testing.T) {
	socket, err := Bind("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	socket.Close()
	if ln := Raw(socket); ln != socket {
		t.Fatalf("Raw returned a %T", ln)
	}
	f, err := os.Open(os.DevNull) // has the lowest free descriptor, that of before
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range 20 {
		runtime.GC()
		if _, err := f.Stat(); err != nil {
			t.Fatal(err)
		}
	}
}
