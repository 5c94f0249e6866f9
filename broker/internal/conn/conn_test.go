package conn

import (
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/auth"
	"github.com/dunlin-mqtt/dunlin/broker/internal/listen"
	"github.com/dunlin-mqtt/dunlin/broker/internal/session"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// fakeBroker accepts everybody and panics at the topic "panic".
type fakeBroker struct {
	peer      *Peer // of the last CONNECT
	ended     chan End
	published int
}

func (f *fakeBroker) Connect(c *Conn, r *Request) (Accepted, error) {
	limits := &session.Limits{QueueMessages: 100, QueueBytes: 1 << 20, Subscriptions: 1}
	f.peer = NewPeer(r.ClientID, "", limits, new(Home))
	f.peer.Attach(session.Params{Version: r.Version, ReceiveMaximum: 10}, limits, c)
	return Accepted{Peer: f.peer, Identity: new(auth.Identity), ClientID: r.ClientID, KeepAlive: r.KeepAlive}, nil
}
func (f *fakeBroker) Exchange(*Conn, *Request) auth.Exchange { return nil }
func (f *fakeBroker) Reauthenticated(*Conn)                  {}
func (f *fakeBroker) Disconnect(c *Conn, e End) {
	c.peer.Detach()
	f.ended <- e
}
func (f *fakeBroker) Admit(_ *Conn, topic string, _ mqtt.QoS, _ bool) *mqtt.Error {
	if topic == "panic" {
		panic("a bug")
	}
	return nil
}
func (f *fakeBroker) Publish(time.Time, *packet.Publication) (code mqtt.ReasonCode, recorded bool) {
	f.published++
	return mqtt.Success, false
}
func (f *fakeBroker) Subscribe(time.Time, *Conn, mqtt.Subscription) mqtt.ReasonCode {
	return mqtt.Success
}
func (f *fakeBroker) Unsubscribe(*Conn, string) mqtt.ReasonCode { return mqtt.Success }
func (f *fakeBroker) Pressed() bool                             { return false }
func (f *fakeBroker) Refuses(string, int) mqtt.ReasonCode       { return mqtt.Success }
func (f *fakeBroker) Settled()                                  {}
func (f *fakeBroker) Resume(time.Time, *Peer) bool              { return false }

func (f *fakeBroker) Persist(*Peer, session.Change, uint64) {}
func (f *fakeBroker) Commit() uint64                        { return 0 }
func (f *fakeBroker) Status(uint64) (bool, error)           { return true, nil }
func (f *fakeBroker) Notify(_ uint64, wake func())          { wake() }

// serve runs a connection of a 5.0 client that has sent CONNECT.
func serve(t *testing.T) (client net.Conn, f *fakeBroker, cfg *Config) {
	f = &fakeBroker{ended: make(chan End, 1)}
	cfg = &Config{
		Rights: new(atomic.Uint64),
		Server: f, Router: f, Barrier: f, Log: slog.New(slog.DiscardHandler), Counters: new(Counters),
		Limits:   Limits{PacketSize: 1 << 20, ReceiveMaximum: 10, TopicAliasMaximum: 10, TopicLevels: 10, TopicLength: 100, KeepAliveFactor: 1.5},
		Features: Features{MaxQoS: 2, Retain: true, Wildcard: true, Shared: true, SubscriptionIdentifiers: true},
	}
	client, server := net.Pipe()
	go New(cfg, server).Serve() // ended is what the tests wait for
	send(t, client, &packet.View{Type: packet.CONNECT, Connect: packet.Connect{Version: mqtt.V5, CleanStart: true, ClientID: []byte("c")}})
	return client, f, cfg
}

func send(t *testing.T, client net.Conn, v *packet.View) {
	t.Helper()
	if _, err := client.Write(packet.Append(nil, mqtt.V5, v)); err != nil {
		t.Fatal(err)
	}
}

func TestAPanicEndsItsConnectionOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, f, cfg := serve(t)
		done := make(chan struct{})
		go func() {
			defer close(done)
			io.Copy(io.Discard, client)
		}()
		send(t, client, &packet.View{Type: packet.PUBLISH, Publish: packet.Publish{Topic: []byte("panic")}})
		if e := <-f.ended; e.Normal {
			t.Error("the end passes for a normal one")
		}
		<-done
		if n := cfg.Counters.Panics.Load(); n != 1 {
			t.Errorf("%d panics counted", n)
		}
	})
}

func TestASlowConsumerMayBeSlowButNotStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, f, cfg := serve(t)
		one := make([]byte, 1)
		deliver := func() {
			f.peer.Deliver(time.Now(), new(packet.Publication).Own(&mqtt.Message{Topic: "t", Payload: make([]byte, 1000)}), 0, false, nil)
		}
		read := func() {
			t.Helper()
			if _, err := client.Read(one); err != nil {
				t.Fatal(err)
			}
		}
		read()
		synctest.Wait()
		deliver()
		for range 100 { // a byte each 20 s: progress
			time.Sleep(20 * time.Second)
			read()
		}
		time.Sleep(29 * time.Second)
		synctest.Wait()
		if len(f.ended) != 0 {
			t.Fatal("ended too early")
		}
		time.Sleep(2 * time.Second)
		<-f.ended
		if n := cfg.Counters.SlowConsumers.Load(); n != 1 {
			t.Errorf("%d slow consumers counted", n)
		}
		client.Close()
	})
}

func TestOneWriteForWhatIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, f, _ := serve(t)
		buf := make([]byte, maxBuffer)
		if _, err := client.Read(buf); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for range 50 {
			f.peer.state.Lock()
			f.peer.state.session.Deliver(new(packet.Publication).Own(&mqtt.Message{Topic: "t"}), 0, false, nil)
			f.peer.state.Unlock()
		}
		f.peer.Deliver(time.Now(), new(packet.Publication).Own(&mqtt.Message{Topic: "t"}), 0, false, nil)
		n, err := client.Read(buf)
		if want := 51 * len(packet.Append(nil, mqtt.V5, &packet.View{Type: packet.PUBLISH, Publish: packet.Publish{Topic: []byte("t")}})); err != nil || n != want {
			t.Errorf("one read gives %d bytes (%v), want all %d", n, err, want)
		}
		client.Close()
		<-f.ended
	})
}

// shaking is a connection whose handshake is to read one byte.
type shaking struct{ net.Conn }

func (s *shaking) Handshake() (listen.Peer, error) {
	_, err := s.Read(make([]byte, 1))
	return listen.Peer{SocketUser: "alice"}, err
}

func TestHandshakeComesFirstAndHasTheTimeOfConnect(t *testing.T) {
	start := func() (*Conn, net.Conn) {
		client, server := net.Pipe()
		f := &fakeBroker{ended: make(chan End, 1)}
		c := New(&Config{Rights: new(atomic.Uint64), Server: f, Router: f, Barrier: f, Log: slog.New(slog.DiscardHandler), Counters: new(Counters), Limits: Limits{PacketSize: 100}}, &shaking{server})
		go c.Serve() // Done is what the tests wait for
		return c, client
	}
	synctest.Test(t, func(t *testing.T) {
		c, client := start()
		time.Sleep(connectTimeout - 1)
		synctest.Wait()
		select {
		case <-c.Done():
			t.Fatal("ended too early")
		default:
		}
		<-c.Done()
		if _, err := client.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("after the time-out: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		c, _ := start()
		synctest.Wait()
		c.Kick(mqtt.ServerShuttingDown)
		before := time.Now()
		<-c.Done()
		if d := time.Since(before); d != 0 {
			t.Errorf("Kick took %v", d)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		c, client := start()
		client.Write([]byte{0})
		synctest.Wait()
		if c.Transport().SocketUser != "alice" {
			t.Errorf("transport %+v", c.far)
		}
		time.Sleep(9 * time.Second)
		client.Write([]byte{0x10})
		before := time.Now()
		<-c.Done()
		if d := time.Since(before); d != connectTimeout-9*time.Second {
			t.Errorf("closed after %v more", d)
		}
	})
}

// A connection that was ended while its CONNECT waited to be read does not
// take over the session, and leaves no will.
func TestNobodyIsAcceptedAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := new(fakeBroker)
		cfg := &Config{Rights: new(atomic.Uint64), Server: f, Router: f, Barrier: f, Log: slog.New(slog.DiscardHandler), Counters: new(Counters), Limits: Limits{PacketSize: 1 << 20}}
		client, server := net.Pipe()
		defer client.Close()
		c := New(cfg, server)
		c.scratch = newScratch()
		c.Kick(mqtt.ServerBusy)
		synctest.Wait()
		connect := packet.View{Type: packet.CONNECT, Connect: packet.Connect{Version: mqtt.V5, CleanStart: true, ClientID: []byte("c")}}
		if err := c.packet(time.Now(), packet.Append(nil, mqtt.V5, &connect)); err == nil || f.peer != nil {
			t.Errorf("accepted: %v", err)
		}
	})
}
