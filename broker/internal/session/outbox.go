package session

import (
	"math"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/overflow"
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
	message  *mqtt.Message
	via      *packet.Via
	number   uint64 // place in line; 0 for QoS 0
	id       SentID
	qos      mqtt.QoS
	retain   bool
	sent     bool // in flight: a PUBLISH went out in some connection
	kept     bool // the store has it, too
	released bool // PUBREC came, PUBREL is what is left
	onWire   bool // counts against Receive Maximum of this connection
}

// outbox is everything towards the client: deliveries in flight in the order
// they were first sent, and behind them those that wait. QoS 0 waits in the
// same line, so that a client sees what one publisher sent in that order.
type outbox struct {
	inflight ring
	queue    ring
	rest     *rest // behind queue; nil for nothing
	resend   int32 // what is in flight from here on was not yet sent in this connection
	onWire   int32
	quota    int32
	sampler  overflow.Sampler
	bytes    int    // of inflight and queue
	unbilled int    // see Session.Bill
	last     uint64 // the last place in line given away
	cleared  uint64 // up to here QoS 2 may be sent for the first time; see Held
	counts   Counts
	gone     *[]uint64 // places given up since Gone; nil for none
}

// identifier is the Packet Identifier of a place in line: a restart sends again
// under the same.
func identifier(number uint64) SentID { return SentID((number-1)%math.MaxUint16) + 1 }

// Deliver takes a message for the client. number is its place in line if a
// durable session now answers for it, else 0. When the queue is full, a message
// of QoS 0 is dropped; for others Limits.Overflow says what gives way. What does
// not fit into memory is left to the store if that is there for it.
func (s *Session) Deliver(p *packet.Publication, qos mqtt.QoS, retain bool, via *packet.Via) (number uint64) {
	// A session that is about to end, because its connection just did, takes
	// what a Shared Subscription gives it all the same: TakeShared will find it
	// another member. It would be lost here.
	if !s.online && (qos == mqtt.AtMostOnce || !s.Durable() && via.Shared() == "") {
		return 0
	}
	o := &s.out
	o.counts.Accepted++
	size := p.Peek().Size()
	if !s.room(p.Peek().Topic, qos, size) {
		return 0
	}
	d := delivery{message: p.Message(), via: via, qos: qos, retain: retain}
	if qos > mqtt.AtMostOnce {
		// An identifier may be in use still by a message 65535 places ahead that
		// the client never acknowledged [MQTT-2.2.1-4].
		for o.last++; o.find(identifier(o.last)) >= 0; {
			o.last++
		}
		d.number, d.id = o.last, identifier(o.last)
	}
	if d.kept = d.number > 0 && s.recorded(); d.kept && s.beyond(size) {
		s.leaveTo(&d)
		return d.number
	}
	o.take(&d)
	o.queue.push(d)
	if !d.kept {
		return 0
	}
	return d.number
}

// held reports whether a message must not be sent yet. A QoS 2 message goes to
// a durable session only after its record is safe: if the process ended in
// between, its Packet Identifier would be given to another message, which the
// client would take for this one and throw away.
func (s *Session) held(d *delivery) bool {
	return d.qos == mqtt.ExactlyOnce && d.number > s.out.cleared && s.Durable() && !s.params.Local
}

// Held returns the last place in line if Next waits for Clear; 0 if not.
func (s *Session) Held() uint64 {
	o := &s.out
	if o.queue.len() == 0 || !s.held(o.queue.at(0)) || o.onWire >= o.quota {
		return 0
	}
	return o.last
}

// Clear says that the records of messages up to this place in line are safe.
func (s *Session) Clear(number uint64) { s.out.cleared = max(s.out.cleared, number) }

// Gone returns the places in line of durable messages that were given up since
// it was last called.
func (s *Session) Gone() []uint64 {
	gone := s.out.gone
	s.out.gone = nil
	if gone == nil || !s.recorded() {
		return nil
	}
	return *gone
}

// giveUp notes that a message will not be sent.
func (o *outbox) giveUp(d *delivery) {
	if d.number == 0 {
		return
	}
	if o.gone == nil {
		o.gone = new([]uint64)
	}
	*o.gone = append(*o.gone, d.number)
}

// MayPass reports whether a QoS 0 message may go straight to the connection:
// somebody is there, and nothing older waits that it would overtake
// [MQTT-4.6.0-6].
func (s *Session) MayPass() bool { return s.online && s.Idle() }

// Idle reports whether Next has nothing, whatever the client has room for.
func (s *Session) Idle() bool {
	o := &s.out
	return o.queue.len() == 0 && int(o.resend) == o.inflight.len() && o.rest == nil
}

// Drained reports whether no message waits to be sent for the first time.
func (s *Session) Drained() bool { return s.out.queue.len() == 0 && s.out.rest == nil }

// Passed counts a message that went straight; sent is false if it was given up
// as larger than the client takes.
func (s *Session) Passed(sent bool) {
	s.out.counts.Accepted++
	if sent {
		s.out.counts.Done++
	} else {
		s.out.counts.Dropped.TooLarge++
	}
}

// Next returns the next packet that Receive Maximum lets out [MQTT-3.3.4-9].
// Messages whose expiry interval has passed are given up [MQTT-3.3.2-5].
func (s *Session) Next(now time.Time) (Send, bool) {
	o := &s.out
	if int(o.resend) < o.inflight.len() {
		d := o.inflight.at(int(o.resend))
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
	for o.queue.len() > 0 {
		d := o.queue.at(0)
		if d.message.Expired(now) && (!d.sent || s.unsure) {
			o.drop(&o.counts.Dropped.Expired)
			continue
		}
		if d.qos == mqtt.AtMostOnce {
			m := o.send(d)
			o.leave(d)
			o.counts.Done++
			o.queue.cut(0)
			return m, true
		}
		if s.held(d) {
			return Send{}, false
		}
		// The queue may be so long that its identifiers have come round.
		if o.onWire >= o.quota || o.find(d.id) >= 0 {
			return Send{}, false
		}
		d = o.inflight.push(*d)
		o.queue.cut(0)
		o.resend = int32(o.inflight.len())
		return o.send(d), true
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
		o.counts.Dropped.TooLarge++
		return
	}
	if i := o.find(SentID(m.ID)); i >= 0 {
		o.giveUp(o.inflight.at(i))
		o.remove(i)
		o.counts.Dropped.TooLarge++
	}
}

func (o *outbox) send(d *delivery) Send {
	m := Send{
		Type: packet.PUBLISH, ID: uint16(d.id), Message: d.message, Identifiers: d.via.IDs(),
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
	o.resend, o.onWire, o.quota = 0, 0, int32(quota)
	for i := range o.inflight.len() {
		o.inflight.at(i).onWire = false
	}
}

// acknowledge ends a delivery of that QoS; it returns its place in line, 0 if
// there is none.
func (o *outbox) acknowledge(id SentID, qos mqtt.QoS) uint64 {
	i := o.find(id)
	if i < 0 || o.inflight.at(i).qos != qos || o.inflight.at(i).released {
		return 0
	}
	return o.done(i)
}

// received records a PUBREC; a second one for the same identifier is answered
// again, as is one for a message that was never seen received.
func (o *outbox) received(id SentID) uint64 {
	i := o.find(id)
	if i < 0 || o.inflight.at(i).qos != mqtt.ExactlyOnce {
		return 0
	}
	o.inflight.at(i).released = true
	return o.inflight.at(i).number
}

func (o *outbox) complete(id SentID) uint64 {
	i := o.find(id)
	if i < 0 || !o.inflight.at(i).released {
		return 0
	}
	return o.done(i)
}

func (o *outbox) done(i int) uint64 {
	number := o.inflight.at(i).number
	o.remove(i)
	o.counts.Done++
	return number
}

// find is linear in what is in flight: Receive Maximum is small, and clients
// acknowledge in order, so that the first is nearly always the one.
func (o *outbox) find(id SentID) int {
	for i := range o.inflight.len() {
		if o.inflight.at(i).id == id {
			return i
		}
	}
	return -1
}

func (o *outbox) remove(i int) {
	d := o.inflight.at(i)
	o.leave(d)
	if d.onWire {
		o.onWire--
	}
	if i < int(o.resend) {
		o.resend--
	}
	o.inflight.cut(i)
}

// drop gives up the oldest delivery that waits and counts it.
func (o *outbox) drop(counter *uint64) {
	o.giveUp(o.queue.at(0))
	o.leave(o.queue.at(0))
	*counter++
	o.queue.cut(0)
}

// dropQoS0 gives up the oldest messages of QoS 0 that wait, at most so many.
func (o *outbox) dropQoS0(counter *uint64, most int) {
	for range o.queue.len() {
		d := *o.queue.at(0)
		if d.qos == mqtt.AtMostOnce && most > 0 {
			o.drop(counter)
			most--
			continue
		}
		o.queue.cut(0)
		o.queue.push(d)
	}
}

// waiting is how many messages wait or are in flight.
func (o *outbox) waiting() int {
	n := o.inflight.len() + o.queue.len()
	if o.rest != nil {
		n += o.rest.messages
	}
	return n
}
