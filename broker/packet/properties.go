package packet

import (
	"encoding/binary"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// reset empties p and keeps the memory of its slices of structs.
func (p *Properties) reset() {
	if p.Has == 0 {
		return
	}
	*p = Properties{
		SubscriptionIdentifiers: p.SubscriptionIdentifiers[:0],
		User:                    p.User[:0],
	}
}

// properties reads the Property Length and the properties of a packet that may
// have those in may.
func (d *decoder) properties(p *Properties, may Has, many bool) {
	n := int(d.varint("Property Length"))
	if n == 0 || d.err != nil {
		return
	}
	if n > len(d.body) {
		d.short("the properties")
		return
	}
	rest := d.body[n:]
	d.body = d.body[:n]
	for d.more() {
		d.property(p, may, many)
	}
	if d.err == nil {
		d.body = rest
		d.authentication(p)
	}
}

// authentication checks that there is no data without its method.
func (d *decoder) authentication(p *Properties) {
	if p.Has&HasAuthData != 0 && p.Has&HasAuthMethod == 0 {
		d.protocol("MQTT-3.1.2.11.10", "Authentication Data without an Authentication Method")
	}
}

func (d *decoder) property(p *Properties, may Has, many bool) {
	h := identified(d.byte("a property"))
	// No identifier needs more than one byte; a longer Variable Byte Integer
	// is no known identifier either.
	if h == 0 || h&may == 0 {
		d.malformed("MQTT-2.2.2.2", "property is unknown or not allowed in this packet")
		return
	}
	row := describe(h)
	repeated := h == HasUser || h == HasSubscriptionIdentifier && many
	if p.Has&h != 0 && !repeated {
		d.protocol("MQTT-2.2.2.2", "more than one "+row.name)
		return
	}
	p.Has |= h
	switch row.kind {
	case oneByte:
		d.flag(p, h, row.name)
	case twoByte:
		p.setNumber(h, uint32(d.uint16(row.name)))
	case fourByte:
		p.setNumber(h, d.uint32(row.name))
	case varByte:
		d.subscriptionIdentifier(p)
	case binaryData:
		*p.octets(h) = d.binary(row.name)
	case text:
		*p.octets(h) = d.text(row.name)
	case pair:
		// Two statements, so that the name is read first.
		name := d.text(row.name)
		p.User = append(p.User, UserProperty{name, d.text(row.name)})
	}
	d.value(p, h)
}

func (d *decoder) flag(p *Properties, h Has, name string) {
	v := d.byte(name)
	if v > 1 {
		d.protocol("MQTT-2.2.2.2", name+" is neither 0 nor 1")
		return
	}
	p.setNumber(h, uint32(v))
}

func (d *decoder) subscriptionIdentifier(p *Properties) {
	v := d.varint("Subscription Identifier")
	if v == 0 {
		d.protocol("MQTT-3.8.2.1.2", "Subscription Identifier 0")
		return
	}
	p.SubscriptionIdentifiers = append(p.SubscriptionIdentifiers, v)
}

// value checks what a property's type alone does not say.
func (d *decoder) value(p *Properties, h Has) {
	if d.err != nil {
		return
	}
	switch {
	case h == HasReceiveMaximum && p.ReceiveMaximum == 0:
		d.protocol("MQTT-3.1.2.11.3", "Receive Maximum 0")
	case h == HasMaximumPacketSize && p.MaximumPacketSize == 0:
		d.protocol("MQTT-3.1.2.11.4", "Maximum Packet Size 0")
	case h == HasTopicAlias && p.TopicAlias == 0:
		d.fail(mqtt.TopicAliasInvalid, "MQTT-3.3.2-8", "Topic Alias 0")
	case h == HasAuthMethod && len(p.AuthMethod) == 0:
		d.fail(mqtt.BadAuthenticationMethod, "MQTT-4.12.0-1", "empty Authentication Method")
	case h == HasResponseTopic && hasWildcard(p.ResponseTopic):
		d.protocol("MQTT-3.3.2-14", "wildcard in the Response Topic")
	case h == HasResponseTopic && len(p.ResponseTopic) == 0:
		d.protocol("MQTT-4.7.3-1", "empty Response Topic")
	}
}

// size is the encoded size of the properties of p that are in may, without
// the Property Length.
func (p *Properties) size(may Has) (n int) {
	for set := p.Has & may; set != 0; set &= set - 1 {
		h := set & -set
		k := describe(h).kind
		switch k {
		case varByte:
			for _, v := range p.SubscriptionIdentifiers {
				n += 1 + varintSize(int(v))
			}
		case binaryData, text:
			n += 3 + cut(len(*p.octets(h)))
		case pair:
			for _, u := range p.User {
				n += 5 + cut(len(u.Name)) + cut(len(u.Value))
			}
		default:
			n += 1 + k.fixed()
		}
	}
	return n
}

// append encodes the properties of p that are in may with their length.
func (p *Properties) append(dst []byte, may Has) []byte {
	dst = appendVarint(dst, p.size(may))
	for set := p.Has & may; set != 0; set &= set - 1 {
		h := set & -set
		row := describe(h)
		switch row.kind {
		case oneByte:
			dst = append(dst, row.id, byte(p.number(h)))
		case twoByte:
			dst = binary.BigEndian.AppendUint16(append(dst, row.id), uint16(p.number(h)))
		case fourByte:
			dst = binary.BigEndian.AppendUint32(append(dst, row.id), p.number(h))
		case varByte:
			for _, v := range p.SubscriptionIdentifiers {
				dst = appendVarint(append(dst, row.id), int(v))
			}
		case binaryData, text:
			dst = appendBytes(append(dst, row.id), *p.octets(h))
		case pair:
			for _, u := range p.User {
				dst = appendBytes(append(dst, row.id), u.Name)
				dst = appendBytes(dst, u.Value)
			}
		}
	}
	return dst
}
