package conn

import (
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/listen"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// greeted is a transport whose client says one byte first.
type greeted struct{ net.Conn }

func (g greeted) Handshake() (listen.Peer, error) {
	var b [1]byte
	_, err := io.ReadFull(g, b[:])
	return listen.Peer{Remote: "far", CertificateUser: string(b[:])}, err
}

func startGreeted(f *fakeBroker) (client net.Conn, c *Conn) {
	cfg := &Config{Rights: new(atomic.Uint64), Server: f, Router: f, Barrier: f, Log: slog.New(slog.DiscardHandler), Counters: new(Counters), Limits: Limits{PacketSize: 1 << 20}}
	client, server := net.Pipe()
	c = New(cfg, greeted{server})
	go c.Serve() // Done is what the tests wait for
	return client, c
}

func TestHandshake(t *testing.T) {
	t.Run("what it found out belongs to the connection", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := &fakeBroker{ended: make(chan End, 1)}
			client, c := startGreeted(f)
			if _, err := client.Write([]byte("u")); err != nil {
				t.Fatal(err)
			}
			send(t, client, &packet.View{Type: packet.CONNECT, Connect: packet.Connect{Version: mqtt.V5, CleanStart: true, ClientID: []byte("c")}})
			if _, err := client.Read(make([]byte, 100)); err != nil {
				t.Fatal(err)
			}
			if got := c.Transport(); got.Remote != "far" || got.CertificateUser != "u" {
				t.Errorf("transport = %+v", got)
			}
			client.Close()
			<-f.ended
			<-c.Done()
		})
	})
	t.Run("its time and that of CONNECT are one", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client, c := startGreeted(nil)
			start := time.Now()
			time.Sleep(connectTimeout - time.Second)
			if _, err := client.Write([]byte("u")); err != nil {
				t.Fatal(err)
			}
			<-c.Done()
			if d := time.Since(start); d != connectTimeout {
				t.Errorf("ended after %v", d)
			}
			client.Close()
		})
	})
	t.Run("a client that never starts it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client, c := startGreeted(nil)
			start := time.Now()
			<-c.Done()
			if d := time.Since(start); d != connectTimeout {
				t.Errorf("ended after %v", d)
			}
			client.Close()
		})
	})
	t.Run("the server's end does not wait for it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client, c := startGreeted(nil)
			synctest.Wait()
			start := time.Now()
			c.Kick(mqtt.ServerShuttingDown)
			<-c.Done()
			if d := time.Since(start); d > closeTimeout {
				t.Errorf("ended after %v", d)
			}
			client.Close()
		})
	})
}
