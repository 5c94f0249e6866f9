package session

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

func newSession(receiveMaximum uint16, expiry time.Duration) *Session {
	s := New(&Limits{QueueMessages: 4, QueueBytes: 100, Subscriptions: 10})
	s.Connect(Params{Version: mqtt.V5, ReceiveMaximum: receiveMaximum, Expiry: expiry})
	s.Clear(math.MaxUint64) // a store that is durable at once
	return s
}

func message(payload string) *mqtt.Message {
	return &mqtt.Message{Topic: "t", Payload: []byte(payload)}
}

// sent drains Next and says what came: payload, QoS, identifier, ! for DUP.
func sent(s *Session, now time.Time) (all []string) {
	for {
		m, ok := s.Next(now)
		if !ok {
			return all
		}
		if m.Type == packet.PUBREL {
			all = append(all, fmt.Sprintf("rel#%d", m.ID))
			continue
		}
		text := fmt.Sprintf("%s/%d#%d", m.Message.Payload, m.QoS, m.ID)
		if m.Dup {
			text += "!"
		}
		all = append(all, text)
	}
}

func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestStepEffects(t *testing.T) {
	publish := func(qos mqtt.QoS, id uint16) packet.View {
		return packet.View{Type: packet.PUBLISH, ID: id, Publish: packet.Publish{QoS: qos}}
	}
	for _, tc := range []struct {
		name    string
		packets []packet.View
		want    string // kinds of the last packet's effects
		code    mqtt.ReasonCode
	}{
		{"MQTT-4.3.1-1 QoS 0 is routed", []packet.View{publish(0, 0)}, "[route]", 0},
		{"MQTT-4.3.2-4 QoS 1 is routed, then acknowledged", []packet.View{publish(1, 5)}, "[route ack4#5]", 0},
		{"MQTT-4.3.3-10 QoS 2 is routed, kept, acknowledged", []packet.View{publish(2, 5)}, "[route persist1#5 ack5#5]", 0},
		{"MQTT-4.3.3-10 a second PUBLISH is acknowledged only", []packet.View{publish(2, 5), publish(2, 5)}, "[ack5#5]", 0},
		{"MQTT-4.3.3-11 PUBREL frees the identifier", []packet.View{publish(2, 5), {Type: packet.PUBREL, ID: 5}}, "[persist2#5 ack7#5]", 0},
		{"PUBREL of nothing gets 0x92", []packet.View{{Type: packet.PUBREL, ID: 5}}, "[ack7#5:92]", 0},
		{"PUBREC of nothing gets 0x92", []packet.View{{Type: packet.PUBREC, ID: 5}}, "[ack6#5:92]", 0},
		{"PUBACK of nothing is passed over", []packet.View{{Type: packet.PUBACK, ID: 5}}, "[]", 0},
		{"MQTT-3.12.4-1 PINGREQ", []packet.View{{Type: packet.PINGREQ}}, "[pong]", 0},
		{"MQTT-3.1.0-2 a second CONNECT", []packet.View{{Type: packet.CONNECT}}, "[]", mqtt.ProtocolError},
		{"MQTT-4.12.0-1 AUTH", []packet.View{{Type: packet.AUTH}}, "[]", mqtt.ProtocolError},
		{"packets of a server", []packet.View{{Type: packet.SUBACK}}, "[]", mqtt.ProtocolError},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSession(10, time.Hour)
			var out []Effect
			var err error
			for i := range tc.packets {
				out, err = s.Step(time.Time{}, &tc.packets[i], out[:0])
			}
			if got := kinds(out); got != tc.want {
				t.Errorf("effects %s, want %s", got, tc.want)
			}
			var e *mqtt.Error
			if errors.As(err, &e); e != nil && e.Code != tc.code || (e != nil) != tc.code.Failed() {
				t.Errorf("error %v, want code %v", err, tc.code)
			}
		})
	}
}

func kinds(out []Effect) string {
	var all []string
	for _, e := range out {
		switch e.Kind {
		case Route:
			all = append(all, "route")
		case Persist:
			all = append(all, fmt.Sprintf("persist%d#%d", e.Change, e.Number))
		case Acknowledge:
			text := fmt.Sprintf("ack%d#%d", e.Type, e.ID)
			if e.Reason != 0 {
				text += fmt.Sprintf(":%x", byte(e.Reason))
			}
			all = append(all, text)
		case Ready:
			all = append(all, "ready")
		case Pong:
			all = append(all, "pong")
		default:
			all = append(all, fmt.Sprint(e.Kind))
		}
	}
	return fmt.Sprint(all)
}

func TestNothingIsPersistedWithoutADurableSession(t *testing.T) {
	s := newSession(10, 0)
	out, _ := s.Step(time.Time{}, &packet.View{Type: packet.PUBLISH, ID: 1, Publish: packet.Publish{QoS: 2}}, nil)
	if got := kinds(out); got != "[route ack5#1]" {
		t.Errorf("effects %s", got)
	}
}

func TestIdentifiersOfBothSidesAreApart(t *testing.T) {
	s := newSession(10, time.Hour)
	s.Deliver(new(packet.Publication).Own(message("x")), 2, false, nil)
	want(t, sent(s, time.Time{}), "x/2#1")
	s.Step(time.Time{}, &packet.View{Type: packet.PUBLISH, ID: 1, Publish: packet.Publish{QoS: 2}}, nil)
	// PUBREL 1 of the client ends its own message, not the server's.
	s.Step(time.Time{}, &packet.View{Type: packet.PUBREL, ID: 1}, nil)
	if n, _ := s.Waiting(); n != 1 {
		t.Errorf("%d in flight, want 1", n)
	}
}

func TestRedeliveryKeepsOrderAndQuota(t *testing.T) {
	s := newSession(3, time.Hour)
	for i, qos := range []mqtt.QoS{1, 2, 1, 1} {
		s.Deliver(new(packet.Publication).Own(message(fmt.Sprint(i))), qos, false, nil)
	}
	want(t, sent(s, time.Time{}), "0/1#1", "1/2#2", "2/1#3")
	s.Step(time.Time{}, &packet.View{Type: packet.PUBREC, ID: 2}, nil)
	s.Disconnect()
	s.Connect(Params{Version: mqtt.V5, ReceiveMaximum: 1, Expiry: time.Hour})
	want(t, sent(s, time.Time{}), "0/1#1!", "rel#2")
	s.Step(time.Time{}, &packet.View{Type: packet.PUBACK, ID: 1}, nil)
	want(t, sent(s, time.Time{}), "2/1#3!")
	s.Step(time.Time{}, &packet.View{Type: packet.PUBCOMP, ID: 2}, nil)
	s.Step(time.Time{}, &packet.View{Type: packet.PUBACK, ID: 3}, nil)
	want(t, sent(s, time.Time{}), "3/1#4")
	if c := s.Counts(); c.Accepted != 4 || c.Done != 3 {
		t.Errorf("counts %+v", c)
	}
}

func TestWhatIsInFlightDoesNotExpire(t *testing.T) {
	now := time.Unix(1000, 0)
	s := newSession(1, time.Hour)
	for _, p := range []string{"a", "b"} {
		m := message(p)
		m.Expires = now.Add(time.Second)
		s.Deliver(new(packet.Publication).Own(m), 2, false, nil)
	}
	want(t, sent(s, now), "a/2#1")
	s.Disconnect()
	s.Connect(Params{Version: mqtt.V5, ReceiveMaximum: 9, Expiry: time.Hour})
	want(t, sent(s, now.Add(time.Minute)), "a/2#1!")
	if c := s.Counts(); c.Dropped.Total() != 1 {
		t.Errorf("dropped %d, want 1", c.Dropped.Total())
	}
}

func TestFullQueueDropsByQoS(t *testing.T) {
	s := newSession(1, time.Hour)
	for i, qos := range []mqtt.QoS{1, 1, 1, 1} {
		s.Deliver(new(packet.Publication).Own(message(fmt.Sprint(i))), qos, false, nil)
	}
	want(t, sent(s, time.Time{}), "0/1#1")
	s.Deliver(new(packet.Publication).Own(message("q0")), 0, false, nil)
	if c := s.Counts(); c.Dropped.Total() != 1 {
		t.Errorf("QoS 0: dropped %d, want 1", c.Dropped.Total())
	}
	s.Deliver(new(packet.Publication).Own(message("new")), 1, false, nil)
	s.Step(time.Time{}, &packet.View{Type: packet.PUBACK, ID: 1}, nil)
	want(t, sent(s, time.Time{}), "2/1#3")
	t.Run("a message larger than the queue is itself dropped", func(t *testing.T) {
		s := newSession(1, time.Hour)
		if s.Deliver(new(packet.Publication).Own(message(string(make([]byte, 200)))), 1, false, nil) > 0 {
			t.Error("kept")
		}
		if c := s.Counts(); c.Accepted != 1 || c.Dropped.Total() != 1 {
			t.Errorf("counts %+v", c)
		}
	})
}

func TestQoS0TakesNoneOfReceiveMaximum(t *testing.T) {
	s := newSession(2, time.Hour)
	now := time.Now()
	for range 5 {
		s.Deliver(new(packet.Publication).Own(message("q")), mqtt.AtMostOnce, false, nil)
		want(t, sent(s, now), "q/0#0")
	}
	for range 3 {
		s.Deliver(new(packet.Publication).Own(message("m")), mqtt.AtLeastOnce, false, nil)
	}
	want(t, sent(s, now), "m/1#1", "m/1#2")
}

func TestIdentifiersWrapAroundThoseInUse(t *testing.T) {
	s := newSession(2, time.Hour)
	s.Deliver(new(packet.Publication).Own(message("stays")), 1, false, nil)
	want(t, sent(s, time.Time{}), "stays/1#1")
	s.out.last = 65534
	for _, id := range []uint16{65535, 2} {
		s.Deliver(new(packet.Publication).Own(message("x")), 1, false, nil)
		want(t, sent(s, time.Time{}), fmt.Sprintf("x/1#%d", id))
		s.Step(time.Time{}, &packet.View{Type: packet.PUBACK, ID: id}, nil)
	}
}

// A QoS 2 message goes to a session that outlives its connection only when its
// record is safe; what comes behind it waits, too.
func TestQoS2WaitsForItsRecord(t *testing.T) {
	s := New(&Limits{QueueMessages: 100, QueueBytes: 1 << 20, Subscriptions: 10})
	s.Connect(Params{Version: mqtt.V5, ReceiveMaximum: 10, Expiry: time.Hour})
	for i, qos := range []mqtt.QoS{1, 2, 1, 2} {
		s.Deliver(new(packet.Publication).Own(message(fmt.Sprint(i))), qos, false, nil)
	}
	want(t, sent(s, time.Time{}), "0/1#1")
	if got := s.Held(); got != 4 {
		t.Fatalf("Held %d, want 4", got)
	}
	s.Clear(3)
	want(t, sent(s, time.Time{}), "1/2#2", "2/1#3")
	s.Clear(4)
	want(t, sent(s, time.Time{}), "3/2#4")
	if got := s.Held(); got != 0 {
		t.Errorf("Held %d, want 0", got)
	}
}
