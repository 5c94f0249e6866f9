package conn

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// bench is a loop that the test turns by hand, with a time of its own.
type bench struct {
	*testing.T
	*loop
	fake  *fakeBroker
	cfg   *Config
	now   time.Time
	ended int
}

func newBench(t *testing.T) *bench {
	b := &bench{T: t, fake: &fakeBroker{ended: make(chan End, 1)}}
	b.cfg = &Config{
		Rights: new(atomic.Uint64),
		Server: b.fake, Router: b.fake, Barrier: b.fake, Log: slog.New(slog.DiscardHandler), Counters: new(Counters),
		Limits:   Limits{PacketSize: 4 << 20, ReceiveMaximum: 10, TopicAliasMaximum: 10, TopicLevels: 10, TopicLength: 100, KeepAliveFactor: 1.5},
		Features: Features{MaxQoS: 2, Retain: true, Wildcard: true, Shared: true, SubscriptionIdentifiers: true},
	}
	l, err := newLoop(func(*Conn) { b.ended++ })
	if err != nil {
		t.Fatal(err)
	}
	b.loop, b.now = l, time.Now()
	t.Cleanup(l.free)
	return b
}

// dial makes a TCP connection and returns both ends.
func (b *bench) dial() (client *net.TCPConn, server net.Conn) {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { nc.Close() })
	if server, err = ln.Accept(); err != nil {
		b.Fatal(err)
	}
	return nc.(*net.TCPConn), server
}

// accept takes a new connection into the loop and returns its other end.
func (b *bench) accept() (*Conn, *net.TCPConn) {
	b.Helper()
	client, nc := b.dial()
	c := New(b.cfg, nc)
	fd, ok := takeSocket(nc)
	if !ok {
		b.Fatal("the socket was not taken")
	}
	c.sock.fd, c.sock.fresh, c.scratch, c.loop = fd, true, &b.scratch, b.loop
	b.mark(c)
	b.turn()
	return c, client
}

// turn lets the loop work until nothing is left to do.
func (b *bench) turn() {
	for idle := 0; idle < 3; {
		n := b.poll()
		if n == 0 && !b.box.some.Load() {
			idle++
			time.Sleep(200 * time.Microsecond) // the kernel passes bytes on by itself
			continue
		}
		idle = 0
		b.round(b.now, n)
	}
}

// connected is a connection that has its CONNACK.
func (b *bench) connected(keepAlive uint16) (*Conn, *net.TCPConn) {
	b.Helper()
	c, client := b.accept()
	b.write(client, packet.Append(nil, mqtt.V5, &packet.View{Type: packet.CONNECT, Connect: packet.Connect{
		Version: mqtt.V5, CleanStart: true, ClientID: []byte("c"), KeepAlive: keepAlive,
	}}))
	for until := time.Now().Add(5 * time.Second); !c.flowing && time.Now().Before(until); {
		b.turn()
	}
	if got := b.read(client); len(got) < 4 || got[0] != 0x20 || got[3] != 0 {
		b.Fatalf("CONNECT is answered with % x", got)
	}
	return c, client
}

func (b *bench) write(client net.Conn, p []byte) {
	b.Helper()
	if _, err := client.Write(p); err != nil {
		b.Fatal(err)
	}
}

// read returns what has come, nil at the end of the stream.
func (b *bench) read(client net.Conn) []byte {
	b.Helper()
	buf := make([]byte, 1<<16)
	client.SetReadDeadline(time.Now().Add(2 * time.Second))
	n, err := client.Read(buf)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		b.Fatal(err)
	}
	return buf[:n]
}

func (b *bench) expire(d time.Duration) {
	b.now = b.now.Add(d)
	b.round(b.now, 0)
	b.turn()
}

func publish(topic string, payload []byte) []byte {
	return packet.Append(nil, mqtt.V5, &packet.View{Type: packet.PUBLISH, Publish: packet.Publish{Topic: []byte(topic), Payload: payload}})
}

func TestLoopTakesPacketsInAnyPieces(t *testing.T) {
	b := newBench(t)
	_, client := b.connected(0)
	var stream []byte
	for i := range 50 {
		stream = append(stream, publish("t", make([]byte, i*i*20))...)
	}
	stream = append(stream, 0xC0, 0) // PINGREQ
	for sizes := rand.New(rand.NewPCG(1, 2)); len(stream) > 0; {
		n := min(len(stream), 1+sizes.IntN(3000))
		b.write(client, stream[:n])
		stream = stream[n:]
		if sizes.IntN(3) == 0 {
			b.turn()
		}
	}
	b.turn()
	if got := b.read(client); string(got) != "\xD0\x00" {
		t.Errorf("PINGREQ behind it all is answered with % x", got)
	}
	if b.fake.published != 50 {
		t.Errorf("%d messages, want 50", b.fake.published)
	}
}

// Epoll says once that there is something: what one read leaves, what a full
// buffer stops and what a client does not take yet must all go on.
func TestLoopGoesOnUntilAllIsReadAndWritten(t *testing.T) {
	b := newBench(t)
	_, client := b.connected(0)
	const pings = 4 * readSize // two bytes each
	client.SetReadDeadline(time.Time{})
	wrote, read := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := client.Write(bytes.Repeat([]byte{0xC0, 0}, pings))
		wrote <- err
	}()
	go func() {
		_, err := io.CopyN(io.Discard, client, 2*pings)
		read <- err
	}()
	for until := time.Now().Add(60 * time.Second); len(read) == 0 && time.Now().Before(until); {
		b.turn()
	}
	if len(read) == 0 {
		t.Fatal("not all is answered")
	}
	if err := errors.Join(<-wrote, <-read); err != nil {
		t.Error(err)
	}
}

func TestLoopTakesOneByteAtATime(t *testing.T) {
	b := newBench(t)
	c, client := b.connected(0)
	for _, x := range append(publish("topic", []byte("payload")), 0xC0, 0) {
		b.write(client, []byte{x})
		b.turn()
	}
	if got := b.read(client); string(got) != "\xD0\x00" || b.fake.published != 1 {
		t.Errorf("answer % x, %d messages", got, b.fake.published)
	}
	if c.sock.in != nil {
		t.Errorf("an idle connection holds %d bytes of input", cap(c.sock.in))
	}
}

func TestLoopRefusesWhatIsNotConnectAtItsFirstByte(t *testing.T) {
	b := newBench(t)
	_, client := b.accept()
	b.write(client, []byte{0x30})
	b.turn()
	if got := b.read(client); len(got) != 0 || b.ended != 0 && b.ended != 1 {
		t.Errorf("answered with % x, %d ended", got, b.ended)
	}
	client.Close()
	b.turn()
	if b.ended != 1 {
		t.Error("not closed")
	}
}

func TestLoopDeadlines(t *testing.T) {
	t.Run("MQTT-3.1.4-1 no CONNECT within ten seconds, whatever dribbles in", func(t *testing.T) {
		b := newBench(t)
		_, client := b.accept()
		b.write(client, []byte{0x10, 0x80})
		b.expire(connectTimeout - 1)
		if b.ended != 0 {
			t.Fatal("ended too early")
		}
		b.expire(1)
		if b.ended != 1 || len(b.read(client)) != 0 {
			t.Error("still open")
		}
	})
	t.Run("MQTT-3.1.2-22 one and a half keep alive without a packet", func(t *testing.T) {
		b := newBench(t)
		_, client := b.connected(10)
		b.expire(14 * time.Second)
		b.write(client, []byte{0xC0, 0})
		b.turn()
		b.read(client)
		b.expire(15*time.Second - 1)
		if len(b.fake.ended) != 0 {
			t.Fatal("ended too early")
		}
		b.expire(1)
		if e := <-b.fake.ended; e.Reason != mqtt.KeepAliveTimeout {
			t.Errorf("ended with %v", e.Reason)
		}
		if got := b.read(client); len(got) < 3 || got[0] != 0xE0 || got[2] != byte(mqtt.KeepAliveTimeout) {
			t.Errorf("the client is told % x", got)
		}
		b.expire(closeTimeout) // the client does not close
		if b.ended != 1 {
			t.Error("the socket is still open")
		}
	})
	t.Run("no keep alive, no deadline", func(t *testing.T) {
		b := newBench(t)
		b.connected(0)
		if b.deadlines.next() != 0 {
			t.Error("an idle connection has a deadline")
		}
	})
}

// backlog delivers until the socket of c takes no more.
func (b *bench) backlog(c *Conn) (delivered int) {
	for c.sock.out == nil {
		for range 20 {
			p := new(packet.Publication).Own(&mqtt.Message{Topic: "t", Payload: make([]byte, 4000)})
			b.fake.peer.Deliver(b.now, p, 0, false, nil)
			delivered++
		}
		b.round(b.now, 0)
	}
	return delivered
}

func TestLoopSlowConsumer(t *testing.T) {
	one := len(publish("t", make([]byte, 4000)))
	t.Run("everything arrives when it reads again", func(t *testing.T) {
		b := newBench(t)
		c, client := b.connected(0)
		want := b.backlog(c) * one
		for got := 0; got < want; {
			got += len(b.read(client))
			b.turn()
		}
		if c.sock.out != nil || c.passed != nil || c.sock.events != syscall.EPOLLIN {
			t.Errorf("an idle connection holds output, or epoll watches %x", c.sock.events)
		}
	})
	t.Run("a large packet goes in as many parts as the socket takes", func(t *testing.T) {
		b := newBench(t)
		c, client := b.connected(0)
		if err := errors.Join(syscall.SetsockoptInt(int(c.sock.fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, 64<<10), client.SetReadBuffer(64<<10)); err != nil {
			t.Fatal(err)
		}
		payload := make([]byte, 8<<20)
		for i := range payload {
			payload[i] = byte(i >> 8)
		}
		b.fake.peer.Deliver(b.now, new(packet.Publication).Own(&mqtt.Message{Topic: "t", Payload: payload}), 0, false, nil)
		b.turn()
		want := publish("t", payload)
		got, parts, buf := make([]byte, 0, len(want)), 0, make([]byte, 64<<10)
		until := time.Now().Add(60 * time.Second)
		for off := c.sock.off; len(got) < len(want) && time.Now().Before(until); b.turn() {
			client.SetReadDeadline(time.Now().Add(20 * time.Millisecond)) // it may be the loop's turn
			n, _ := client.Read(buf)
			if got = append(got, buf[:n]...); c.sock.off > off {
				off, parts = c.sock.off, parts+1
			}
		}
		if !bytes.Equal(got, want) || parts < 3 || c.sock.out != nil {
			t.Errorf("%d bytes of %d in %d parts, the same: %v", len(got), len(want), parts, bytes.Equal(got, want))
		}
	})
	t.Run("QoS 0 beyond the socket's and the connection's buffer waits in the session", func(t *testing.T) {
		b := newBench(t)
		c, _ := b.connected(0)
		b.backlog(c)
		for range 1000 {
			p := new(packet.Publication).Own(&mqtt.Message{Topic: "t", Payload: make([]byte, 4000)})
			b.fake.peer.Deliver(b.now, p, 0, false, nil)
		}
		counts, waiting, _ := b.fake.peer.Counts()
		if waiting == 0 || counts.Dropped.Full == 0 || counts.Accepted != counts.Done+counts.Dropped.Total()+uint64(waiting) {
			t.Errorf("%+v, %d waiting", counts, waiting)
		}
		if c.passed != nil && len(*c.passed) > passMax+one {
			t.Errorf("%d bytes went past the session", len(*c.passed))
		}
	})
	t.Run("without a byte for 30 s it is given up", func(t *testing.T) {
		b := newBench(t)
		c, client := b.connected(0)
		b.backlog(c)
		b.expire(writeTimeout - 1)
		if len(b.fake.ended) != 0 {
			t.Fatal("ended too early")
		}
		for c.sock.out != nil && b.since(b.now) > c.sock.progress { // a byte of progress
			b.read(client)
			b.turn()
		}
		b.backlog(c)
		b.expire(writeTimeout - 1)
		if len(b.fake.ended) != 0 {
			t.Fatal("ended in spite of progress")
		}
		b.expire(1)
		<-b.fake.ended
		if n := b.cfg.Counters.SlowConsumers.Load(); n != 1 {
			t.Errorf("%d slow consumers counted", n)
		}
	})
	t.Run("a Kick does not wait for it longer than a second", func(t *testing.T) {
		b := newBench(t)
		c, _ := b.connected(0)
		b.backlog(c)
		c.Kick(mqtt.SessionTakenOver)
		b.turn()
		b.expire(writeTimeout)
		select {
		case <-c.Done():
		default:
			t.Error("still there")
		}
	})
}

func TestLoopSeesHowAConnectionEnds(t *testing.T) {
	ends := map[string]func(b *bench, client *net.TCPConn){
		"closed": func(_ *bench, client *net.TCPConn) { client.Close() },
		"half closed": func(_ *bench, client *net.TCPConn) {
			client.CloseWrite()
		},
		"reset": func(_ *bench, client *net.TCPConn) {
			client.SetLinger(0)
			client.Close()
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			_, client := b.connected(0)
			end(b, client)
			b.turn()
			if e := <-b.fake.ended; e.Normal {
				t.Error("passes for a DISCONNECT")
			}
			if b.ended != 1 || b.deadlines.next() != 0 {
				t.Error("the socket is still open")
			}
		})
	}
	t.Run("MQTT-3.14.4-3 a DISCONNECT in front of the reset is read, though a write fails first", func(t *testing.T) {
		b := newBench(t)
		_, client := b.connected(0)
		b.write(client, []byte{0xE0, 0})
		client.SetLinger(0)
		client.Close()
		time.Sleep(2 * time.Millisecond) // the reset has to come before the write
		b.fake.peer.Deliver(b.now, new(packet.Publication).Own(&mqtt.Message{Topic: "t"}), 0, false, nil)
		b.flush(b.now)
		b.turn()
		if e := <-b.fake.ended; !e.Normal {
			t.Error("the will would be published")
		}
	})
}

func TestLoopPanicEndsOneConnectionOnly(t *testing.T) {
	b := newBench(t)
	_, other := b.connected(0)
	_, client := b.connected(0)
	b.write(client, publish("panic", nil))
	b.turn()
	<-b.fake.ended
	if got := b.read(client); len(got) < 3 || got[0] != 0xE0 || got[2] != byte(mqtt.UnspecifiedError) {
		t.Errorf("the client is told % x", got)
	}
	if n := b.cfg.Counters.Panics.Load(); n != 1 {
		t.Errorf("%d panics counted", n)
	}
	b.write(other, []byte{0xC0, 0})
	b.turn()
	if got := b.read(other); string(got) != "\xD0\x00" {
		t.Errorf("the other connection answers % x", got)
	}
}

func TestLoopsLeakNothing(t *testing.T) {
	open := func() int {
		d, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(d)
	}
	before := open()
	b := newBench(t)
	for range 100 {
		_, client := b.connected(60)
		client.Close()
		b.turn()
		<-b.fake.ended
	}
	if b.ended != 100 || len(b.deadlines.heap) != 0 {
		t.Errorf("%d ended, %d deadlines left", b.ended, len(b.deadlines.heap))
	}
	if after := open(); after > before+4 { // epoll and eventfd
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func TestDeadlinesAgainstAList(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var d deadlines
	conns := make([]*Conn, 40)
	for i := range conns {
		conns[i] = new(Conn)
	}
	for range 20000 {
		c := conns[r.IntN(len(conns))]
		d.set(c, int64(r.IntN(3))*int64(r.IntN(1000)))
		var want int64
		n := 0
		for _, c := range conns {
			if due := c.sock.due; due > 0 {
				n++
				if want == 0 || due < want {
					want = due
				}
			}
		}
		if got := d.next(); got != want || len(d.heap) != n {
			t.Fatalf("next = %d of %d, want %d of %d", got, len(d.heap), want, n)
		}
	}
}
