package packet

import (
	"bytes"
	"encoding/binary"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// The Connect Flags, section 3.1.2.3.
const (
	flagReserved   = 0x01
	flagClean      = 0x02
	flagWill       = 0x04
	flagWillQoS    = 0x18
	flagWillRetain = 0x20
	flagPassword   = 0x40
	flagUsername   = 0x80

	bridgeBit = 0x80 // of the protocol level
)

func (c *Connect) decode(d *decoder, p *Properties) {
	c.decodeVersion(d)
	flags := d.byte("Connect Flags")
	c.decodeFlags(d, flags)
	c.KeepAlive = d.uint16("Keep Alive")
	if c.Version == mqtt.V5 {
		d.properties(p, connectProperties, false)
	}
	c.ClientID = d.text("Client Identifier")
	if c.HasWill {
		c.decodeWill(d)
	}
	if c.Version == mqtt.V31 {
		// In 3.1 the Remaining Length outranks the flags: user name and
		// password may be missing though announced.
		c.HasUsername = c.HasUsername && d.more()
	}
	if c.HasUsername {
		c.Username = d.text("User Name")
	}
	if c.Version == mqtt.V31 {
		c.HasPassword = c.HasPassword && d.more()
	}
	if c.HasPassword {
		c.Password = d.binary("Password")
	}
}

func (c *Connect) decodeVersion(d *decoder) {
	name := d.binary("Protocol Name")
	level := d.byte("Protocol Version")
	if d.err != nil {
		return
	}
	v := mqtt.Version(level &^ bridgeBit)
	switch {
	case bytes.Equal(name, []byte("MQTT")) && (v == mqtt.V311 || level == byte(mqtt.V5)),
		bytes.Equal(name, []byte("MQIsdp")) && v == mqtt.V31:
		c.Version, c.Bridge = v, level&bridgeBit != 0
	case bytes.Equal(name, []byte("MQTT")), bytes.Equal(name, []byte("MQIsdp")):
		// The answer must be one the peer can read: a later protocol is more
		// likely to know 5.0's CONNACK than 3.1.1's. MQIsdp has no later one.
		c.Version = mqtt.V311
		if v >= mqtt.V5 && string(name) == "MQTT" {
			c.Version = mqtt.V5
		}
		d.fail(mqtt.UnsupportedProtocolVersion, "MQTT-3.1.2-2", "unsupported protocol level")
	default:
		if level == byte(mqtt.V5) { // who writes that reads its CONNACK
			c.Version = mqtt.V5
		}
		d.fail(mqtt.UnsupportedProtocolVersion, "MQTT-3.1.2-1", "not the protocol name of MQTT")
	}
}

func (c *Connect) decodeFlags(d *decoder, flags byte) {
	c.CleanStart = flags&flagClean != 0
	c.HasWill = flags&flagWill != 0
	c.WillQoS = mqtt.QoS(flags & flagWillQoS >> 3)
	c.WillRetain = flags&flagWillRetain != 0
	c.HasUsername = flags&flagUsername != 0
	c.HasPassword = flags&flagPassword != 0
	switch {
	case flags&flagReserved != 0 && c.Version != mqtt.V31: // unused in 3.1
		d.malformed("MQTT-3.1.2-3", "reserved Connect Flag is set")
	case !c.HasWill && c.WillQoS != 0:
		d.malformed("MQTT-3.1.2-11", "Will QoS without a will")
	case !c.HasWill && c.WillRetain:
		d.malformed("MQTT-3.1.2-13", "Will Retain without a will")
	case !c.WillQoS.Valid():
		d.malformed("MQTT-3.1.2-12", "Will QoS 3")
	case c.HasPassword && !c.HasUsername && c.Version != mqtt.V5:
		d.malformed("MQTT311-3.1.2-22", "password without a user name")
	}
}

func (c *Connect) decodeWill(d *decoder) {
	if c.Version == mqtt.V5 {
		d.properties(&c.Will, willProperties, false)
	}
	c.WillTopic = d.text("Will Topic")
	c.WillPayload = d.binary("Will Payload")
	if d.err != nil {
		return
	}
	if len(c.WillTopic) == 0 {
		d.fail(mqtt.TopicNameInvalid, "MQTT-4.7.3-1", "empty Will Topic")
	}
	if hasWildcard(c.WillTopic) {
		d.fail(mqtt.TopicNameInvalid, "MQTT-4.7.0-1", "wildcard in the Will Topic")
	}
}

func (c *Connect) protocolName() string {
	if c.Version == mqtt.V31 {
		return "MQIsdp"
	}
	return "MQTT"
}

func (c *Connect) flags() byte {
	var f byte
	set := func(on bool, bit byte) {
		if on {
			f |= bit
		}
	}
	set(c.CleanStart, flagClean)
	set(c.HasUsername, flagUsername)
	set(c.HasPassword, flagPassword)
	if c.HasWill {
		f |= flagWill | byte(c.WillQoS)<<3&flagWillQoS
		set(c.WillRetain, flagWillRetain)
	}
	return f
}

func (c *Connect) size(p *Properties) int {
	n := 2 + len(c.protocolName()) + 4 + 2 + cut(len(c.ClientID))
	if c.Version == mqtt.V5 {
		n += p.prefixed(connectProperties)
	}
	if c.HasWill {
		n += 4 + cut(len(c.WillTopic)) + cut(len(c.WillPayload))
		if c.Version == mqtt.V5 {
			n += c.Will.prefixed(willProperties)
		}
	}
	if c.HasUsername {
		n += 2 + cut(len(c.Username))
	}
	if c.HasPassword {
		n += 2 + cut(len(c.Password))
	}
	return n
}

func (c *Connect) append(dst []byte, p *Properties) []byte {
	dst = appendBytes(dst, c.protocolName())
	level := byte(c.Version)
	if c.Bridge && c.Version != mqtt.V5 {
		level |= bridgeBit
	}
	dst = append(dst, level, c.flags())
	dst = binary.BigEndian.AppendUint16(dst, c.KeepAlive)
	if c.Version == mqtt.V5 {
		dst = p.append(dst, connectProperties)
	}
	dst = appendBytes(dst, c.ClientID)
	if c.HasWill {
		if c.Version == mqtt.V5 {
			dst = c.Will.append(dst, willProperties)
		}
		dst = appendBytes(dst, c.WillTopic)
		dst = appendBytes(dst, c.WillPayload)
	}
	if c.HasUsername {
		dst = appendBytes(dst, c.Username)
	}
	if c.HasPassword {
		dst = appendBytes(dst, c.Password)
	}
	return dst
}
