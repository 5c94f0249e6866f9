package listen

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// logged collects log lines.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// arrival is a connection after its handshake.
type arrival struct {
	net.Conn
	peer Peer
	err  error
}

// serveLayers accepts connections and hands them out after their handshake.
func serveLayers(t *testing.T, l Layers) (address string, arrived chan arrival) {
	t.Helper()
	if l.Log == nil {
		l.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	ln := l.Over(bind(t, "127.0.0.1:0"))
	arrived = make(chan arrival, 16)
	done := make(chan struct{})
	go func() {
		defer close(done)
		var shaking sync.WaitGroup
		defer shaking.Wait()
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			shaking.Go(func() {
				nc.SetDeadline(time.Now().Add(10 * time.Second))
				p, err := nc.(Handshaker).Handshake()
				if err != nil {
					nc.Close()
				}
				arrived <- arrival{nc, p, err}
			})
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-done
		close(arrived)
		for a := range arrived {
			a.Close()
		}
	})
	return ln.Addr().String(), arrived
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	t.Cleanup(func() { nc.Close() })
	return nc
}

// echo sends "ping" one way and "pong" the other.
func echo(t *testing.T, client net.Conn, server arrival) {
	t.Helper()
	defer server.Close()
	if server.err != nil {
		t.Fatal(server.err)
	}
	server.SetDeadline(time.Now().Add(5 * time.Second))
	for _, x := range []struct {
		from, to net.Conn
		text     string
	}{{client, server, "ping"}, {server, client, "pong"}} {
		if _, err := x.from.Write([]byte(x.text)); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(x.text))
		if _, err := io.ReadFull(x.to, got); err != nil || string(got) != x.text {
			t.Fatalf("got %q, %v", got, err)
		}
	}
}

func TestNoLayers(t *testing.T) {
	ln := bind(t, "127.0.0.1:0")
	if (Layers{}).Over(ln) != ln {
		t.Error("a listener without layers is wrapped")
	}
}

func TestNoticesAreCounted(t *testing.T) {
	var log logged
	address, arrived := serveLayers(t, Layers{WebSocket: &WebSocket{Path: "/mqtt"}, Log: log.logger()})
	for range 3 {
		nc := dial(t, address)
		if _, err := nc.Write([]byte("\x10\x0c\x00\x04MQTT")); err != nil {
			t.Fatal(err)
		}
		if a := <-arrived; a.err == nil {
			t.Fatal("MQTT without WebSocket is let in")
		}
		nc.Close()
	}
	if n := strings.Count(log.String(), "connection refused before MQTT"); n != 1 {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
}
