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
		o.Limits = broker.Limits{QueueMessages: 1 << 30, QueueSize: 1 << 40, ReceiveMaximum: 20}
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

// drains takes messages as they come, from the one numbered next on, and
// acknowledges all of them, or at most count.
func drains(t *testing.T, s *brokertest.Client, next, count, size int) {
	t.Helper()
	for n := range count {
		got := s.Receive()
		var id int
		if _, err := fmt.Sscanf(got, "PUBLISH id=%d", &id); err != nil || !strings.Contains(got, " payload="+string(words(next+n, size))+" ") {
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
	n := 6000
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
	drains(t, s, 0, third, size)
	taker := b.Client(mqtt.V5) // [MQTT-3.1.4-3]
	taker.Connect("cid=s clean=0 se=1000000 sp=1")
	// What was in flight comes again first, in order [MQTT-4.4.0-1].
	drains(t, taker, third, third, size)
	taker.Send("PINGREQ")
	for taker.Receive() != "PINGRESP" { // what was acknowledged is worked off
	}
	b.Stop()

	b = brokertest.New(t, roomy(dir, broker.DropOldest))
	s = b.Client(mqtt.V5)
	s.Connect("cid=s clean=0 se=1000000 sp=1")
	drains(t, s, 2*third, n-2*third, size)
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
