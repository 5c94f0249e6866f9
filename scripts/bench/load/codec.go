package load

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
)

// MQTT control packet types (high nibble of the first byte).
const (
	tConnect    = 1
	tConnack    = 2
	tPublish    = 3
	tPuback     = 4
	tPubrec     = 5
	tPubrel     = 6
	tPubcomp    = 7
	tSubscribe  = 8
	tSuback     = 9
	tDisconnect = 14
)

var errMalformed = errors.New("malformed packet")

func appendVarint(b []byte, n int) []byte {
	for n >= 128 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}

func appendU16(b []byte, v uint16) []byte { return binary.BigEndian.AppendUint16(b, v) }

func appendStr(b []byte, s string) []byte {
	b = appendU16(b, uint16(len(s)))
	return append(b, s...)
}

// connectOpts are the CONNECT fields that scenarios vary.
type connectOpts struct {
	version   byte // 4 is 3.1.1, 5 is 5.0
	clientID  string
	clean     bool
	keepalive uint16
	expiry    uint32 // 5.0: Session Expiry Interval, when not clean
}

func appendConnect(b []byte, o connectOpts) []byte {
	var v []byte
	v = appendStr(v, "MQTT")
	v = append(v, o.version)
	var flags byte
	if o.clean {
		flags |= 0x02
	}
	v = append(v, flags)
	v = appendU16(v, o.keepalive)
	if o.version == 5 {
		var props []byte
		if !o.clean {
			props = append(props, 0x11)
			props = binary.BigEndian.AppendUint32(props, o.expiry)
		}
		v = appendVarint(v, len(props))
		v = append(v, props...)
	}
	v = appendStr(v, o.clientID)
	b = append(b, tConnect<<4)
	b = appendVarint(b, len(v))
	return append(b, v...)
}

func appendSubscribe(b []byte, version byte, pid uint16, filters []string, qos byte) []byte {
	n := 2
	if version == 5 {
		n++
	}
	for _, f := range filters {
		n += 3 + len(f)
	}
	b = append(b, tSubscribe<<4|2)
	b = appendVarint(b, n)
	b = appendU16(b, pid)
	if version == 5 {
		b = append(b, 0)
	}
	for _, f := range filters {
		b = appendStr(b, f)
		b = append(b, qos)
	}
	return b
}

func appendPublish(b []byte, version byte, topic string, pid uint16, qos byte, retain bool, payload []byte) []byte {
	n := 2 + len(topic) + len(payload)
	if qos > 0 {
		n += 2
	}
	if version == 5 {
		n++
	}
	h := byte(tPublish<<4) | qos<<1
	if retain {
		h |= 1
	}
	b = append(b, h)
	b = appendVarint(b, n)
	b = appendStr(b, topic)
	if qos > 0 {
		b = appendU16(b, pid)
	}
	if version == 5 {
		b = append(b, 0)
	}
	return append(b, payload...)
}

// appendAck encodes PUBACK, PUBREC, PUBREL and PUBCOMP in the short form both versions allow.
func appendAck(b []byte, typ byte, pid uint16) []byte {
	h := typ << 4
	if typ == tPubrel {
		h |= 2
	}
	return append(b, h, 2, byte(pid>>8), byte(pid))
}

// readPacket reads one control packet. body is only valid until the next call.
func readPacket(r *bufio.Reader, buf *[]byte) (first byte, body []byte, err error) {
	first, err = r.ReadByte()
	if err != nil {
		return 0, nil, err
	}
	n, shift := 0, 0
	for {
		c, err := r.ReadByte()
		if err != nil {
			return 0, nil, err
		}
		n |= int(c&0x7f) << shift
		if c < 128 {
			break
		}
		if shift += 7; shift > 21 {
			return 0, nil, errMalformed
		}
	}
	if cap(*buf) < n {
		*buf = make([]byte, n, n+n/2)
	}
	body = (*buf)[:n]
	_, err = io.ReadFull(r, body)
	return first, body, err
}

func readVarint(b []byte) (n, used int, err error) {
	shift := 0
	for i := 0; i < len(b) && i < 4; i++ {
		n |= int(b[i]&0x7f) << shift
		if b[i] < 128 {
			return n, i + 1, nil
		}
		shift += 7
	}
	return 0, 0, errMalformed
}

// publish is a decoded PUBLISH; topic and payload alias the read buffer.
type publish struct {
	topic, payload []byte
	pid            uint16
	qos            byte
	dup, retain    bool
}

func parsePublish(version, first byte, body []byte) (p publish, err error) {
	p.qos, p.dup, p.retain = first>>1&3, first&8 != 0, first&1 != 0
	if len(body) < 2 {
		return p, errMalformed
	}
	tl := int(binary.BigEndian.Uint16(body))
	body = body[2:]
	if len(body) < tl {
		return p, errMalformed
	}
	p.topic, body = body[:tl], body[tl:]
	if p.qos > 0 {
		if len(body) < 2 {
			return p, errMalformed
		}
		p.pid, body = binary.BigEndian.Uint16(body), body[2:]
	}
	if version == 5 {
		n, used, err := readVarint(body)
		if err != nil || len(body) < used+n {
			return p, errMalformed
		}
		body = body[used+n:]
	}
	p.payload = body
	return p, nil
}
