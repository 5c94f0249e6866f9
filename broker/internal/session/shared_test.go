package session

import (
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// A member of a Shared Subscription is chosen before it is asked, and may have
// left meanwhile: what it was given must be there to be passed on.
func TestASessionThatEndsTakesWhatIsShared(t *testing.T) {
	s := newSession(10, 0)
	s.Disconnect()
	shared := &packet.Via{Share: "$share/g/t"}
	for _, d := range []struct {
		qos  mqtt.QoS
		via  *packet.Via
		left int
	}{{1, nil, 0}, {0, shared, 0}, {1, shared, 1}, {2, shared, 1}} {
		if s.Deliver(new(packet.Publication).Own(message("m")), d.qos, false, d.via) > 0 {
			t.Errorf("QoS %d: a session that ends cannot keep a message", d.qos)
		}
		if left := s.TakeShared("", true); len(left) != d.left {
			t.Errorf("QoS %d, shared %v: %d messages for other members, want %d", d.qos, d.via != nil, len(left), d.left)
		}
	}
	if c := s.Counts(); c.Accepted != 0 || c.Dropped.Total() != 0 {
		t.Errorf("%+v", c)
	}
	s.Connect(Params{Version: mqtt.V5, ReceiveMaximum: 1})
	if got := sent(s, time.Now()); len(got) != 0 {
		t.Errorf("still there: %v", got)
	}
}
