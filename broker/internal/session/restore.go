package session

import (
	"math"
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
	Blocks        []Block // what the store has instead of Deliveries, if that is much
	Last          uint64  // the last place in line given away
	// MaybeSent is how many of the deliveries that were not received may have
	// been sent before the process ended: the store does not say. MaybeSentAll
	// if nobody counted.
	MaybeSent int
}

// MaybeSentAll is MaybeSent of a session whose client was there when the process
// was killed.
const MaybeSentAll = math.MaxInt

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
func Restore(l *Limits, k *Kept) *Session {
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
	}
	o := &s.out
	s.unsure = k.MaybeSent == MaybeSentAll
	o.last, o.cleared = k.Last, k.Last
	for i := range k.Deliveries {
		r := &k.Deliveries[i]
		d := r.delivery()
		d.sent = r.Received || k.MaybeSent > 0
		if !r.Received {
			k.MaybeSent--
		}
		o.take(&d)
		o.counts.Accepted++
		if d.released {
			o.inflight.push(d)
		} else {
			o.queue.push(d)
		}
	}
	if len(k.Blocks) > 0 {
		s.restoreRest(k)
	}
	return s
}

// restoreRest takes over what the store has, in blocks that are small enough to
// be given up one at a time: numbers in between are as good as any.
func (s *Session) restoreRest(k *Kept) {
	o := &s.out
	r := o.behind(0)
	r.restored, r.suspect = k.Last, k.MaybeSent
	messages, bytes := s.limits.block()
	for _, b := range k.Blocks {
		n := max(min(max(b.Bytes/bytes, b.Messages/messages), b.Messages), 1)
		for i := range n {
			r.blocks = append(r.blocks, Block{Last: b.First + (b.Last-b.First)*uint64(i+1)/uint64(n)})
			r.count(&r.blocks[len(r.blocks)-1], b.Messages*(i+1)/n-b.Messages*i/n, b.Bytes*(i+1)/n-b.Bytes*i/n)
		}
	}
	o.counts.Accepted += uint64(r.messages)
}

// delivery is d as it waits.
func (d *KeptDelivery) delivery() delivery {
	return delivery{
		message: d.Message, via: d.Via, number: d.Number, id: identifier(d.Number), qos: d.QoS, retain: d.Retain, released: d.Received, kept: true,
	}
}
