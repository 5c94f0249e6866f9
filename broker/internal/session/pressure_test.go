package session

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// behind is a session whose client takes nothing now: one message is in flight,
// then come n of QoS 0 and n of QoS 1 in turns.
func behind(expiry time.Duration, n int) *Session {
	s := New(&Limits{QueueMessages: 100, QueueBytes: 10_000, Subscriptions: 10})
	s.Connect(Params{Version: mqtt.V5, ReceiveMaximum: 1, Expiry: expiry})
	s.Clear(math.MaxUint64)
	s.Deliver(new(packet.Publication).Own(message("first")), mqtt.AtLeastOnce, false, nil)
	s.Next(time.Time{})
	for i := range n {
		s.Deliver(new(packet.Publication).Own(message(fmt.Sprint("q", i))), mqtt.AtMostOnce, false, nil)
		s.Deliver(new(packet.Publication).Own(message(fmt.Sprint("p", i))), mqtt.AtLeastOnce, false, nil)
	}
	return s
}

// What gives way at which level of memory is the table of broker/DESIGN.md.
func TestSqueeze(t *testing.T) {
	for _, c := range []struct {
		name    string
		s       *Session
		level   int
		qos     mqtt.QoS
		size    int
		slow    bool
		refused bool
		waiting int // after it
	}{
		{"QoS 0 may fill half a queue at level 1", behind(0, 24), 1, 0, 10, false, false, 49},
		{"and no more", behind(0, 25), 1, 0, 10, false, true, 51},
		{"nor half of its bytes", behind(0, 1), 1, 0, 5000, false, true, 3},
		{"none for who is behind at level 2", behind(0, 1), 2, 0, 10, false, true, 3},
		{"for others it goes on", newSession(1, 0), 2, 0, 10, false, false, 0},
		{"but for a socket that takes nothing", newSession(1, 0), 2, 0, 10, true, true, 0},
		{"queues that end with their connection grow at level 2", behind(0, 2), 2, 1, 10, false, false, 5},
		{"not at level 3", behind(0, 2), 3, 1, 10, false, false, 4},
		{"others do at level 3", behind(time.Hour, 2), 3, 1, 10, false, false, 5},
		{"not at level 4", behind(time.Hour, 2), 4, 1, 10, false, false, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			refused := c.s.Squeeze(c.level, c.qos, c.size, c.slow)
			waiting, _ := c.s.Waiting()
			if refused != c.refused || waiting != c.waiting {
				t.Errorf("refused %t, %d wait", refused, waiting)
			}
			if n := c.s.Counts(); n.Accepted != n.Done+n.Dropped.Total()+uint64(waiting) {
				t.Errorf("%d wait, %+v", waiting, n)
			}
		})
	}
}

func TestShed(t *testing.T) {
	for _, c := range []struct {
		name     string
		expiry   time.Duration
		level    int
		promised int
		left     []string
	}{
		{"half of QoS 0 at level 1", 0, 1, 0, []string{"p0/1#2", "p1/1#3", "q2/0#0", "p2/1#4", "q3/0#0", "p3/1#5"}},
		{"all of it at level 2", 0, 2, 0, []string{"p0/1#2", "p1/1#3", "p2/1#4", "p3/1#5"}},
		{"and the older half of the rest at level 3", 0, 3, 2, []string{"p2/1#4", "p3/1#5"}},
		{"of a session that lives on at level 4", time.Hour, 3, 0, []string{"p0/1#2", "p1/1#3", "p2/1#4", "p3/1#5"}},
		{"as well", time.Hour, 4, 2, []string{"p2/1#4", "p3/1#5"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := behind(c.expiry, 4)
			if n := s.Shed(c.level); n != c.promised {
				t.Errorf("%d messages of QoS 1 were given up", n)
			}
			s.out.quota = 10
			want(t, sent(s, time.Time{}), c.left...)
			if n := s.Counts(); n.Dropped.Total() != n.Dropped.Memory || n.Dropped.Memory != 8-uint64(len(c.left)) {
				t.Errorf("%+v", n)
			}
		})
	}
}
