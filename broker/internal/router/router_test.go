package router

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// sink writes down what it gets.
type sink struct {
	id      string
	offline bool
	durable bool
	full    bool
	got     []string
}

func (s *sink) ClientID() string { return s.id }
func (s *sink) Online() bool     { return !s.offline }
func (s *sink) Takes(*packet.Publication, mqtt.QoS) bool {
	return !s.full && (s.durable || !s.offline)
}
func (s *sink) Deliver(_ time.Time, p *packet.Publication, qos mqtt.QoS, retain bool, via *packet.Via) uint64 {
	ids := slices.Sorted(slices.Values(via.IDs()))
	text := fmt.Sprintf("%s/%d%v", p.Peek().Payload, qos, ids)
	if retain {
		text += "r"
	}
	s.got = append(s.got, text)
	if s.durable {
		return uint64(len(s.got))
	}
	return 0
}

func (s *sink) want(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(s.got, want) {
		t.Errorf("%s got %q, want %q", s.id, s.got, want)
	}
	s.got = nil
}

func newRouter() *Router {
	return New(new(store.Memory), Limits{RetainedMessages: 2, RetainedBytes: 1000})
}

func message(topic, payload string, retain bool) *packet.Publication {
	return new(packet.Publication).Own(&mqtt.Message{Topic: topic, Payload: []byte(payload), QoS: 2, Retain: retain, Publisher: "p"})
}

func TestOverlapIsDeliveredOnce(t *testing.T) {
	r, a, b := newRouter(), &sink{id: "a"}, &sink{id: "b", durable: true}
	now := time.Unix(1000, 0)
	for i, f := range []string{"x/#", "x/+", "x/y"} {
		r.Subscribe(now, a, mqtt.Subscription{Filter: f, QoS: mqtt.QoS(i % 2), Identifier: uint32(i + 1)}, false, false)
	}
	r.Subscribe(now, b, mqtt.Subscription{Filter: "x/y", QoS: 2}, false, false)
	for range 2 { // twice: identifiers of a subscription must not grow
		if got := r.Publish(now, message("x/y", "1", false)); !got.Matched || !got.Recorded {
			t.Errorf("Publish = %+v", got)
		}
		a.want(t, "1/1[1 2 3]")
		b.want(t, "1/2[]")
	}
	if got := r.Publish(now, message("x", "1", false)); !got.Matched || got.Recorded {
		t.Errorf("without a durable sink: %+v", got)
	}
	a.want(t, "1/0[1]")
	for _, f := range []string{"x/#", "x/+", "x/y", "nothing"} {
		r.Unsubscribe(a, f, false)
	}
	r.Unsubscribe(b, "x/y", false)
	if c := r.Counts(); c.Subscriptions != 0 || r.filters.Len() != 0 {
		t.Errorf("%d subscriptions, %d filters left", c.Subscriptions, r.filters.Len())
	}
}

func TestASharedAndAPlainSubscriptionDeliverBoth(t *testing.T) {
	r, a, off := newRouter(), &sink{id: "a"}, &sink{id: "off", offline: true}
	now := time.Unix(1000, 0)
	for _, f := range []string{"$share/g/x", "x", "+"} {
		r.Subscribe(now, a, mqtt.Subscription{Filter: f}, false, false)
	}
	r.Subscribe(now, off, mqtt.Subscription{Filter: "$share/g/x"}, false, false)
	for range 2 {
		r.Publish(now, message("x", "1", false))
		a.want(t, "1/0[]", "1/0[]")
	}
	off.want(t)
	r.Unsubscribe(a, "$share/g/x", false)
	r.Publish(now, message("x", "2", false))
	off.want(t, "2/0[]")
}

func TestRetainedLimits(t *testing.T) {
	r, a := newRouter(), &sink{id: "a"}
	now := time.Unix(1000, 0)
	short := message("r/1", "1", true).Message()
	short.Expires = now.Add(time.Second)
	r.Publish(now, new(packet.Publication).Own(short))
	r.Publish(now, message("r/2", "2", true))
	r.Publish(now, message("r/3", "3", true))
	if c := r.Counts(); c.Retained != 2 || c.RetainedRefused != 1 {
		t.Errorf("at the limit: %+v", c)
	}
	later := now.Add(time.Minute)
	r.Publish(later, message("r/3", "3", true))
	r.Subscribe(later, a, mqtt.Subscription{Filter: "r/+", QoS: 1}, false, false)
	slices.Sort(a.got)
	a.want(t, "2/1[]r", "3/1[]r")
	r.Publish(later, message("r/2", string(make([]byte, 2000)), true))
	if c := r.Counts(); c.Retained != 1 {
		t.Errorf("an old value stays when the new one is refused: %+v", c)
	}
	r.Publish(later, message("r/3", "", true))
	if c := r.Counts(); c.Retained != 0 || c.RetainedBytes != 0 {
		t.Errorf("not cleared: %+v", c)
	}
}

func TestASharedSubscriptionPassesOver(t *testing.T) {
	r := newRouter()
	now := time.Unix(1000, 0)
	a, b, c := &sink{id: "a"}, &sink{id: "b"}, &sink{id: "c"}
	for _, s := range []*sink{a, b, c} {
		r.Subscribe(now, s, mqtt.Subscription{Filter: "$share/g/t", QoS: 2}, false, false)
	}
	send := func(payload string) { r.Publish(now, message("t", payload, false)) }
	b.full = true
	for _, p := range []string{"1", "2", "3", "4"} { // their turns: a, b, c, a
		send(p)
	}
	a.want(t, "1/2[]", "4/2[]")
	b.want(t)
	c.want(t, "2/2[]", "3/2[]")
	a.offline, c.offline, c.durable = true, true, true
	send("5") // b is there but full, c is away and has room
	c.want(t, "5/2[]")
	c.full = true
	send("6") // the one who is there will have to drop something
	b.want(t, "6/2[]")
}

func TestOverlapEachDeliversOncePerSubscription(t *testing.T) {
	r := New(new(store.Memory), Limits{Each: true, RetainedMessages: 2, RetainedBytes: 1000})
	a := &sink{id: "a"}
	now := time.Unix(1000, 0)
	r.Subscribe(now, a, mqtt.Subscription{Filter: "t", QoS: 1, Identifier: 7}, false, false)
	r.Subscribe(now, a, mqtt.Subscription{Filter: "+", QoS: 2, Identifier: 8}, false, false)
	r.Publish(now, message("t", "x", false))
	slices.Sort(a.got)
	a.want(t, "x/1[7]", "x/2[8]")
}

// At the limits a topic's new value takes the place of its old one; one that
// does not fit takes the old one away, which must not pass for the current one.
func TestRetainedAtTheLimits(t *testing.T) {
	now := time.Unix(1000, 0)
	large := func(n int) string { return string(make([]byte, n)) }
	for _, tc := range []struct {
		name    string
		limits  Limits
		x, y    string // are there
		next    string // x
		refused bool
	}{
		{"messages", Limits{RetainedMessages: 2, RetainedBytes: 1000}, "1", "1", "2", false},
		{"bytes", Limits{RetainedMessages: 9, RetainedBytes: 402}, large(200), large(200), large(200), false},
		{"too large", Limits{RetainedMessages: 9, RetainedBytes: 402}, large(200), large(200), large(201), true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := New(new(store.Memory), tc.limits)
			for topic, payload := range map[string]string{"x": tc.x, "y": tc.y} {
				if r.Publish(now, message(topic, payload, true)).NotRetained {
					t.Fatalf("%s is not retained", topic)
				}
			}
			if !r.Publish(now, message("z", "1", true)).NotRetained {
				t.Error("another topic is retained")
			}
			if refused := r.Publish(now, message("x", tc.next, true)).NotRetained; refused != tc.refused {
				t.Errorf("the new value is refused: %t", refused)
			}
			got := r.Retained(now, "x")
			if tc.refused && len(got) != 0 || !tc.refused && (len(got) != 1 || string(got[0].Payload) != tc.next) {
				t.Errorf("%d messages are retained", len(got))
			}
		})
	}
}
