package bridge

import (
	"slices"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// viaProperty is a User Property that names the gateways a message has come
// through, each by its mark. One that finds its own has met a loop which No
// Local cannot see, such as one over three brokers; maxHops ends those that
// begin anew with every start of a process.
const (
	viaProperty = "dunlin-via"
	viaBetween  = ","
	maxHops     = 3
)

// fate says what to do with a queue entry.
type fate byte

const (
	fateSend     fate = iota
	fateUnrouted      // no route matches any more
	fateLooped        // came from this bridge, or through this gateway, or crossed too many
	fateTooLarge      // for its route
	fateExpired       // its Message Expiry Interval has passed, or the route's
)

// reason is why the queue gives the entry up.
func (f fate) reason() mqtt.DropReason {
	if f == fateExpired {
		return mqtt.DropExpired
	}
	return mqtt.DropUnwanted
}

// preparer makes the PUBLISH for a queue entry. It is a value.
type preparer struct {
	self, clientID string
	mark           string // of this gateway, in viaProperty
	routes         []route
	envelope       Envelope
	synced         func() bool // the clock can be believed
	clock          *Clock
	sentBatch      func(seq uint64) bool // the entry belongs to a batch that was sent and must come again as it was
}

// prepare makes the PUBLISH for an entry under what the server allows. plain
// says that the version of the protocol has no properties.
func (p *preparer) prepare(e *mqtt.Queued, lim limits, plain bool, now time.Time) (outgoing, fate) {
	m := &e.Message
	to, r, ok := remap(p.routes, m.Topic)
	if !ok {
		return outgoing{}, fateUnrouted
	}
	if p.envelope == ThingsBoard && len(m.Payload) == 0 { // what deletes a retained message is no telemetry
		return outgoing{}, fateUnrouted
	}
	if m.Publisher == p.self || p.looped(m.Properties, maxHops) {
		return outgoing{}, fateLooped
	}
	o := outgoing{
		topic: to, payload: m.Payload, props: m.Properties,
		qos:    min(m.QoS, r.qos, lim.maximumQoS),
		retain: m.Retain && !r.strip && lim.retain,
	}
	at, corrected := p.captured(e, e.At, now)
	if corrected && !m.Expires.IsZero() {
		copied := *m
		copied.Expires = m.Expires.Round(0).Add(at.Sub(e.At.Round(0)))
		m, now = &copied, now.Round(0)
	}
	o.expiry, o.hasExp = m.ExpirySeconds(now)
	if o.qos > 0 {
		o.id = packetID(e.Seq)
		// [MQTT-3.3.1-1]; a session the server has lost knows no duplicate.
		o.dup = e.Sent > 0 && lim.sessionPresent
	}
	joins := r.batch.Form != BatchNone
	if (m.Expired(now) || r.ttl > 0 && p.age(at, now) > r.ttl) && !(joins && p.sentBatch(e.Seq)) {
		if !o.dup || o.qos < 2 {
			return o, fateExpired
		}
		// The server may hold the identifier [MQTT-4.3.3-4]: the transfer
		// must be completed before another message can use it.
		o.expiry, o.hasExp = 1, true
	}
	switch {
	case r.size > 0 && len(m.Payload) > r.size:
		return o, fateTooLarge
	case joins:
		s := p.stampOf(e, at, corrected)
		o.batch, o.qos = r, min(o.qos, mqtt.AtLeastOnce)
		o.payload = r.batch.Form.part(m.Topic, m.Payload, &s)
	default:
		if !plain || p.envelope != Raw {
			s := p.stampOf(e, at, corrected)
			p.stamp(&o, e, plain, &s)
		}
	}
	return o, fateSend
}

// captured corrects a time that was noted for an entry, if the clock was set
// since. now is of time.Now.
func (p *preparer) captured(e *mqtt.Queued, at, now time.Time) (time.Time, bool) {
	if e.Before || p.clock == nil {
		return at, false // by another clock
	}
	return p.clock.correct(at, now)
}

// age is how long ago at was; 0 if nobody knows.
func (p *preparer) age(at, now time.Time) time.Duration {
	if mqtt.ClockSet(now) && !mqtt.ClockSet(at) && at == at.Round(0) {
		return 0
	}
	return now.Sub(at)
}

// stamp adds what the bridge tells about the message.
func (p *preparer) stamp(o *outgoing, e *mqtt.Queued, plain bool, s *stamp) {
	o.payload = p.envelope.wrap(e.Message.Topic, o.payload, s)
	if p.envelope == ThingsBoard {
		o.topic, o.retain = thingsBoardTopic, false
	}
	if plain {
		return
	}
	if p.envelope == Raw {
		o.add = s.missing(o.props, o.qos)
		o.told = len(o.add)
	}
	via, _ := o.props.Get(viaProperty)
	if via != "" {
		via += viaBetween
	}
	o.add = append(o.add, mqtt.UserProperty{Name: viaProperty, Value: via + p.mark})
}

// looped reports whether a message has come through this gateway already, or
// through as many as most.
func (p *preparer) looped(props *mqtt.Properties, most int) bool {
	via, ok := props.Get(viaProperty)
	if !ok {
		return false
	}
	marks := strings.Split(via, viaBetween)
	return len(marks) >= most || slices.Contains(marks, p.mark)
}
