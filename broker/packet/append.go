package packet

import "github.com/dunlin-mqtt/dunlin/broker/mqtt"

// Append encodes p for a connection of version v behind dst and returns the
// longer slice. It writes what Properties.Has and the other fields say,
// properties that v or the packet type does not have are left out, and Reason
// Codes are translated for 3.1 and 3.1.1. The shortest form is chosen where
// there are several. A CONNECT is encoded for p.Connect.Version.
//
// Append does not check p: it is made by our own code. Strings longer than
// 65535 bytes are cut; a packet longer than the protocol allows must be
// refused before (Size).
func Append(dst []byte, v mqtt.Version, p *View) []byte {
	if p.Type == CONNECT {
		v = p.Connect.Version
	}
	flags := requiredFlags(p.Type)
	if p.Type == PUBLISH {
		flags = p.Publish.flags()
	}
	dst = appendHeader(dst, p.Type, flags, p.remaining(v))
	switch p.Type {
	case CONNECT:
		return p.Connect.append(dst, &p.Properties)
	case CONNACK:
		return p.appendConnack(dst, v)
	case PUBLISH:
		return p.appendPublish(dst, v)
	case PUBACK, PUBREC, PUBREL, PUBCOMP:
		return p.appendAck(dst, v)
	case SUBSCRIBE:
		return p.appendSubscribe(dst, v)
	case UNSUBSCRIBE:
		return p.appendUnsubscribe(dst, v)
	case SUBACK, UNSUBACK:
		return p.appendReasons(dst, v)
	case DISCONNECT, AUTH:
		return p.appendReason(dst, v)
	}
	return dst // PINGREQ, PINGRESP
}

// Size is the number of bytes Append writes for p, to hold against a peer's
// Maximum Packet Size [MQTT-3.1.2-24], [MQTT-3.2.2-15].
func Size(v mqtt.Version, p *View) int {
	if p.Type == CONNECT {
		v = p.Connect.Version
	}
	n := p.remaining(v)
	return 1 + varintSize(n) + n
}

// remaining is the Remaining Length.
func (p *View) remaining(v mqtt.Version) int {
	switch p.Type {
	case CONNECT:
		return p.Connect.size(&p.Properties)
	case CONNACK:
		return 2 + p.propertiesSize(v)
	case PUBLISH:
		n := 2 + cut(len(p.Publish.Topic)) + len(p.Publish.Payload) + p.propertiesSize(v)
		if p.Publish.QoS > 0 {
			n += 2
		}
		return n
	case PUBACK, PUBREC, PUBREL, PUBCOMP:
		return 2 + p.reasonSize(v)
	case SUBSCRIBE, UNSUBSCRIBE:
		return 2 + p.propertiesSize(v) + p.filtersSize()
	case SUBACK:
		return 2 + p.propertiesSize(v) + len(p.Reasons)
	case UNSUBACK:
		if v != mqtt.V5 {
			return 2
		}
		return 2 + p.propertiesSize(v) + len(p.Reasons)
	case DISCONNECT, AUTH:
		return p.reasonSize(v)
	}
	return 0
}

func (p *View) propertiesSize(v mqtt.Version) int {
	if v != mqtt.V5 {
		return 0
	}
	return p.Properties.prefixed(allowed(p.Type))
}

func (p *View) appendProperties(dst []byte, v mqtt.Version) []byte {
	if v != mqtt.V5 {
		return dst
	}
	return p.Properties.append(dst, allowed(p.Type))
}
