package conn

import (
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// deliver gives the peer of the last client n messages of QoS 1.
func (b *bench) deliver(n int) {
	for range n {
		p := new(packet.Publication).Own(&mqtt.Message{Topic: "t"})
		b.fake.peer.Deliver(b.now, p, mqtt.AtLeastOnce, false, nil)
	}
	b.flush(b.now)
}

// acknowledges sends PUBACK for the messages from first to last.
func (b *bench) acknowledges(client net.Conn, first, last int) {
	b.Helper()
	for id := first; id <= last; id++ {
		b.write(client, binary.BigEndian.AppendUint16([]byte{0x40, 2}, uint16(id)))
	}
}

// calm lets so much time pass that the loop is not brisk.
func (b *bench) calm() { b.now = b.now.Add(time.Duration(gapMax)) }

// settle makes c, which has got nothing yet, one that only acknowledges.
func (b *bench) settle(c *Conn, client net.Conn) {
	b.Helper()
	for id := 1; id <= settled; id++ {
		b.calm()
		b.deliver(1)
		b.acknowledges(client, id, id)
		b.turn()
	}
	if !c.sock.aside || b.aside.members != 1 {
		b.Fatalf("%d reads of PUBACK did not set it aside", settled)
	}
}

func TestAsideIsWhoOnlyAcknowledges(t *testing.T) {
	b := newBench(t)
	c, client := b.connected(0)
	b.settle(c, client)
	b.calm()
	b.write(client, []byte{0xC0, 0})
	b.turn()
	if got := b.read(client); string(got[len(got)-2:]) != "\xD0\x00" || c.sock.aside || b.aside.members != 0 {
		t.Errorf("after PINGREQ: aside %v, %d of them", c.sock.aside, b.aside.members)
	}
	for range settled - 1 {
		b.calm()
		b.deliver(1)
		b.acknowledges(client, settled+1, settled+1)
		b.turn()
	}
	b.write(client, []byte{0x40}) // the start of anything
	b.turn()
	if c.sock.aside {
		t.Error("aside with half a packet")
	}
	client.Close()
	b.turn()
	if b.aside.members != 0 {
		t.Error("counted after its end")
	}
}

func TestAsideEndsWithItsConnection(t *testing.T) {
	b := newBench(t)
	c, client := b.connected(0)
	b.settle(c, client)
	b.calm()
	client.Close()
	b.turn()
	if b.ended != 1 || b.aside.members != 0 {
		t.Errorf("%d ended, %d aside", b.ended, b.aside.members)
	}
}

// [MQTT-3.3.4-9]: what Receive Maximum holds back must not wait for others.
func TestAsideNotWhileReceiveMaximumIsUsedUp(t *testing.T) {
	b := newBench(t)
	c, client := b.connected(0)
	b.settle(c, client)
	b.deliver(10)
	if !c.sock.aside {
		t.Error("recalled, and nothing waits")
	}
	b.deliver(1)
	if c.sock.aside {
		t.Error("aside, and a message waits for its PUBACK")
	}
	b.acknowledges(client, settled+1, settled+11)
	b.turn()
	if c.sock.aside || c.sock.acks > 1-needed+settled {
		t.Error("aside again at once")
	}
}

// [MQTT-4.4.0-1]: a take-over must not send again what was acknowledged.
func TestAsideIsReadBeforeAKick(t *testing.T) {
	b := newBench(t)
	c, client := b.connected(0)
	b.settle(c, client)
	b.aside.mute(0, true)
	b.deliver(3)
	b.acknowledges(client, settled+1, settled+3)
	c.Kick(mqtt.SessionTakenOver)
	b.flush(b.now)
	if counts, waiting, _ := b.fake.peer.Counts(); waiting != 0 || counts.Done != settled+3 {
		t.Errorf("%d wait, %d acknowledged", waiting, counts.Done)
	}
}

func TestAsideWaitsForOthers(t *testing.T) {
	b := newBench(t)
	_, other := b.connected(0)
	c, client := b.connected(0)
	b.settle(c, client)
	acknowledged := func() uint64 {
		counts, _, _ := b.fake.peer.Counts()
		return counts.Done
	}
	b.pulse.gap = 0
	others := func() {
		b.write(other, publish("t", nil))
		for until := time.Now().Add(10 * time.Second); b.fake.published == 0 && time.Now().Before(until); {
			if n := b.poll(); n > 0 {
				b.round(b.now, n)
			}
		}
		b.fake.published = 0
	}
	others()
	others() // which looks for the first time
	if !b.aside.muted {
		t.Fatal("it wakes the loop in spite of a brisk pulse")
	}
	b.deliver(1)
	b.acknowledges(client, settled+1, settled+1)
	others()
	if acknowledged() != settled {
		t.Error("looked at before its time")
	}
	b.now = b.now.Add(lookEach)
	for until := time.Now().Add(10 * time.Second); acknowledged() == settled && time.Now().Before(until); {
		b.pulse.last = b.since(b.now) // as if there had been no pause
		others()
		b.now = b.now.Add(lookEach)
	}
	if acknowledged() != settled+1 {
		t.Error("others do not make the loop look at it")
	}
	b.deliver(1)
	b.acknowledges(client, settled+2, settled+2)
	for until := time.Now().Add(10 * time.Second); acknowledged() != settled+2; b.turn() { // the timer
		if time.Now().After(until) {
			t.Fatal("nobody else comes, and it waits for ever")
		}
	}
	if b.aside.muted {
		t.Error("still muted")
	}
}

// announced tells of the peer of each CONNECT.
type announced struct {
	fakeBroker
	peers chan *Peer
}

func (a *announced) Connect(c *Conn, r *Request) (Accepted, error) {
	accepted, err := a.fakeBroker.Connect(c, r)
	a.peers <- accepted.Peer
	return accepted, err
}

// Whatever is muted when, nobody waits for longer than a lull: a wake-up that
// is lost shows as a client that waits for ever, for nobody else comes.
func TestAsideLosesNoWakeUp(t *testing.T) {
	f := &announced{fakeBroker: fakeBroker{ended: make(chan End, 2)}, peers: make(chan *Peer, 1)}
	b := newBench(t)
	b.cfg.Server = f
	loops := NewLoops(func(*Conn) {})
	defer func() {
		for _, l := range loops.started.loops {
			l.close()
		}
	}()
	connect := func() (*Peer, net.Conn) {
		client, nc := b.dial()
		if !loops.Take(New(b.cfg, nc)) {
			t.Fatal("not taken")
		}
		client.SetDeadline(time.Now().Add(2 * time.Minute))
		b.write(client, packet.Append(nil, mqtt.V311, &packet.View{Type: packet.CONNECT, Connect: packet.Connect{Version: mqtt.V311, CleanStart: true, ClientID: []byte("c")}}))
		if _, err := io.ReadFull(client, make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
		return <-f.peers, client
	}
	pinged := func(client net.Conn) {
		t.Helper()
		b.write(client, []byte{0xC0, 0})
		if _, err := io.ReadFull(client, make([]byte, 2)); err != nil {
			t.Fatalf("PINGREQ is not answered: %v", err)
		}
	}
	_, other := connect()
	peer, client := connect()
	random := rand.New(rand.NewPCG(5, 6))
	message := make([]byte, len(packet.Append(nil, mqtt.V311, &packet.View{Type: packet.PUBLISH, ID: 1, Publish: packet.Publish{Topic: []byte("t"), QoS: 1}})))
	for round := range 150 {
		var noise sync.WaitGroup
		stop := make(chan struct{})
		noise.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					pinged(other)
				}
			}
		})
		for range settled + random.IntN(40) {
			peer.Deliver(time.Now(), new(packet.Publication).Own(&mqtt.Message{Topic: "t"}), mqtt.AtLeastOnce, false, nil)
			if _, err := io.ReadFull(client, message); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			b.write(client, []byte{0x40, 2, message[5], message[6]})
		}
		if random.IntN(2) == 0 {
			close(stop)
			noise.Wait()
			pinged(client)
		} else {
			pinged(client)
			close(stop)
			noise.Wait()
		}
	}
}
