package packet

import (
	"encoding/binary"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

func (p *View) decodePublish(d *decoder, v mqtt.Version, flags byte) {
	p.Publish.Retain = flags&0x01 != 0
	p.Publish.QoS = mqtt.QoS(flags >> 1 & 0x03)
	p.Publish.Dup = flags&0x08 != 0
	if !p.Publish.QoS.Valid() {
		d.malformed("MQTT-3.3.1-4", "QoS 3")
	}
	if p.Publish.Dup && p.Publish.QoS == mqtt.AtMostOnce {
		d.malformed("MQTT-3.3.1-2", "DUP is set with QoS 0")
	}
	if p.Publish.Topic = d.binary("Topic Name"); !plain(p.Publish.Topic) {
		p.Publish.Topic = d.legible(p.Publish.Topic, "Topic Name")
		if hasWildcard(p.Publish.Topic) {
			d.fail(mqtt.TopicNameInvalid, "MQTT-3.3.2-2", "wildcard in the Topic Name")
		}
	}
	if p.Publish.QoS > mqtt.AtMostOnce {
		p.ID = d.identifier("MQTT-2.2.1-3")
	}
	if v == mqtt.V5 {
		d.properties(&p.Properties, publishProperties, true)
	}
	if len(p.Publish.Topic) == 0 && d.err == nil && p.Properties.Has&HasTopicAlias == 0 {
		if v == mqtt.V5 {
			d.protocol("MQTT-3.3.2.1", "empty Topic Name without a Topic Alias")
		} else {
			d.malformed("MQTT-4.7.3-1", "empty Topic Name")
		}
	}
	p.Publish.Payload, d.body = d.body, nil
}

func (p *Publish) flags() byte { return publishFlags(p.QoS, p.Dup, p.Retain) }

func publishFlags(q mqtt.QoS, dup, retain bool) byte {
	f := byte(q) << 1
	if dup {
		f |= 0x08
	}
	if retain {
		f |= 0x01
	}
	return f
}

func (p *View) appendPublish(dst []byte, v mqtt.Version) []byte {
	dst = appendBytes(dst, p.Publish.Topic)
	if p.Publish.QoS > mqtt.AtMostOnce {
		dst = binary.BigEndian.AppendUint16(dst, p.ID)
	}
	dst = p.appendProperties(dst, v)
	return append(dst, p.Publish.Payload...)
}

// PublishHeader is what one delivery adds to a message. The fields below
// Retain are for MQTT 5.0 only.
type PublishHeader struct {
	ID          uint16 // Packet Identifier, only for QoS > 0
	QoS         mqtt.QoS
	Dup, Retain bool

	TopicAlias              uint16 // 0 means none
	OmitTopic               bool   // the Topic Alias alone names the topic
	Expiry                  uint32 // Message Expiry Interval left, s
	HasExpiry               bool
	SubscriptionIdentifiers []uint32
}

// AppendPublish encodes m as h says for a connection of version v behind dst.
// It is Append without a View: m's QoS, Retain and Expires are not looked at,
// h's are. It allocates only to grow dst.
func AppendPublish(dst []byte, v mqtt.Version, m *mqtt.Message, h *PublishHeader) []byte {
	name := h.topic(v, m)
	properties := h.propertiesSize(m.Properties)
	dst = appendHeader(dst, PUBLISH, publishFlags(h.QoS, h.Dup, h.Retain), h.remaining(v, m, properties))
	dst = appendBytes(dst, name)
	if h.QoS > mqtt.AtMostOnce {
		dst = binary.BigEndian.AppendUint16(dst, h.ID)
	}
	if v == mqtt.V5 {
		dst = appendVarint(dst, properties)
		dst = h.appendProperties(dst)
		if m.Properties != nil {
			dst = appendMessageProperties(dst, m.Properties)
		}
	}
	return append(dst, m.Payload...)
}

func (h *PublishHeader) topic(v mqtt.Version, m *mqtt.Message) string {
	if h.OmitTopic && v == mqtt.V5 {
		return ""
	}
	return m.Topic
}

func (h *PublishHeader) remaining(v mqtt.Version, m *mqtt.Message, properties int) int {
	n := 2 + cut(len(h.topic(v, m))) + len(m.Payload)
	if h.QoS > mqtt.AtMostOnce {
		n += 2
	}
	if v == mqtt.V5 {
		n += varintSize(properties) + properties
	}
	return n
}

func (h *PublishHeader) propertiesSize(p *mqtt.Properties) (n int) {
	if h.HasExpiry {
		n += 5
	}
	if h.TopicAlias != 0 {
		n += 3
	}
	for _, id := range h.SubscriptionIdentifiers {
		n += 1 + varintSize(int(id))
	}
	if p == nil {
		return n
	}
	if p.HasFormat {
		n += 2
	}
	if p.HasType || p.ContentType != "" {
		n += 3 + cut(len(p.ContentType))
	}
	if p.ResponseTopic != "" {
		n += 3 + cut(len(p.ResponseTopic))
	}
	if p.CorrelationData != nil {
		n += 3 + cut(len(p.CorrelationData))
	}
	for _, u := range p.User {
		n += 5 + cut(len(u.Name)) + cut(len(u.Value))
	}
	return n
}

func (h *PublishHeader) appendProperties(dst []byte) []byte {
	if h.HasExpiry {
		dst = binary.BigEndian.AppendUint32(append(dst, 2), h.Expiry)
	}
	for _, id := range h.SubscriptionIdentifiers {
		dst = appendVarint(append(dst, 11), int(id))
	}
	if h.TopicAlias != 0 {
		dst = binary.BigEndian.AppendUint16(append(dst, 35), h.TopicAlias)
	}
	return dst
}

func appendMessageProperties(dst []byte, p *mqtt.Properties) []byte {
	if p.HasFormat {
		dst = append(dst, 1, p.PayloadFormat)
	}
	if p.HasType || p.ContentType != "" {
		dst = appendBytes(append(dst, 3), p.ContentType)
	}
	if p.ResponseTopic != "" {
		dst = appendBytes(append(dst, 8), p.ResponseTopic)
	}
	if p.CorrelationData != nil {
		dst = appendBytes(append(dst, 9), p.CorrelationData)
	}
	for _, u := range p.User {
		dst = appendBytes(append(dst, 38), u.Name)
		dst = appendBytes(dst, u.Value)
	}
	return dst
}
