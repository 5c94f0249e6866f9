package session

import (
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// Send is one packet that may go to the client now.
type Send struct {
	Type        packet.Type // PUBLISH or PUBREL
	ID          uint16
	Message     *mqtt.Message // shared, immutable; nil for PUBREL
	Identifiers []uint32      // Subscription Identifiers
	QoS         mqtt.QoS
	Dup, Retain bool
}

// delivery is one message on its way to the client.
type delivery struct {
	message     *mqtt.Message
	identifiers []uint32
	id          SentID
	qos         mqtt.QoS
	retain      bool
	sent        bool // in flight: a PUBLISH went out in some connection
	released    bool // PUBREC came, PUBREL is what is left
	onWire      bool // counts against Receive Maximum of this connection
}

// outbox is everything towards the client: deliveries in flight in the order
// they were first sent, and behind them those that wait. QoS 0 waits in the
// same line, so that a client sees what one publisher sent in that order.
type outbox struct {
	inflight []delivery
	queue    []delivery
	resend   int // inflight[resend:] was not yet sent in this connection
	onWire   int
	quota    int
	bytes    int
	last     SentID
	counts   Counts
}

// Deliver takes a message for the client. kept reports that a durable session
// now answers for it. A message that finds the queue full is dropped if it has
// QoS 0; otherwise the oldest that waits makes room for it.
func (s *Session) Deliver(m *mqtt.Message, qos mqtt.QoS, retain bool, identifiers []uint32) (kept bool) {
	if !s.online && (qos == mqtt.AtMostOnce || !s.Durable()) {
		return false
	}
	o := &s.out
	o.counts.Accepted++
	size := m.Size()
	for len(o.inflight)+len(o.queue)+1 > s.limits.QueueMessages || o.bytes+size > s.limits.QueueBytes {
		// What could not fit an empty queue must not empty this one.
		if qos == mqtt.AtMostOnce || len(o.queue) == 0 || size > s.limits.QueueBytes {
			o.counts.Dropped++
			return false
		}
		o.drop(0)
	}
	o.bytes += size
	o.queue = append(o.queue, delivery{message: m, identifiers: identifiers, qos: qos, retain: retain})
	return qos > mqtt.AtMostOnce && s.Durable()
}

// Next returns the next packet that Receive Maximum lets out [MQTT-3.3.4-9].
// Messages whose expiry interval has passed are given up [MQTT-3.3.2-5].
func (s *Session) Next(now time.Time) (Send, bool) {
	o := &s.out
	for o.resend < len(o.inflight) {
		d := &o.inflight[o.resend]
		if d.released {
			o.resend++
			return Send{Type: packet.PUBREL, ID: uint16(d.id)}, true
		}
		if o.onWire >= o.quota {
			return Send{}, false
		}
		// Expiry does not matter any more: delivery has started, and the client
		// may hold the identifier [MQTT-3.3.2-5].
		o.resend++
		return o.send(d), true
	}
	for len(o.queue) > 0 {
		d := &o.queue[0]
		if d.message.Expired(now) {
			o.drop(0)
			continue
		}
		if d.qos == mqtt.AtMostOnce {
			m := o.send(d)
			o.bytes -= d.message.Size()
			o.counts.Done++
			o.pop(0)
			return m, true
		}
		if o.onWire >= o.quota {
			return Send{}, false
		}
		d.id = o.identifier()
		o.inflight = append(o.inflight, *d)
		o.pop(0)
		o.resend = len(o.inflight)
		return o.send(&o.inflight[len(o.inflight)-1]), true
	}
	return Send{}, false
}

// Discard gives up a PUBLISH that Next returned but that may not be sent,
// because it is larger than the client's Maximum Packet Size: the server acts
// as if it had completed sending it [MQTT-3.1.2-25].
func (s *Session) Discard(m Send) {
	o := &s.out
	if m.QoS == mqtt.AtMostOnce {
		o.counts.Done--
		o.counts.Dropped++
		return
	}
	if i := o.find(SentID(m.ID)); i >= 0 {
		o.remove(i)
		o.counts.Dropped++
	}
}

func (o *outbox) send(d *delivery) Send {
	m := Send{
		Type: packet.PUBLISH, ID: uint16(d.id), Message: d.message, Identifiers: d.identifiers,
		QoS: d.qos, Dup: d.sent, Retain: d.retain,
	}
	if d.qos > mqtt.AtMostOnce {
		d.sent, d.onWire = true, true
		o.onWire++
	}
	return m
}

// rewind prepares for a new connection: quotas start anew [MQTT-4.9.0-1].
func (o *outbox) rewind(quota int) {
	o.resend, o.onWire, o.quota = 0, 0, quota
	for i := range o.inflight {
		o.inflight[i].onWire = false
	}
}

// acknowledge ends a delivery of that QoS.
func (o *outbox) acknowledge(id SentID, qos mqtt.QoS) bool {
	i := o.find(id)
	if i < 0 || o.inflight[i].qos != qos || o.inflight[i].released {
		return false
	}
	o.remove(i)
	o.counts.Done++
	return true
}

// received records a PUBREC; a second one for the same identifier is answered
// again, as is one for a message that was never seen received.
func (o *outbox) received(id SentID) bool {
	i := o.find(id)
	if i < 0 || o.inflight[i].qos != mqtt.ExactlyOnce {
		return false
	}
	o.inflight[i].released = true
	return true
}

func (o *outbox) complete(id SentID) bool {
	i := o.find(id)
	if i < 0 || !o.inflight[i].released {
		return false
	}
	o.remove(i)
	o.counts.Done++
	return true
}

// find is linear in what is in flight: Receive Maximum is small, and clients
// acknowledge in order, so that the first is nearly always the one.
func (o *outbox) find(id SentID) int {
	for i := range o.inflight {
		if o.inflight[i].id == id {
			return i
		}
	}
	return -1
}

// identifier returns one that is not in use [MQTT-2.2.1-4]. There always is
// one: a quota is at most 65535.
func (o *outbox) identifier() SentID {
	for {
		o.last++
		if o.last != 0 && o.find(o.last) < 0 {
			return o.last
		}
	}
}

func (o *outbox) remove(i int) {
	d := &o.inflight[i]
	o.bytes -= d.message.Size()
	if d.onWire {
		o.onWire--
	}
	if i < o.resend {
		o.resend--
	}
	o.inflight = cut(o.inflight, i)
}

// drop gives up a delivery that waits.
func (o *outbox) drop(i int) {
	o.bytes -= o.queue[i].message.Size()
	o.counts.Dropped++
	o.pop(i)
}

func (o *outbox) pop(i int) { o.queue = cut(o.queue, i) }

func (o *outbox) dropQoS0() {
	kept := o.queue[:0]
	for _, d := range o.queue {
		if d.qos == mqtt.AtMostOnce {
			o.bytes -= d.message.Size()
			o.counts.Dropped++
			continue
		}
		kept = append(kept, d)
	}
	clear(o.queue[len(kept):])
	o.queue = kept
}

// cut removes one element and gives what it held back to the collector. The
// head is the usual case and moves nothing.
func cut(s []delivery, i int) []delivery {
	if i == 0 {
		s[0] = delivery{}
		if len(s) == 1 {
			return s[:0]
		}
		return s[1:]
	}
	copy(s[i:], s[i+1:])
	s[len(s)-1] = delivery{}
	return s[:len(s)-1]
}
