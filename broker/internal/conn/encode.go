package conn

import (
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/session"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// pass takes a QoS 0 message that has nothing to overtake, unless CONNACK has
// not left yet or the socket is behind. sent is false for a message larger
// than the client takes. The caller holds the state lock of c.peer.
func (c *Conn) pass(now time.Time, p *packet.Publication, retain bool, identifiers []uint32) (sent, taken bool) {
	if !c.flowing || c.passed != nil && len(*c.passed) >= passMax || p.Peek().Expired(now) {
		return false, false
	}
	if c.passed == nil {
		c.passed = takeBuffer()
	}
	h := packet.PublishHeader{Retain: retain, SubscriptionIdentifiers: identifiers}
	if *c.passed, sent = c.appendPublish(*c.passed, now, p.Peek(), p, &h); sent {
		c.passing++
		c.payload += uint32(len(p.Peek().Payload))
	}
	if n := int32(beyond(cap(*c.passed))); n != c.passedHeld {
		c.holdOutput(int(n - c.passedHeld))
		c.passedHeld = n
	}
	return sent, true
}

// dropPassed forgets what went past the session. The caller holds the state
// lock of c.peer.
func (c *Conn) dropPassed() {
	c.holdOutput(-int(c.passedHeld))
	c.passed, c.passedHeld = nil, 0
}

// encode appends one packet of the session. A PUBLISH larger than the client
// takes is given up [MQTT-3.1.2-24], [MQTT-3.1.2-25].
func (c *Conn) encode(dst []byte, now time.Time, m *session.Send, s *session.Session) []byte {
	if m.Type == packet.PUBREL {
		c.out.Packets++
		return packet.Append(dst, c.request.Version, &packet.View{Type: packet.PUBREL, ID: m.ID})
	}
	h := packet.PublishHeader{ID: m.ID, QoS: m.QoS, Dup: m.Dup, Retain: m.Retain, SubscriptionIdentifiers: m.Identifiers}
	dst, sent := c.appendPublish(dst, now, m.Message, nil, &h)
	if !sent {
		s.Discard(*m)
		return dst
	}
	c.out.Add(Traffic{Packets: 1, Publishes: 1, Payload: uint64(len(m.Message.Payload))})
	return dst
}

// appendPublish appends the PUBLISH that h describes, of p if there is one;
// sent is false if the client does not take as large a packet.
func (c *Conn) appendPublish(dst []byte, now time.Time, m *mqtt.Message, p *packet.Publication, h *packet.PublishHeader) (_ []byte, sent bool) {
	h.Expiry, h.HasExpiry = m.ExpirySeconds(now)
	added := c.alias(m.Topic, h)
	limit := int(c.request.MaximumPacketSize)
	for n := len(dst); ; dst = dst[:n] {
		if p != nil {
			dst = p.Append(dst, c.request.Version, h)
		} else {
			dst = packet.AppendPublish(dst, c.request.Version, m, h)
		}
		switch {
		case limit == 0 || len(dst)-n <= limit:
			return dst, true
		case h.TopicAlias == 0:
			c.cfg.Counters.TooLarge.Add(1)
			return dst[:n], false
		case added:
			delete(c.sentAliases, m.Topic)
			c.holdNames(-aliasSize - len(m.Topic))
		}
		h.TopicAlias, h.OmitTopic = 0, false // which may be all that is too much
	}
}

// takesPacket reports whether a message of so many bytes surely is a packet that the
// client takes; identifiers and lengths are estimated.
func (c *Conn) takesPacket(size int) bool {
	const around = 32
	limit := c.request.MaximumPacketSize
	return limit == 0 || size+around <= int(limit)
}

// alias uses a Topic Alias for the first topics of the connection, as many as
// the client takes. It reports whether the topic is new.
func (c *Conn) alias(topic string, h *packet.PublishHeader) (added bool) {
	if c.sentAliases == nil {
		return false
	}
	if a, ok := c.sentAliases[topic]; ok {
		h.TopicAlias, h.OmitTopic = a, true
		return false
	}
	if n := len(c.sentAliases); n < int(min(c.request.TopicAliasMaximum, c.cfg.Limits.TopicAliasMaximum)) {
		h.TopicAlias = uint16(n + 1)
		c.sentAliases[topic] = h.TopicAlias
		c.holdNames(aliasSize + len(topic))
		return true
	}
	return false
}
