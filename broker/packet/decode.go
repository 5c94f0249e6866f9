package packet

import "github.com/dunlin-mqtt/dunlin/broker/mqtt"

// Decode reads one whole control packet, as Frame delimits it, into out, whose
// former content is lost. v is the version of the connection; for CONNECT it
// is ignored and found in the packet.
//
// The error is an *mqtt.Error with the Reason Code to close the connection
// with. After an error out holds what was read so far: out.Type is valid, and
// so is out.Connect.Version of a CONNECT if it is not 0, which it is when the
// peer does not speak MQTT at all [MQTT-3.1.2-1].
func Decode(buf []byte, v mqtt.Version, out *View) error {
	out.reset()
	remaining, size := uint32(0), 0
	if len(buf) > 0 {
		out.Type = Type(buf[0] >> 4)
		remaining, size = varint(buf[1:])
	}
	if size <= 0 || 1+size+int(remaining) != len(buf) {
		return mqtt.Errorf(mqtt.MalformedPacket, "MQTT-2.1.4", "Remaining Length is not that of the packet")
	}
	d := decoder{body: buf[1+size:]}
	out.decode(&d, v, buf[0]&0x0F)
	if out.Type == CONNECT {
		v = out.Connect.Version
	}
	if v == mqtt.V5 && size != varintSize(int(remaining)) {
		d.malformed("MQTT-1.5.5-1", "Remaining Length is not of minimum length")
	}
	if d.more() {
		d.malformed("MQTT-2.1.4", "bytes behind the end of the packet")
	}
	if d.err != nil {
		return d.err
	}
	return nil
}

func (p *View) reset() {
	if p.Type == CONNECT {
		p.Connect.Will.reset()
		p.Connect = Connect{Will: p.Connect.Will}
	}
	p.Properties.reset()
	p.Type, p.ID, p.Reason, p.SessionPresent = 0, 0, 0, false
	p.Publish = Publish{}
	p.Filters, p.Reasons = p.Filters[:0], p.Reasons[:0]
}

func (p *View) decode(d *decoder, v mqtt.Version, flags byte) {
	if p.Type != PUBLISH && p.Type != CONNECT {
		d.flags(p.Type, v, flags)
	}
	switch p.Type {
	case CONNECT:
		p.Connect.decode(d, &p.Properties)
		d.flags(CONNECT, p.Connect.Version, flags) // the version is known now
	case CONNACK:
		p.decodeConnack(d, v)
	case PUBLISH:
		p.decodePublish(d, v, flags)
	case PUBACK, PUBREC, PUBREL, PUBCOMP:
		p.decodeAck(d, v)
	case SUBSCRIBE:
		p.decodeSubscribe(d, v)
	case SUBACK:
		p.decodeSuback(d, v)
	case UNSUBSCRIBE:
		p.decodeUnsubscribe(d, v)
	case UNSUBACK:
		p.decodeUnsuback(d, v)
	case PINGREQ, PINGRESP:
	case DISCONNECT:
		p.decodeDisconnect(d, v)
	case AUTH:
		p.decodeAuth(d, v)
	default:
		d.malformed("MQTT-2.1.2", "reserved packet type 0")
	}
}

// flags checks the fixed header's flags of every packet but PUBLISH.
func (d *decoder) flags(t Type, v mqtt.Version, flags byte) {
	if v == mqtt.V31 {
		// 3.1 has DUP on what QoS 1 carries and calls the rest unused.
		if requiredFlags(t) == 0 {
			return
		}
		flags &= 0x06
	}
	if flags == requiredFlags(t) {
		return
	}
	spec := "MQTT-2.1.3-1"
	switch t {
	case PUBREL:
		spec = "MQTT-3.6.1-1"
	case SUBSCRIBE:
		spec = "MQTT-3.8.1-1"
	case UNSUBSCRIBE:
		spec = "MQTT-3.10.1-1"
	case DISCONNECT:
		spec = "MQTT-3.14.1-1"
	case AUTH:
		spec = "MQTT-3.15.1-1"
	}
	d.malformed(spec, "reserved flags of the fixed header are set wrong")
}

func requiredFlags(t Type) byte {
	if t == PUBREL || t == SUBSCRIBE || t == UNSUBSCRIBE {
		return 0x02
	}
	return 0
}
