package packet

import (
	"bytes"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Publication is one PUBLISH on its way to many receivers. Its payload and
// properties are borrowed from the packet, so that a message nobody keeps
// costs no memory; who keeps it takes Message, which is made once and shared.
// What many receivers get alike is encoded once.
//
// A Publication is used by one goroutine, and again for the next PUBLISH; the
// zero value is ready for Borrow or Own.
type Publication struct {
	message    mqtt.Message // Payload and Properties are borrowed while owned is nil
	properties mqtt.Properties
	owned      *mqtt.Message

	// Memo is where the router remembers what matched the topic, for the next
	// message that brings the same Memo and the same topic; nil for nothing to
	// be remembered.
	Memo *any
	// Work is the router's own memory, for the next message in this Publication.
	Work any
	// User is whose share of the room a retained message takes; "" is the
	// gateway's own, which has no bounds of its own.
	User string

	origin uint16    // see Origin
	shared bool      // many receivers are expected
	images [4][]byte // encoded packets of QoS 0 by version and RETAIN; empty: not made yet

	inner  *Publication // see Behind
	prefix string       // of inner
}

// maxImage bounds the memory that a Publication keeps for the next PUBLISH, in
// bytes an image.
const maxImage = 64 << 10

// Borrow makes p the PUBLISH in v, received at now. topic and publisher are
// kept by those who take Message; the rest is valid as long as v's buffer.
func (p *Publication) Borrow(now time.Time, v *View, topic, publisher string) {
	p.reset()
	m := &p.message
	m.Topic, m.Publisher, m.Payload = topic, publisher, v.Publish.Payload
	m.QoS, m.Retain = v.Publish.QoS, v.Publish.Retain
	if m.QoS == mqtt.ExactlyOnce {
		p.origin = v.ID
	}
	m.Properties, m.Expires = nil, time.Time{}
	if v.Properties.Has == 0 {
		return
	}
	if v.Properties.Has&HasMessageExpiry != 0 {
		m.Expires = now.Add(time.Duration(v.Properties.MessageExpiry) * time.Second)
	}
	if v.Properties.Has&(messageProperties&^HasMessageExpiry) != 0 {
		v.Properties.lend(&p.properties)
		m.Properties = &p.properties
	}
}

// Own makes p the message m, which its sender gives away, and returns p.
func (p *Publication) Own(m *mqtt.Message) *Publication {
	p.reset()
	p.message, p.owned = *m, m
	return p
}

func (p *Publication) reset() {
	p.owned, p.Memo, p.origin, p.shared, p.inner, p.User = nil, nil, 0, false, nil, ""
	for i := range p.images {
		if cap(p.images[i]) > maxImage {
			p.images[i] = nil
		}
		p.images[i] = p.images[i][:0]
	}
}

// Origin is the Packet Identifier that the publisher gave to a QoS 2 message;
// 0 for all others.
func (p *Publication) Origin() uint16 { return p.origin }

// Peek is the message to look at: it may be borrowed and must not be kept.
func (p *Publication) Peek() *mqtt.Message { return &p.message }

// Message is the message to keep, made at the first call.
func (p *Publication) Message() *mqtt.Message {
	if p.owned == nil {
		p.owned = keep(&p.message)
	}
	return p.owned
}

// Share says that many receivers are expected, so that an encoded packet is
// worth being kept for the next one.
func (p *Publication) Share() { p.shared = true }

// Append encodes the PUBLISH that h describes for a connection of version v
// behind dst, as AppendPublish does.
func (p *Publication) Append(dst []byte, v mqtt.Version, h *PublishHeader) []byte {
	if !p.shared || h.QoS > mqtt.AtMostOnce || h.TopicAlias != 0 || len(h.SubscriptionIdentifiers) > 0 {
		return AppendPublish(dst, v, &p.message, h)
	}
	i := 0 // 3.1 and 3.1.1 look alike
	if v == mqtt.V5 {
		i = 2
	}
	if h.Retain {
		i++
	}
	if len(p.images[i]) == 0 {
		p.images[i] = AppendPublish(p.images[i], v, &p.message, h)
	}
	return append(dst, p.images[i]...)
}

// Behind is p for clients that see only the topics behind prefix, and without
// it: the Topic Name and the Response Topic. It is nil if p is not for them.
func (p *Publication) Behind(prefix string) *Publication {
	if p.inner != nil && p.prefix == prefix {
		return p.inner
	}
	if !strings.HasPrefix(p.message.Topic, prefix) || len(p.message.Topic) == len(prefix) {
		return nil
	}
	m := *p.Message()
	m.Shareable(new(atomic.Int32))
	m.Topic = m.Topic[len(prefix):]
	if m.Properties != nil && m.Properties.ResponseTopic != "" {
		inner := *m.Properties
		inner.ResponseTopic = strings.TrimPrefix(inner.ResponseTopic, prefix)
		m.Properties = &inner
	}
	p.inner, p.prefix = new(Publication).Own(&m), prefix
	return p.inner
}

// lend fills m with the properties that travel with a message; its strings
// borrow p's bytes.
func (p *Properties) lend(m *mqtt.Properties) {
	user := m.User[:0]
	for _, u := range p.User {
		user = append(user, mqtt.UserProperty{Name: borrow(u.Name), Value: borrow(u.Value)})
	}
	*m = mqtt.Properties{
		PayloadFormat: p.PayloadFormat, HasFormat: p.Has&HasPayloadFormat != 0, HasType: p.Has&HasContentType != 0,
		ContentType: borrow(p.ContentType), ResponseTopic: borrow(p.ResponseTopic),
		CorrelationData: p.CorrelationData, User: user,
	}
}

func borrow(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// keep copies a borrowed message. Small payloads, the usual ones, lie behind
// the message in the same piece of memory.
func keep(b *mqtt.Message) *mqtt.Message {
	m, room, holders := withRoom(len(b.Payload))
	*m = *b
	m.Shareable(holders)
	if b.Payload != nil {
		m.Payload = append(room, b.Payload...)
	}
	m.Properties = clone(b.Properties)
	return m
}

// withRoom allocates a message with a counter of who holds it, and n bytes.
func withRoom(n int) (m *mqtt.Message, room []byte, holders *atomic.Int32) {
	switch {
	case n <= 20:
		x := new(struct {
			mqtt.Message
			holders atomic.Int32
			room    [20]byte
		})
		return &x.Message, x.room[:0:n], &x.holders
	case n <= 68:
		x := new(struct {
			mqtt.Message
			holders atomic.Int32
			room    [68]byte
		})
		return &x.Message, x.room[:0:n], &x.holders
	case n <= 132:
		x := new(struct {
			mqtt.Message
			holders atomic.Int32
			room    [132]byte
		})
		return &x.Message, x.room[:0:n], &x.holders
	}
	x := new(struct {
		mqtt.Message
		holders atomic.Int32
	})
	return &x.Message, make([]byte, 0, n), &x.holders
}

// clone copies borrowed properties, nil if there are none.
func clone(b *mqtt.Properties) *mqtt.Properties {
	if b == nil {
		return nil
	}
	p := &mqtt.Properties{
		PayloadFormat: b.PayloadFormat, HasFormat: b.HasFormat, HasType: b.HasType,
		ContentType: strings.Clone(b.ContentType), ResponseTopic: strings.Clone(b.ResponseTopic),
		CorrelationData: bytes.Clone(b.CorrelationData),
	}
	if len(b.User) > 0 {
		p.User = make([]mqtt.UserProperty, len(b.User))
		for i, u := range b.User {
			p.User[i] = mqtt.UserProperty{Name: strings.Clone(u.Name), Value: strings.Clone(u.Value)}
		}
	}
	return p
}
