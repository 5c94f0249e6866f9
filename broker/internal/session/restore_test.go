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
