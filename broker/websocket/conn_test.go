package websocket

import (
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

// pair is both ends of a connection over TCP.
func pair(t *testing.T) (client, server *Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return Client(c, nil), Server(s, nil, func(net.Conn) {})
}

func TestBothEnds(t *testing.T) {
	t.Run("MQTT-6.0.0-2 bytes of any number arrive, either way", func(t *testing.T) {
		client, server := pair(t)
		for _, ends := range [][2]*Conn{{client, server}, {server, client}} {
			for _, size := range []int{1, 125, 126, joined, joined + 1, 65535, 65536, 1 << 20} {
				want := strings.Repeat("x", size-1) + "y"
				done := make(chan error, 1)
				go func() {
					n, err := ends[0].Write([]byte(want))
					if err == nil && n != size {
						err = fmt.Errorf("%d bytes written", n)
					}
					done <- err
				}()
				got := make([]byte, size)
				if _, err := io.ReadFull(ends[1], got); err != nil || string(got) != want {
					t.Fatalf("%d bytes: %v", size, err)
				}
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
		}
	})
	t.Run("what a client writes is masked, its own bytes are not touched", func(t *testing.T) {
		near, far := net.Pipe()
		defer near.Close()
		p := []byte("0123456789")
		go Client(near, nil).Write(p)
		head := make([]byte, 6+len(p))
		if _, err := io.ReadFull(far, head); err != nil || head[0] != 0x82 || head[1] != 0x80|10 {
			t.Errorf("%x, %v", head, err)
		}
		if string(p) != "0123456789" || string(head[6:]) == string(p) && string(head[2:6]) != "\x00\x00\x00\x00" {
			t.Errorf("%s became %x", p, head)
		}
	})
	t.Run("a server's frame that is masked, or a client's that is not, ends the connection", func(t *testing.T) {
		near, far := net.Pipe()
		go func() {
			far.Write(binaryFrame("a"))
			io.Copy(io.Discard, far)
		}()
		var e *closeError
		if _, err := Client(near, nil).Read(make([]byte, 10)); !errors.As(err, &e) || e.code != closeProtocol {
			t.Error(err)
		}
		near.Close()
	})
	t.Run("what came with the upgrade is read first", func(t *testing.T) {
		near, far := net.Pipe()
		go func() {
			far.Write([]byte("bc"))
			far.Close()
		}()
		got, err := io.ReadAll(Client(near, []byte{0x82, 3, 'a'}))
		if string(got) != "abc" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	})
	t.Run("Close of either end is io.EOF at the other", func(t *testing.T) {
		for _, name := range []string{"client", "server"} {
			client, server := pair(t)
			one, other := client, server
			if name == "server" {
				one, other = server, client
			}
			if _, err := one.Write([]byte("last")); err != nil {
				t.Fatal(err)
			}
			one.Close()
			if got, err := io.ReadAll(other); string(got) != "last" || err != nil {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
	})
}

// What a peer did wrong is said after the write that is under way, not left
// out for it.
func TestCloseWaitsForAWrite(t *testing.T) {
	for name, frame := range map[string][]byte{"of the peer": {3, 0xE8}, "of one byte": {7}} {
		client, server := pair(t)
		client.SetDeadline(time.Now().Add(10 * time.Second))
		server.turn <- struct{}{} // a write has begun
		client.turn <- struct{}{}
		client.control(client.frame(nil, opClose, frame), controlTimeout)
		<-client.turn
		ended := make(chan error, 1)
		go func() {
			_, err := server.Read(make([]byte, 10))
			ended <- err
		}()
		time.Sleep(50 * time.Millisecond) // until the reader waits; it passes either way
		if _, err := server.Conn.Write([]byte{0x82, 1, 'a'}); err != nil {
			t.Fatal(err)
		}
		<-server.turn
		if err := <-ended; err == nil {
			t.Error("no end")
		}
		if got, err := io.ReadAll(io.LimitReader(client.Conn, 5)); len(got) != 5 || got[2] != 'a' || got[3] != 0x80|opClose {
			t.Errorf("a Close %s: %x, %v", name, got, err)
		}
	}
}

func TestPing(t *testing.T) {
	t.Run("answered while a write is stuck, by the writer", func(t *testing.T) {
		client, server := pair(t)
		big, done := make([]byte, 16<<20), make(chan error, 1)
		go func() {
			_, err := server.Write(big)
			done <- err
		}()
		for len(server.turn) == 0 {
			runtime.Gosched()
		}
		client.turn <- struct{}{}
		client.control(client.frame(nil, opPing, []byte("are you there")), controlTimeout)
		<-client.turn
		if _, err := client.Write([]byte("a")); err != nil {
			t.Fatal(err)
		}
		if n, err := server.Read(make([]byte, 10)); n != 1 || err != nil { // it does not wait for the writer
			t.Fatal(n, err)
		}
		if _, err := io.CopyN(io.Discard, client, int64(len(big))); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		raw := make([]byte, 2+len("are you there"))
		if _, err := io.ReadFull(client.Conn, raw); err != nil || raw[0] != 0x80|opPong || string(raw[2:]) != "are you there" {
			t.Errorf("%q, %v", raw, err)
		}
	})
	t.Run("a client answers masked", func(t *testing.T) {
		client, server := pair(t)
		if _, err := server.Conn.Write([]byte{0x89, 1, 'p', 0x82, 1, 'a'}); err != nil {
			t.Fatal(err)
		}
		if n, err := client.Read(make([]byte, 10)); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		raw := make([]byte, 7)
		if _, err := io.ReadFull(server.Conn, raw); err != nil || raw[0] != 0x80|opPong || raw[1] != 0x81 || raw[6]^raw[2] != 'p' {
			t.Errorf("%x, %v", raw, err)
		}
	})
}
