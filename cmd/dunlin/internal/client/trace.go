package client

import (
	"fmt"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// tracef words packets as mosquitto's clients do with -d, so that scripts
// that read them go on working.
func (c *Conn) tracef(format string, args ...any) {
	if c.opts.Trace == nil {
		return
	}
	id := c.id
	if id == "" {
		id = "(null)"
	}
	c.opts.Trace("Client " + id + " " + fmt.Sprintf(format, args...))
}

func (c *Conn) traceSent(v *packet.View) {
	if c.opts.Trace == nil {
		return
	}
	switch v.Type {
	case packet.PUBLISH:
		p := &v.Publish
		c.tracef("sending PUBLISH (d%d, q%d, r%d, m%d, '%s', ... (%d bytes))",
			bit(p.Dup), p.QoS, bit(p.Retain), v.ID, p.Topic, len(p.Payload))
	case packet.PUBACK, packet.PUBREC:
		c.tracef("sending %s (m%d, rc%d)", typeName(v.Type), v.ID, v.Reason)
	case packet.PUBREL, packet.PUBCOMP:
		c.tracef("sending %s (m%d)", typeName(v.Type), v.ID)
	case packet.SUBSCRIBE:
		for _, f := range v.Filters {
			c.tracef("sending SUBSCRIBE (Mid: %d, Topic: %s, QoS: %d, Options: 0x%02x)",
				v.ID, f.Filter, f.QoS, optionBits(f))
		}
	case packet.UNSUBSCRIBE:
		for _, f := range v.Filters {
			c.tracef("sending UNSUBSCRIBE (Mid: %d, Topic: %s)", v.ID, f.Filter)
		}
	default:
		c.tracef("sending %s", typeName(v.Type))
	}
}

func (c *Conn) traceReceived(v *packet.View) {
	if c.opts.Trace == nil {
		return
	}
	switch v.Type {
	case packet.CONNACK:
		c.tracef("received CONNACK (%d)", returnCode(c.opts.Version, v.Reason))
	case packet.PUBLISH:
		p := &v.Publish
		c.tracef("received PUBLISH (d%d, q%d, r%d, m%d, '%s', ... (%d bytes))",
			bit(p.Dup), p.QoS, bit(p.Retain), v.ID, p.Topic, len(p.Payload))
	case packet.PUBACK, packet.PUBCOMP:
		c.tracef("received %s (Mid: %d, RC:%d)", typeName(v.Type), v.ID, v.Reason)
	case packet.PUBREC, packet.PUBREL:
		c.tracef("received %s (Mid: %d)", typeName(v.Type), v.ID)
	case packet.DISCONNECT:
		c.tracef("received DISCONNECT (%d)", v.Reason)
	default:
		c.tracef("received %s", typeName(v.Type))
	}
}

func typeName(t packet.Type) string {
	names := [...]string{
		packet.CONNECT: "CONNECT", packet.CONNACK: "CONNACK", packet.PUBLISH: "PUBLISH",
		packet.PUBACK: "PUBACK", packet.PUBREC: "PUBREC", packet.PUBREL: "PUBREL",
		packet.PUBCOMP: "PUBCOMP", packet.SUBSCRIBE: "SUBSCRIBE", packet.SUBACK: "SUBACK",
		packet.UNSUBSCRIBE: "UNSUBSCRIBE", packet.UNSUBACK: "UNSUBACK", packet.PINGREQ: "PINGREQ",
		packet.PINGRESP: "PINGRESP", packet.DISCONNECT: "DISCONNECT", packet.AUTH: "AUTH",
	}
	if int(t) < len(names) && names[t] != "" {
		return names[t]
	}
	return "packet"
}

// optionBits are the Subscription Options without the QoS [MQTT-3.8.3.1].
func optionBits(f packet.Filter) int {
	return bit(f.NoLocal)<<2 | bit(f.RetainAsPublished)<<3 | int(f.RetainHandling)<<4
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// returnCode is what stood in the CONNACK on the wire: the Connect Return
// Code of 3.1 and 3.1.1 [MQTT311-3.2.2.3], or the Reason Code of 5.0.
func returnCode(v mqtt.Version, code mqtt.ReasonCode) int {
	if v == mqtt.V5 {
		return int(code)
	}
	switch code {
	case mqtt.Success:
		return 0
	case mqtt.UnsupportedProtocolVersion:
		return 1
	case mqtt.ClientIdentifierNotValid:
		return 2
	case mqtt.ServerUnavailable:
		return 3
	case mqtt.BadUserNameOrPassword:
		return 4
	case mqtt.NotAuthorized:
		return 5
	}
	return int(code)
}
