package packet

import (
	"bytes"
	"encoding/binary"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// The Subscription Options, section 3.8.3.1.
const (
	optionQoS               = 0x03
	optionNoLocal           = 0x04
	optionRetainAsPublished = 0x08
	optionRetainHandling    = 0x30
	optionReserved          = 0xC0
)

func (p *View) decodeSubscribe(d *decoder, v mqtt.Version) {
	p.ID = d.identifier("MQTT-2.2.1-3")
	if v == mqtt.V5 {
		d.properties(&p.Properties, subscribeProperties, false)
	}
	if !d.more() {
		d.protocol("MQTT-3.8.3-2", "SUBSCRIBE without a Topic Filter")
	}
	for d.more() {
		f := Filter{Filter: d.text("Topic Filter")}
		f.decodeOptions(d, v, d.byte("Subscription Options"))
		p.Filters = append(p.Filters, f)
	}
}

func (f *Filter) decodeOptions(d *decoder, v mqtt.Version, options byte) {
	f.QoS = mqtt.QoS(options & optionQoS)
	if !f.QoS.Valid() {
		d.protocol("MQTT-3.8.3.1", "Maximum QoS 3")
	}
	if v != mqtt.V5 {
		if v == mqtt.V311 && options&^optionQoS != 0 { // unused in 3.1
			d.malformed("MQTT311-3.8.3-4", "reserved bits of the requested QoS are set")
		}
		return
	}
	f.NoLocal = options&optionNoLocal != 0
	f.RetainAsPublished = options&optionRetainAsPublished != 0
	f.RetainHandling = mqtt.RetainHandling(options & optionRetainHandling >> 4)
	switch {
	case options&optionReserved != 0:
		d.malformed("MQTT-3.8.3-5", "reserved bits of the Subscription Options are set")
	case f.RetainHandling > mqtt.DoNotSendRetained:
		d.protocol("MQTT-3.8.3.1", "Retain Handling 3")
	case f.NoLocal && isShared(f.Filter):
		d.protocol("MQTT-3.8.3-4", "No Local on a Shared Subscription")
	}
}

func isShared(filter []byte) bool {
	return bytes.HasPrefix(filter, []byte("$share/")) || bytes.HasPrefix(filter, []byte("$queue/"))
}

func (p *View) decodeUnsubscribe(d *decoder, v mqtt.Version) {
	p.ID = d.identifier("MQTT-2.2.1-3")
	if v == mqtt.V5 {
		d.properties(&p.Properties, unsubscribeProperties, false)
	}
	if !d.more() {
		d.protocol("MQTT-3.10.3-2", "UNSUBSCRIBE without a Topic Filter")
	}
	for d.more() {
		p.Filters = append(p.Filters, Filter{Filter: d.text("Topic Filter")})
	}
}

func (p *View) decodeSuback(d *decoder, v mqtt.Version) {
	p.ID = d.identifier("MQTT-2.2.1-6")
	if v == mqtt.V5 {
		d.properties(&p.Properties, ackProperties, false)
	}
	if !d.more() {
		d.protocol("MQTT-3.9.3-1", "SUBACK without a Reason Code")
	}
	for d.more() {
		r := mqtt.ReasonCode(d.byte("Reason Code"))
		if v == mqtt.V5 {
			d.reason(SUBACK, r)
		} else if r > mqtt.GrantedQoS2 && r != mqtt.UnspecifiedError {
			d.protocol("MQTT311-3.9.3-2", "reserved SUBACK return code")
		}
		p.Reasons = append(p.Reasons, r)
	}
}

func (p *View) decodeUnsuback(d *decoder, v mqtt.Version) {
	p.ID = d.identifier("MQTT-2.2.1-6")
	if v != mqtt.V5 {
		return
	}
	d.properties(&p.Properties, ackProperties, false)
	if !d.more() {
		d.protocol("MQTT-3.11.3-1", "UNSUBACK without a Reason Code")
	}
	for d.more() {
		r := mqtt.ReasonCode(d.byte("Reason Code"))
		d.reason(UNSUBACK, r)
		p.Reasons = append(p.Reasons, r)
	}
}

func (p *View) filtersSize() (n int) {
	for _, f := range p.Filters {
		n += 2 + cut(len(f.Filter))
	}
	if p.Type == SUBSCRIBE {
		n += len(p.Filters)
	}
	return n
}

func (p *View) appendSubscribe(dst []byte, v mqtt.Version) []byte {
	dst = p.appendProperties(binary.BigEndian.AppendUint16(dst, p.ID), v)
	for i := range p.Filters {
		f := &p.Filters[i]
		dst = append(appendBytes(dst, f.Filter), f.options(v))
	}
	return dst
}

func (f *Filter) options(v mqtt.Version) byte {
	o := byte(f.QoS)
	if v != mqtt.V5 {
		return o
	}
	if f.NoLocal {
		o |= optionNoLocal
	}
	if f.RetainAsPublished {
		o |= optionRetainAsPublished
	}
	return o | byte(f.RetainHandling)<<4
}

func (p *View) appendUnsubscribe(dst []byte, v mqtt.Version) []byte {
	dst = p.appendProperties(binary.BigEndian.AppendUint16(dst, p.ID), v)
	for i := range p.Filters {
		dst = appendBytes(dst, p.Filters[i].Filter)
	}
	return dst
}

// appendReasons writes SUBACK or UNSUBACK.
func (p *View) appendReasons(dst []byte, v mqtt.Version) []byte {
	dst = p.appendProperties(binary.BigEndian.AppendUint16(dst, p.ID), v)
	if p.Type == UNSUBACK && v != mqtt.V5 {
		return dst
	}
	for _, r := range p.Reasons {
		if v != mqtt.V5 && r.Failed() {
			r = mqtt.UnspecifiedError // the only failure of 3.1.1; 3.1 has none
		}
		dst = append(dst, byte(r))
	}
	return dst
}
