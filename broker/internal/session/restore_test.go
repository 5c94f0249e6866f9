package session

import (
	"testing"
	"time"
)

// Deliveries that the client has received do not count into those that may
// have been sent: behind them as many may be on their way as ever.
func TestRestoredDeliveries(t *testing.T) {
	k := &Kept{Expiry: time.Hour, Last: 5, MaybeSent: 2}
	for n := range uint64(5) {
		k.Deliveries = append(k.Deliveries, KeptDelivery{Number: n + 1, Message: message("m"), QoS: 2, Received: n < 2})
	}
	s := Restore(&Limits{QueueMessages: 10, QueueBytes: 1000, Subscriptions: 10}, k)
	s.Connect(Params{ReceiveMaximum: 20, Expiry: time.Hour})
	s.Clear(5)
	want(t, sent(s, time.Now()), "rel#1", "rel#2", "m/2#3!", "m/2#4!", "m/2#5")
}

// Whose delivery has begun does not expire, if that is known.
func TestRestoredDeliveriesThatHaveExpired(t *testing.T) {
	for _, c := range []struct {
		name      string
		maybeSent int
		want      []string
	}{
		{"MQTT-4.4.0-1 what was sent before a restart is sent again, expired or not", 1, []string{"m/1#1!"}},
		{"MQTT-3.3.2-5 what may never have been sent expires", MaybeSentAll, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := &Kept{Expiry: time.Hour, Last: 2, MaybeSent: c.maybeSent}
			for n := range uint64(2) {
				m := message("m")
				m.Expires = time.Now().Add(-time.Second)
				k.Deliveries = append(k.Deliveries, KeptDelivery{Number: n + 1, Message: m, QoS: 1})
			}
			s := Restore(&Limits{QueueMessages: 10, QueueBytes: 1000, Subscriptions: 10}, k)
			s.Connect(Params{ReceiveMaximum: 20, Expiry: time.Hour})
			want(t, sent(s, time.Now()), c.want...)
		})
	}
}
