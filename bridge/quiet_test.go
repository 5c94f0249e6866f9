package bridge

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"
)

// sockets are two ends of a real connection, the first as the bridge has it.
func sockets(t *testing.T) (progressConn, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ours, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return progressConn{ours, quiet(ours)}, theirs.(*net.TCPConn)
}

func TestSocketThatTakesLittle(t *testing.T) {
	c, peer := sockets(t)
	_ = c.Conn.(*net.TCPConn).SetWriteBuffer(8 << 10) // a larger one only makes the test weaker
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	var writer sync.WaitGroup
	writer.Go(func() {
		for _, part := range [][]byte{sent[:100], sent[100:]} {
			if n, err := c.Write(part); n != len(part) || err != nil {
				t.Errorf("wrote %d of %d: %v", n, len(part), err)
			}
		}
		_ = c.Close()
	})
	got, err := io.ReadAll(peer)
	writer.Wait()
	if err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("got %d bytes of %d: %v", len(got), len(sent), err)
	}
}

func TestSocketAfterADeadline(t *testing.T) {
	c, peer := sockets(t)
	_ = c.SetWriteDeadline(time.Unix(1, 0)) // that of a write that was slow
	if n, err := c.Write([]byte("x")); n != 1 || err != nil {
		t.Fatalf("wrote %d: %v", n, err)
	}
	if n := c.sendNow([]byte("y")); c.raw != nil && n != 1 {
		t.Error("the deadline is still there: each write takes the slow way")
	}
	b := make([]byte, 1)
	if _, err := io.ReadFull(peer, b); err != nil || b[0] != 'x' {
		t.Fatalf("read %q: %v", b, err)
	}
}

func TestSocketThatEnds(t *testing.T) {
	c, peer := sockets(t)
	if _, err := peer.Write([]byte("ab")); err != nil {
		t.Fatal(err)
	}
	_ = peer.CloseWrite()
	b := make([]byte, 8)
	if n, err := io.ReadFull(c, b[:2]); n != 2 || err != nil {
		t.Fatalf("read %d: %v", n, err)
	}
	if n, err := c.Read(b); n != 0 || err != io.EOF {
		t.Errorf("at the end: %d, %v", n, err)
	}

	c, peer = sockets(t)
	_ = peer.SetLinger(0)
	_ = peer.Close() // a reset
	if n, err := c.Read(b); n != 0 || !errors.Is(err, syscall.ECONNRESET) || classify(err, time.Now()).class != ClassTCP {
		t.Errorf("after a reset: %d, %v", n, err)
	}

	c, _ = sockets(t)
	time.AfterFunc(10*time.Millisecond, func() { _ = c.Close() })
	if n, err := c.Read(b); n != 0 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed here: %d, %v", n, err)
	}
}
