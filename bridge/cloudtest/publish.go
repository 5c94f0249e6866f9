package cloudtest

import (
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// publish takes one PUBLISH.
func (n *conn) publish(v *packet.View, size int, f Faults) bool {
	m := Message{Message: v.Message(time.Now()), Client: n.session.id, ID: v.ID, Dup: v.Publish.Dup, At: time.Now(), Conn: n.number}
	if !n.note(m, size, f) {
		return false
	}
	d := Verdict{}
	if reason := n.c.limits.judgePublish(&m, size); reason != "" {
		n.c.violate("PUBLISH to %q: %s", m.Topic, reason)
		return n.goodbye(n.c.limits.oversize(&m, size))
	}
	if !n.rate.allow(time.Now(), size) {
		n.c.mu.Lock()
		n.c.mu.throttled++
		n.c.mu.Unlock()
		if !n.c.limits.ThrottleAcks {
			return n.goodbye(mqtt.MessageRateTooHigh)
		}
		d.Code = mqtt.QuotaExceeded
	}
	if f.Publish != nil && d.Code == 0 {
		d = f.Publish(m)
	}
	switch {
	case d.Goodbye != 0:
		return n.goodbye(d.Goodbye)
	case d.Cut:
		return false
	case d.Ignore:
		return true
	}
	if !d.Code.Failed() {
		n.take(m)
	}
	if d.CutLate {
		return false
	}
	a := &packet.View{Type: packet.PUBACK, ID: v.ID, Reason: d.Code}
	switch m.QoS {
	case mqtt.AtMostOnce:
		return true
	case mqtt.ExactlyOnce:
		a.Type = packet.PUBREC
	}
	n.acknowledge(a, f)
	return true
}

// note counts a PUBLISH against the send quota before anything else.
func (n *conn) note(m Message, size int, f Faults) bool {
	c := n.c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.seen = append(c.mu.seen, m)
	if m.QoS == mqtt.AtMostOnce {
		return true
	}
	n.flight[m.ID] = size
	c.mu.maxFlight = max(c.mu.maxFlight, len(n.flight))
	limit := int(f.ReceiveMaximum)
	if limit == 0 {
		limit = int(c.limits.ReceiveMaximum)
	}
	if n.version == mqtt.V5 && limit > 0 && len(n.flight) > limit {
		c.mu.violations = append(c.mu.violations, "more messages in flight than the Receive Maximum [MQTT-3.3.4-9]")
		n.send(&packet.View{Type: packet.DISCONNECT, Reason: mqtt.ReceiveMaximumExceeded})
		return false
	}
	bytes := 0
	for _, b := range n.flight {
		bytes += b
	}
	if l := c.limits.InflightBytes; l > 0 && bytes > l && len(n.flight) > 1 {
		c.mu.violations = append(c.mu.violations, "more bytes in flight than allowed")
		return false
	}
	return true
}

// take keeps a message, a QoS 2 message once for its identifier, and writes it
// into the journal before anybody can acknowledge it.
func (n *conn) take(m Message) {
	c := n.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.QoS == mqtt.ExactlyOnce {
		if n.session.received[m.ID] {
			return
		}
		n.session.received[m.ID] = true
	}
	c.journal.message(&m)
	c.mu.got = append(c.mu.got, m)
	if n.c.limits.Retain != RetainIgnored || !m.Retain {
		c.route(m.Message, m.Client)
	}
}

// release takes a PUBREL.
func (n *conn) release(id uint16, f Faults) bool {
	d := Verdict{}
	if f.Release != nil {
		d = f.Release(id)
	}
	if d.Cut {
		return false
	}
	n.c.mu.Lock()
	code := mqtt.Success
	if !n.session.received[id] {
		code = mqtt.PacketIdentifierNotFound
	}
	delete(n.session.received, id)
	n.c.journal.released(n.session.id, id)
	n.c.mu.Unlock()
	if d.CutLate {
		return false
	}
	n.acknowledge(&packet.View{Type: packet.PUBCOMP, ID: id, Reason: code}, f)
	return true
}
