package packet

import (
	"encoding/binary"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// decodeAck reads PUBACK, PUBREC, PUBREL or PUBCOMP. In 5.0 the Reason Code
// and the Property Length may be left out, in this order from the end.
func (p *View) decodeAck(d *decoder, v mqtt.Version) {
	p.ID = d.identifier("MQTT-2.2.1-5")
	if v == mqtt.V5 && d.more() {
		p.decodeReason(d)
	}
}

// decodeReason reads a Reason Code and, if there are bytes left, properties.
func (p *View) decodeReason(d *decoder) {
	p.Reason = mqtt.ReasonCode(d.byte("Reason Code"))
	d.reason(p.Type, p.Reason)
	if d.more() {
		d.properties(&p.Properties, allowed(p.Type), false)
	}
}

// decodeDisconnect reads DISCONNECT, which 3.x has without a body.
func (p *View) decodeDisconnect(d *decoder, v mqtt.Version) {
	if v == mqtt.V5 && d.more() {
		p.decodeReason(d)
	}
}

func (p *View) decodeAuth(d *decoder, v mqtt.Version) {
	if v != mqtt.V5 {
		d.malformed("MQTT311-2.2.1", "packet type 15 is reserved before 5.0")
		return
	}
	if !d.more() {
		return
	}
	p.decodeReason(d)
	if p.Properties.Has&HasAuthMethod == 0 && d.err == nil {
		d.protocol("MQTT-3.15.2.2.2", "AUTH without an Authentication Method")
	}
}

// reasonSize is the size of Reason Code and properties in their shortest form.
func (p *View) reasonSize(v mqtt.Version) int {
	if v != mqtt.V5 {
		return 0
	}
	switch n := p.Properties.size(allowed(p.Type)); {
	case n > 0 || p.Type == AUTH && p.Reason != mqtt.Success:
		// AUTH has no form without the Property Length.
		return 1 + varintSize(n) + n
	case p.Reason != mqtt.Success:
		return 1
	}
	return 0
}

func (p *View) appendAck(dst []byte, v mqtt.Version) []byte {
	return p.appendReason(binary.BigEndian.AppendUint16(dst, p.ID), v)
}

func (p *View) appendReason(dst []byte, v mqtt.Version) []byte {
	switch p.reasonSize(v) {
	case 0:
		return dst
	case 1:
		return append(dst, byte(p.Reason))
	}
	return p.appendProperties(append(dst, byte(p.Reason)), v)
}
