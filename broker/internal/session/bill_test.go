package session

import (
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// held is what sessions hold by looking at all of it: the dumbest bill.
func held(sessions []*Session) (n int) {
	seen := make(map[*mqtt.Message]bool)
	for _, s := range sessions {
		for _, r := range []*ring{&s.out.inflight, &s.out.queue} {
			for i := range r.len() {
				d := r.at(i)
				n += deliverySize
				if !seen[d.message] {
					seen[d.message] = true
					n += d.message.Footprint()
				}
			}
		}
	}
	return n
}

// What sessions that share messages say they hold is what they hold, whatever
// happens to them.
func TestBillsAgainstTheModel(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 4))
		sessions := make([]*Session, 3)
		for i := range sessions {
			sessions[i] = New(&Limits{QueueMessages: 5 + 20*i, QueueBytes: 300 + 2000*i, Subscriptions: 5})
		}
		var said int
		now := time.Now()
		for n := range 3000 {
			act(sessions[r.IntN(len(sessions))], sessions, r, now)
			for _, s := range sessions {
				said += s.Bill(1)
			}
			if want := held(sessions); said != want {
				t.Fatalf("seed %d, step %d: billed %d bytes, held are %d", seed, n, said, want)
			}
		}
		for _, s := range sessions {
			s.Release()
			said += s.Bill(1)
		}
		if said != 0 {
			t.Errorf("seed %d: %d bytes are left when all is gone", seed, said)
		}
	}
}

// act does one of the things that change what s holds.
func act(s *Session, all []*Session, r *rand.Rand, now time.Time) {
	via := &packet.Via{Share: []string{"", "$share/g/a"}[r.IntN(2)]}
	id := uint16(1 + r.IntN(30))
	switch r.IntN(16) {
	case 0:
		s.Connect(Params{Version: mqtt.V5, ReceiveMaximum: uint16(1 + r.IntN(4)), Expiry: time.Duration(r.IntN(2)) * time.Hour})
	case 1:
		s.Disconnect()
	case 2:
		s.Purge(func(m *mqtt.Message) bool { return len(m.Payload)%3 > 0 })
	case 3:
		s.TakeShared("", r.IntN(2) == 0)
	case 4, 5, 6:
		for range r.IntN(4) {
			if m, ok := s.Next(now); ok && r.IntN(9) == 0 && m.Type == packet.PUBLISH {
				s.Discard(m)
			}
		}
		s.Clear(s.Held())
	case 7, 8, 9:
		types := []packet.Type{packet.PUBACK, packet.PUBREC, packet.PUBCOMP, packet.PUBREL}
		s.Step(now, &packet.View{Type: types[r.IntN(4)], ID: id}, nil) // an acknowledgement is no error
	case 10:
		s.Step(now, &packet.View{Type: packet.PUBLISH, ID: id, Publish: packet.Publish{QoS: mqtt.ExactlyOnce}}, nil)
	default:
		m := &mqtt.Message{Topic: "a", QoS: mqtt.QoS(r.IntN(3)), Payload: []byte(strings.Repeat("x", r.IntN(100)))}
		if m.Shareable(new(atomic.Int32)); r.IntN(5) == 0 {
			m.Expires = now
		}
		for _, to := range all {
			if r.IntN(2) == 0 {
				to.Deliver(new(packet.Publication).Own(m), m.QoS, false, via)
			}
		}
	}
}

func TestSmallBillsWait(t *testing.T) {
	s := newSession(10, time.Hour)
	s.Deliver(new(packet.Publication).Own(message("x")), mqtt.AtLeastOnce, false, nil)
	if n := s.Bill(10000); n != 0 {
		t.Errorf("%d bytes are booked, less than 10000 wait", n)
	}
	if n := s.Bill(1); n < 100 {
		t.Errorf("%d bytes are booked for a message", n)
	}
}
