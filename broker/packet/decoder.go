package packet

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// decoder reads the body of one packet. The first failure sticks: what is read
// after it is zero, so a packet's decoder reads like the specification and
// looks at err once.
type decoder struct {
	body []byte
	err  *mqtt.Error
}

func (d *decoder) fail(code mqtt.ReasonCode, spec, msg string) {
	if d.err == nil {
		d.err = &mqtt.Error{Code: code, Spec: spec, Msg: msg}
	}
	d.body = nil
}

func (d *decoder) malformed(spec, msg string) { d.fail(mqtt.MalformedPacket, spec, msg) }
func (d *decoder) protocol(spec, msg string)  { d.fail(mqtt.ProtocolError, spec, msg) }

func (d *decoder) short(field string) {
	if d.err == nil { // the message is not made for nothing
		d.malformed("MQTT-1.2", "packet ends inside "+field)
	}
}

func (d *decoder) byte(field string) byte {
	if len(d.body) < 1 {
		d.short(field)
		return 0
	}
	v := d.body[0]
	d.body = d.body[1:]
	return v
}

func (d *decoder) uint16(field string) uint16 {
	if len(d.body) < 2 {
		d.short(field)
		return 0
	}
	v := binary.BigEndian.Uint16(d.body)
	d.body = d.body[2:]
	return v
}

func (d *decoder) uint32(field string) uint32 {
	if len(d.body) < 4 {
		d.short(field)
		return 0
	}
	v := binary.BigEndian.Uint32(d.body)
	d.body = d.body[4:]
	return v
}

// varint reads a Variable Byte Integer in its shortest form [MQTT-1.5.5-1].
func (d *decoder) varint(field string) uint32 {
	v, size := varint(d.body)
	switch {
	case size < 0:
		d.malformed("MQTT-1.5.5", field+": Variable Byte Integer longer than four bytes")
		return 0
	case size == 0:
		d.short(field)
		return 0
	case size != varintSize(int(v)):
		d.malformed("MQTT-1.5.5-1", field+": Variable Byte Integer is not of minimum length")
		return 0
	}
	d.body = d.body[size:]
	return v
}

// binary reads Binary Data: two bytes of length and as many bytes.
func (d *decoder) binary(field string) []byte {
	return d.take(int(d.uint16(field)), field)
}

func (d *decoder) take(n int, field string) []byte {
	if len(d.body) < n {
		d.short(field)
		return nil
	}
	v := d.body[:n:n]
	d.body = d.body[n:]
	return v
}

// text reads a UTF-8 Encoded String.
func (d *decoder) text(field string) []byte { return d.legible(d.binary(field), field) }

// legible checks a UTF-8 Encoded String.
func (d *decoder) legible(b []byte, field string) []byte {
	// utf8.Valid refuses surrogates and overlong forms and takes ASCII eight
	// bytes at a time.
	if !utf8.Valid(b) {
		d.malformed("MQTT-1.5.4-1", field+" is not well-formed UTF-8")
		return nil
	}
	if bytes.IndexByte(b, 0) >= 0 {
		d.malformed("MQTT-1.5.4-2", field+" contains U+0000")
		return nil
	}
	return b
}

// identifier reads a Packet Identifier.
func (d *decoder) identifier(spec string) uint16 {
	id := d.uint16("Packet Identifier")
	if id == 0 && d.err == nil {
		// An identifier of 0 cannot be acknowledged, so the packet cannot be
		// answered as its type wants.
		d.protocol(spec, "Packet Identifier 0")
	}
	return id
}

func (d *decoder) more() bool { return len(d.body) > 0 }

// plain reports whether b is surely a legible Topic Name. Nearly all are: this
// spares a message that comes alone the look at four other functions.
func plain(b []byte) bool {
	const short = 64 // beyond it they are faster
	if len(b) > short {
		return false
	}
	for _, c := range b {
		if c-1 >= utf8.RuneSelf-1 || c == '+' || c == '#' {
			return false
		}
	}
	return true
}

func hasWildcard(topic []byte) bool {
	return bytes.IndexByte(topic, '+') >= 0 || bytes.IndexByte(topic, '#') >= 0
}
