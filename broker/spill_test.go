package broker_test

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// roomy is a broker on a disk whose sessions may have long queues.
func roomy(dir string, full broker.Overflow) func(*broker.Options) {
	return func(o *broker.Options) {
		o.Data = &broker.Data{Dir: dir}
		o.Overflow = full
		o.Limits = broker.Limits{QueueMessages: 1 << 30, QueueSize: 1 << 30, ReceiveMaximum: 20}
	}
}

// away leaves a session with a subscription and without a client.
func away(t *testing.T, b *brokertest.Broker, filters ...string) {
	t.Helper()
	s := b.Client(mqtt.V5)
	s.Connect("cid=s clean=1 se=1000000")
	for i, f := range filters {
		s.Send(fmt.Sprintf("SUBSCRIBE id=%d f=%s", i+1, f))
		s.Expect(fmt.Sprintf("SUBACK id=%d rcs=0x0%c", i+1, f[len(f)-1]))
	}
	s.Send("DISCONNECT")
	s.ExpectClosed()
}

// words is a payload that follows from n.
func words(n, size int) []byte {
	return []byte(strings.Repeat(fmt.Sprintf("%07d.", n), size/8))
}

// drains takes count messages of 200 bytes, the first of them numbered next, and
// acknowledges them.
func drains(t *testing.T, s *brokertest.Client, next, count int) {
	t.Helper()
	for n := range count {
		got := s.Receive()
		var id int
		if _, err := fmt.Sscanf(got, "PUBLISH id=%d", &id); err != nil || !strings.Contains(got, " payload="+string(words(next+n, 200))+" ") {
			t.Fatalf("message %d is %.60q", next+n, got)
		}
		s.Send(fmt.Sprintf("PUBACK id=%d", id))
	}
}

// A session whose client is away keeps a head in memory and the rest on disk,
// gives it back in order, over a restart, a kill and a take-over, and the disk
// is free again. SPILL is how many messages of 200 bytes wait.
func TestSessionBeyondItsHead(t *testing.T) {
	const size = 200
	n := 2100
	if s := os.Getenv("SPILL"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	b := brokertest.New(t, roomy(dir, broker.DropOldest))
	away(t, b, "t@1")
	p := attach(t, b, broker.ClientOptions{ID: "p"})
	idle := resident(t)
	for i := range n {
		publish(t, p, mqtt.Message{Topic: "t", QoS: 1, Payload: words(i, size)})
	}
	if more := resident(t) - idle; more > 3<<20 && os.Getenv("SPILL") != "" || more > 6<<20 {
		t.Errorf("%d messages take %d bytes of memory", n, more)
	}
	if s := b.Stats(); s.Waiting != n || s.Drops.Total() > 0 || s.WaitingBytes < n*size {
		t.Fatalf("%+v", s)
	}
	if _, spills := onDiskNow(t, dir); spills == 0 {
		t.Fatal("nothing is on disk")
	}
	dir = kill(t, dir)
	b.Stop()

	start := time.Now()
	b = brokertest.New(t, roomy(dir, broker.DropOldest))
	if s := b.Stats(); s.Waiting != n {
		t.Fatalf("%d wait after a kill", s.Waiting)
	}
	s := b.Client(mqtt.V5)
	s.Connect("cid=s clean=0 se=1000000 sp=1")
	t.Logf("a client that comes back is served after %s", time.Since(start))
	third := n / 3
	drains(t, s, 0, third)
	taker := b.Client(mqtt.V5) // [MQTT-3.1.4-3]
	taker.Connect("cid=s clean=0 se=1000000 sp=1")
	// What was in flight comes again first, in order [MQTT-4.4.0-1].
	drains(t, taker, third, third)
	taker.Send("PINGREQ")
	for taker.Receive() != "PINGRESP" { // what was acknowledged is worked off
	}
	b.Stop()

	b = brokertest.New(t, roomy(dir, broker.DropOldest))
	s = b.Client(mqtt.V5)
	s.Connect("cid=s clean=0 se=1000000 sp=1")
	drains(t, s, 2*third, n-2*third)
	s.Send("PINGREQ")
	s.Expect("PINGRESP")
	if got := b.Stats(); got.Waiting != 0 || got.Drops.Total() > 0 {
		t.Errorf("%d wait, %+v", got.Waiting, got.Drops)
	}
	for until := time.Now().Add(30 * time.Second); ; runtime.Gosched() {
		_, spills := onDiskNow(t, dir)
		if spills == 0 {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("%d files are left", spills)
		}
		p = attach(t, b, broker.ClientOptions{ID: "p"})
		publish(t, p, mqtt.Message{Topic: "r", QoS: 1, Retain: true, Payload: []byte("x")}) // the store looks
	}
}

// What gives way when the queue of a session is full is what the configuration
// says, with a part of it on disk, too.
func TestSessionOverflow(t *testing.T) {
	const n, bound, size = 450, 300, 400
	for _, tc := range []struct {
		policy broker.Overflow
		check  func(t *testing.T, got []int, s broker.Stats)
	}{
		{broker.DropOldest, func(t *testing.T, got []int, s broker.Stats) {
			if len(got) > bound || len(got) < bound-64 || got[0] != n-len(got) || got[len(got)-1] != n-1 || s.Drops.Full != uint64(n-len(got)) {
				t.Errorf("%d, from %d to %d: %+v", len(got), got[0], got[len(got)-1], s.Drops)
			}
		}},
		{broker.DropNewest, func(t *testing.T, got []int, s broker.Stats) {
			if len(got) != bound || got[bound-1] != bound-1 || s.Drops.Full != n-bound {
				t.Errorf("%d, from %d to %d: %+v", len(got), got[0], got[len(got)-1], s.Drops)
			}
		}},
		{broker.Reject, func(t *testing.T, got []int, s broker.Stats) {
			if len(got) != bound || s.Drops.Total() != 0 { // who publishes has heard of the others
				t.Errorf("%d: %+v", len(got), s.Drops)
			}
		}},
		{broker.LastValue, func(t *testing.T, got []int, s broker.Stats) {
			if len(got) != bound || got[len(got)-1] != n-1 || s.Drops.Replaced != n-bound {
				t.Errorf("%d, from %d to %d: %+v", len(got), got[0], got[len(got)-1], s.Drops)
			}
		}},
		{broker.Downsample, func(t *testing.T, got []int, s broker.Stats) {
			if len(got) >= bound || len(got) < bound/2 || got[0] != 0 || s.Drops.Sampled == 0 || s.Drops.Total() != uint64(n-len(got)) {
				t.Errorf("%d, from %d to %d: %+v", len(got), got[0], got[len(got)-1], s.Drops)
			}
		}},
	} {
		t.Run(fmt.Sprint("policy ", tc.policy), func(t *testing.T) {
			dir := t.TempDir()
			b := brokertest.New(t, roomy(dir, tc.policy), func(o *broker.Options) { o.Limits.QueueMessages = bound })
			away(t, b, "t/#@1")
			p := attach(t, b, broker.ClientOptions{ID: "p"})
			for i := range n {
				err := p.Publish(t.Context(), mqtt.Message{Topic: fmt.Sprint("t/", i%10), QoS: 1, Payload: words(i, size)})
				if rejected := tc.policy == broker.Reject && i >= bound; (err != nil) != rejected {
					t.Fatalf("message %d: %v", i, err)
				}
			}
			s := b.Client(mqtt.V5)
			s.Connect("cid=s clean=0 se=1000000 sp=1")
			var got []int
			for {
				text := s.Receive()
				if text == "PINGRESP" { // the acknowledgement before it is worked off
					if b.Stats().Waiting == 0 {
						break
					}
					continue
				}
				var id, i int
				fmt.Sscanf(text, "PUBLISH id=%d", &id)
				if _, payload, _ := strings.Cut(text, "payload="); len(payload) > 7 {
					i, _ = strconv.Atoi(payload[:7])
				}
				if len(got) > 0 && i <= got[len(got)-1] {
					t.Fatalf("%d comes after %d", i, got[len(got)-1])
				}
				got = append(got, i)
				s.Send(fmt.Sprintf("PUBACK id=%d", id))
				s.Send("PINGREQ")
			}
			tc.check(t, got, b.Stats())
			if tc.policy == broker.Reject { // there is room again
				publish(t, p, mqtt.Message{Topic: "t/0", QoS: 1, Payload: words(n, size)})
			}
		})
	}
}

// What a member of a Shared Subscription had on disk when its session ended goes
// to another one; sessions within their heads need no file.
func TestSpilledMessagesOfAShare(t *testing.T) {
	const n, size = 800, 200
	dir := t.TempDir()
	b := brokertest.New(t, roomy(dir, broker.DropOldest))
	away(t, b, "$share/g/t@1")
	p := attach(t, b, broker.ClientOptions{ID: "p"})
	for i := range n {
		publish(t, p, mqtt.Message{Topic: "t", QoS: 1, Payload: words(i, size)})
	}
	for i := range 50 {
		c := b.Client(mqtt.V5)
		c.Connect(fmt.Sprintf("cid=small%d clean=1 se=1000", i))
		c.Send("SUBSCRIBE id=1 f=small@1")
		c.Expect("SUBACK id=1 rcs=0x01")
		c.Close()
	}
	for i := range 20 {
		publish(t, p, mqtt.Message{Topic: "small", QoS: 1, Payload: words(i, size)})
	}
	if _, spills := onDiskNow(t, dir); spills > 1 {
		t.Errorf("%d files for one session that is beyond its head", spills)
	}
	other := b.Client(mqtt.V5)
	other.Connect("cid=other clean=1 se=1000")
	other.Send("SUBSCRIBE id=1 f=$share/g/t@1")
	other.Expect("SUBACK id=1 rcs=0x01")
	s := b.Client(mqtt.V5)
	s.Connect("cid=s clean=1") // its session ends [MQTT-3.1.2-4]
	drains(t, other, 0, n)
	if got := b.Stats(); got.Drops.Total() > 0 {
		t.Errorf("%+v", got.Drops)
	}
}

// [MQTT-4.3.3-10] A QoS 2 message that is read back has the Packet Identifier
// that its place gives it, over a kill, and comes once.
func TestSpilledQoS2(t *testing.T) {
	const n, size = 700, 200
	dir := t.TempDir()
	b := brokertest.New(t, roomy(dir, broker.DropOldest))
	away(t, b, "t@2")
	p := attach(t, b, broker.ClientOptions{ID: "p"})
	for i := range n {
		publish(t, p, mqtt.Message{Topic: "t", QoS: 2, Payload: words(i, size)})
	}
	took := 0
	for round := range 2 {
		s := b.Client(mqtt.V5)
		s.Connect("cid=s clean=0 se=1000000 sp=1")
		held := map[int]string{} // by identifier: what the client would take for the same
		for took < n && (round == 1 || took < n/2) {
			text := s.Receive()
			var id int
			if _, err := fmt.Sscanf(text, "PUBLISH id=%d", &id); err == nil {
				if !strings.Contains(text, " payload="+string(words(id-1, size))+" ") || held[id] != "" {
					t.Fatalf("%.60q", text)
				}
				held[id] = text
				s.Send(fmt.Sprintf("PUBREC id=%d", id))
			} else if _, err := fmt.Sscanf(text, "PUBREL id=%d", &id); err == nil {
				s.Send(fmt.Sprintf("PUBCOMP id=%d", id))
				delete(held, id)
				took = id
			}
		}
		s.Send("PINGREQ")
		for text := ""; text != "PINGRESP"; text = s.Receive() {
			var id int
			if _, err := fmt.Sscanf(text, "PUBLISH id=%d", &id); err == nil && round == 1 {
				t.Fatalf("%.60q after all", text)
			}
		}
		if round == 0 {
			b.Stop()
			b = brokertest.New(t, roomy(dir, broker.DropOldest))
		}
	}
}
