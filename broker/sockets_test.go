package broker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// listenTCP adds a loopback listener to a broker and returns its address.
func listenTCP(t *testing.T, change ...func(*broker.Options)) (*brokertest.Broker, string) {
	t.Helper()
	ln, err := broker.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	change = append(change, func(o *broker.Options) {
		l := o.Listeners[0]
		l.Name, l.Listener = "tcp", ln
		o.Listeners = append(o.Listeners, l)
	})
	return brokertest.New(t, change...), ln.Addr().String()
}

// connectPacket is a CONNECT of 3.1.1.
func connectPacket(id string) []byte {
	return packet.Append(nil, mqtt.V311, &packet.View{Type: packet.CONNECT, Connect: packet.Connect{
		Version: mqtt.V311, CleanStart: true, ClientID: []byte(id), KeepAlive: 60,
	}})
}

// What a client sent before it left counts, also what waited for
// acknowledgements that nobody takes any more.
func TestWhoLeavesBehindManyAtOnce(t *testing.T) {
	b, address := listenTCP(t)
	sub := b.Client(mqtt.V5)
	sub.Connect("cid=sub")
	sub.Send("SUBSCRIBE id=1 f=t@0 f=will@0")
	sub.Expect("SUBACK id=1 rcs=0x00,0x00")
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(time.Minute))
	out := packet.Append(nil, mqtt.V5, &packet.View{Type: packet.CONNECT, Connect: packet.Connect{
		Version: mqtt.V5, CleanStart: true, ClientID: []byte("hasty"), HasWill: true, WillTopic: []byte("will"),
	}})
	const messages = 100 // Receive Maximum is 20
	for id := range messages {
		out = append(out, 0x32, 6, 0, 1, 't', 0, byte(id+1), 0)
	}
	if _, err := nc.Write(append(out, 0xe0, 0)); err != nil {
		t.Fatal(err)
	}
	nc.Close()
	for range messages {
		sub.Expect("PUBLISH topic=t payload= qos=0")
	}
	waitFor(t, "its end", func() bool { return b.Stats().ClientsConnected == 1 })
	sub.Send("PINGREQ")
	sub.Expect("PINGRESP") // and no will
}

// Who was refused is waited for a moment; what it asked for is not kept, or
// memory that nobody counts would be for the taking, without a password.
func TestRefusedClientsHoldNothing(t *testing.T) {
	const clients, will = 100, 60_000
	_, address := listenTCP(t)
	connect := packet.Append(nil, mqtt.V5, &packet.View{Type: packet.CONNECT, Connect: packet.Connect{
		Version: mqtt.V5, CleanStart: true, HasWill: true, WillTopic: []byte("$SYS/forged"), WillPayload: make([]byte, will),
	}})
	heap := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	before := heap()
	for range clients {
		nc, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(time.Minute))
		var answer [4]byte
		if _, err := nc.Write(connect); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(nc, answer[:]); err != nil || answer[3] != byte(mqtt.NotAuthorized) {
			t.Fatal(answer, err)
		}
	}
	if grown := heap() - before; grown > clients*will/4 {
		t.Errorf("%d refused clients hold %d bytes", clients, grown)
	}
}

func TestThousandsConnectAndLeave(t *testing.T) {
	clients := 5000
	if testing.Short() {
		clients = 600
	}
	b, address := listenTCP(t, func(o *broker.Options) { o.Limits.Connections = clients })
	sockets := func() (n int) {
		d, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		for _, e := range d {
			if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(to, "socket:") {
				n++
			}
		}
		return n
	}
	before := sockets()
	var wg sync.WaitGroup
	for w := range 10 {
		wg.Go(func() {
			for i := w; i < clients; i += 10 {
				visit(t, address, i)
			}
		})
	}
	wg.Wait()
	waitFor(t, "all have left", func() bool { return b.Stats().Connections == 0 })
	waitFor(t, "no socket is left open", func() bool { return sockets() <= before })
	if s := b.Stats(); int(s.Connects) != clients || s.Sessions != 0 {
		t.Errorf("%d CONNECTs, %d sessions left", s.Connects, s.Sessions)
	}
}

// visit connects, and leaves in one of several ways.
func visit(t *testing.T, address string, i int) {
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	defer nc.Close()
	p := connectPacket(fmt.Sprint("c", i))
	if i%3 == 0 {
		nc.Write(p[:5])
		p = p[5:]
	}
	nc.Write(p)
	if _, err := io.ReadFull(nc, make([]byte, 4)); err != nil {
		t.Errorf("client %d: %v", i, err)
	}
	switch i % 4 {
	case 0:
		nc.Write([]byte{0xE0, 0})
	case 1:
		nc.(*net.TCPConn).SetLinger(0)
	}
}

func waitFor(t *testing.T, what string, f func() bool) {
	t.Helper()
	for until := time.Now().Add(10 * time.Second); !f(); time.Sleep(time.Millisecond) { // a condition is waited for
		if time.Now().After(until) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func TestTakeOverOfAConnectionThatTakesNothing(t *testing.T) {
	b, address := listenTCP(t)
	stuck, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer stuck.Close()
	stuck.Write(connectPacket("c"))
	if _, err := io.ReadFull(stuck, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	stuck.Write(packet.Append(nil, mqtt.V311, &packet.View{Type: packet.SUBSCRIBE, ID: 1, Filters: []packet.Filter{{Filter: []byte("t")}}}))
	pub, err := b.Attach(broker.ClientOptions{ID: "pub"})
	if err != nil {
		t.Fatal(err)
	}
	// More than sockets and the session take together.
	for b.Stats().Dropped == 0 {
		if err := pub.Publish(context.Background(), mqtt.Message{Topic: "t", Payload: make([]byte, 100_000)}); err != nil {
			t.Fatal(err)
		}
	}
	again, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	again.Write(connectPacket("c"))
	again.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.ReadFull(again, make([]byte, 4)); err != nil {
		t.Errorf("the new connection: %v", err)
	}
}

func TestClientsInTheProcessReachSockets(t *testing.T) {
	b, address := listenTCP(t)
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	c := brokertest.NewClient(t, nc, mqtt.V5)
	c.Connect("cid=c")
	c.Send("SUBSCRIBE id=1 f=t@0")
	c.Expect("SUBACK id=1 rcs=0x00")
	pub, err := b.Attach(broker.ClientOptions{ID: "pub"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 500 { // each finds the loop asleep, or falling asleep
		if err := pub.Publish(context.Background(), mqtt.Message{Topic: "t", Payload: fmt.Append(nil, i)}); err != nil {
			t.Fatal(err)
		}
		c.Expect(fmt.Sprintf("PUBLISH topic=t payload=%d qos=0", i))
	}
}

func TestPreConnect(t *testing.T) {
	dial := func(t *testing.T, address string) net.Conn {
		nc, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		return nc
	}
	t.Run("of many that say nothing the last 64 stay", func(t *testing.T) {
		b, address := listenTCP(t)
		var silent []net.Conn
		for range 300 {
			silent = append(silent, dial(t, address))
		}
		waitFor(t, "64 are left", func() bool { return b.Stats().Connections == 64 })
		silent[0].SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := silent[0].Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the oldest: %v", err)
		}
		last := silent[len(silent)-1]
		last.Write(connectPacket("c"))
		last.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.ReadFull(last, make([]byte, 4)); err != nil {
			t.Errorf("the last: %v", err)
		}
	})
	t.Run("of a burst of clients that do connect all are let in", func(t *testing.T) {
		b, address := listenTCP(t)
		var wg sync.WaitGroup
		for i := range 150 {
			nc := dial(t, address)
			wg.Go(func() {
				nc.Write(connectPacket(fmt.Sprint("c", i)))
				if _, err := io.ReadFull(nc, make([]byte, 4)); err != nil {
					t.Errorf("client %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		if s := b.Stats(); s.ClientsConnected != 150 {
			t.Errorf("%d connected", s.ClientsConnected)
		}
	})
}
