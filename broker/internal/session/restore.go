package session

import (
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// Kept is a session as a store has kept it.
type Kept struct {
	Expiry        time.Duration
	Subscriptions map[string]mqtt.Subscription
	Received      []uint16 // Packet Identifiers of QoS 2 that were routed and not released
	Deliveries    []KeptDelivery
	Last          uint64 // the last place in line given away
	// MaybeSent is how many of the deliveries that were not received may have
	// been sent before the process ended: the store does not say.
	MaybeSent int
}

// KeptDelivery is one message towards the client.
type KeptDelivery struct {
	Number   uint64
	Message  *mqtt.Message
	Via      *packet.Via
	QoS      mqtt.QoS
	Retain   bool
	Received bool // PUBREC came
}

// Restore makes a session that a store has kept. Nobody is attached to it.
func Restore(l Limits, k *Kept) *Session {
	s := New(l)
	s.params.Expiry = k.Expiry
	for _, sub := range k.Subscriptions {
		s.subs.set(sub)
	}
	for _, id := range k.Received {
		if s.received == nil {
			s.received = make(map[ReceivedID]struct{})
		}
		s.received[ReceivedID(id)] = struct{}{}
		s.out.owed += receivedSize
	}
	o := &s.out
	o.last, o.cleared = k.Last, k.Last
	open := 0 // deliveries that were not received
	for i := range k.Deliveries {
		r := &k.Deliveries[i]
		d := delivery{
			message: r.Message, via: r.Via, number: r.Number, id: identifier(r.Number), qos: r.QoS, retain: r.Retain,
			sent: r.Received || open < k.MaybeSent, released: r.Received,
		}
		if !r.Received {
			open++
		}
		d.kept = true
		o.take(&d)
		o.counts.Accepted++
		if d.released {
			o.inflight.push(d)
		} else {
			o.queue.push(d)
		}
	}
	return s
}
