package bridge

import (
	"strconv"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// hopsProperty is a User Property that counts the bridges a message has
// crossed; with maxHops it ends a loop that No Local cannot see, such as one
// over three brokers.
const (
	hopsProperty = "dunlin-hops"
	maxHops      = 3
)

// fate says what to do with a queue entry.
type fate byte

const (
	fateSend     fate = iota
	fateUnrouted      // no route matches any more
	fateLooped        // came from this bridge, or crossed too many
	fateExpired       // its Message Expiry Interval has passed, or the route's
)

// prepare makes the PUBLISH for a queue entry under what the server allows.
func prepare(e *mqtt.Queued, self string, routes []route, lim limits, now time.Time) (outgoing, fate) {
	m := &e.Message
	to, r, ok := remap(routes, m.Topic)
	if !ok {
		return outgoing{}, fateUnrouted
	}
	n := hops(m.Properties)
	if m.Publisher == self || n >= maxHops {
		return outgoing{}, fateLooped
	}
	o := outgoing{
		topic: to, payload: m.Payload, props: m.Properties,
		qos:    min(m.QoS, r.qos, lim.maximumQoS),
		retain: m.Retain && !r.strip && lim.retain,
		hops:   strconv.Itoa(n + 1),
	}
	o.expiry, o.hasExp = m.ExpirySeconds(now)
	if o.qos > 0 {
		o.id = packetID(e.Seq)
		// [MQTT-3.3.1-1]; a session the server has lost knows no duplicate.
		o.dup = e.Sent > 0 && lim.sessionPresent
	}
	if m.Expired(now) || r.ttl > 0 && now.Sub(e.At) > r.ttl {
		if !o.dup || o.qos < 2 {
			return o, fateExpired
		}
		// The server may hold the identifier [MQTT-4.3.3-4]: the transfer
		// must be completed before another message can use it.
		o.expiry, o.hasExp = 1, true
	}
	return o, fateSend
}

// hops reads the hop count; what is not a number counts as none.
func hops(p *mqtt.Properties) int {
	v, _ := p.Get(hopsProperty)
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
