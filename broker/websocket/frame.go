package websocket

import (
	"crypto/sha1" // RFC 6455 wants it; nothing secret is in it
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// Opcodes (RFC 6455, 5.2).
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

// Status codes (RFC 6455, 7.4.1).
const (
	closeNormal      = 1000
	closeProtocol    = 1002
	closeUnsupported = 1003
	closeNoStatus    = 1005 // never on the wire
	closeInvalidText = 1007
	closeTooBig      = 1009
)

const (
	maxFrame   = 5 + 1<<28 - 1 // bytes of payload: the largest MQTT packet
	maxControl = 125
)

// closeError ends a WebSocket connection.
type closeError struct {
	code uint16
	msg  string
	peer bool // the peer asked for it
}

func (e *closeError) Error() string { return fmt.Sprintf("websocket: %s (%d)", e.msg, e.code) }

func violation(code uint16, format string, args ...any) error {
	return &closeError{code: code, msg: fmt.Sprintf(format, args...)}
}

// frames takes a peer's frames apart. It is a value without I/O: bytes in,
// payload out. MQTT's packets may be split and joined over frames and messages
// in any way [MQTT-6.0.0-2]: the payload is one stream.
type frames struct {
	head    [14]byte // of a header that is not complete
	have    int
	op      byte
	left    uint64 // of the frame's payload
	mask    [4]byte
	at      int  // in the mask
	open    bool // a fragmented message goes on
	ended   bool // after Close nothing counts
	control []byte
	// ping is the payload of the last Ping, nil if there was none. Only the last
	// one must be answered (RFC 6455, 5.5.3).
	ping []byte
	// server says that the peer is one: its frames are not masked.
	server bool
}

// decode takes the next bytes and moves the payload of data frames to the
// front of b, unmasked. It returns how many bytes that are. A closeError ends
// the connection; the n bytes before it count.
func (f *frames) decode(b []byte) (n int, err error) {
	for i := 0; ; {
		if f.ended {
			return n, nil
		}
		if f.left == 0 {
			used, ready := f.header(b[i:])
			i += used
			if !ready {
				return n, nil
			}
			if err := f.begin(); err != nil {
				f.ended = true
				return n, err
			}
		}
		part := b[i:min(len(b), i+int(min(f.left, uint64(len(b)))))]
		if !f.server {
			f.unmask(part)
		}
		i += len(part)
		f.left -= uint64(len(part))
		if f.op < opClose {
			n += copy(b[n:], part)
		} else if f.control = append(f.control, part...); f.left == 0 {
			if err := f.endControl(); err != nil {
				f.ended = true
				return n, err
			}
		}
		if i == len(b) && f.left > 0 {
			return n, nil
		}
	}
}

// header collects a frame's header; ready says that it is complete.
func (f *frames) header(b []byte) (used int, ready bool) {
	for {
		need := f.headerSize()
		if f.have == need {
			f.have = 0
			return used, true
		}
		c := copy(f.head[f.have:need], b[used:])
		if c == 0 {
			return used, false
		}
		f.have += c
		used += c
	}
}

// headerSize is the size of a header as far as it is known.
func (f *frames) headerSize() int {
	if f.have < 2 {
		return 2
	}
	size := 2
	switch f.head[1] & 0x7F {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if f.head[1]&0x80 != 0 {
		size += 4
	}
	return size
}

// begin judges a complete header.
func (f *frames) begin() error {
	fin, op, masked := f.head[0]&0x80 != 0, f.head[0]&0x0F, f.head[1]&0x80 != 0
	length, at := uint64(f.head[1]&0x7F), 2
	smallest := uint64(0)
	switch length {
	case 126:
		length, smallest, at = uint64(binary.BigEndian.Uint16(f.head[2:])), 126, 4
	case 127:
		length, smallest, at = binary.BigEndian.Uint64(f.head[2:]), 1<<16, 10
	}
	switch {
	case f.head[0]&0x70 != 0:
		return violation(closeProtocol, "reserved bits are set")
	case masked == f.server:
		return violation(closeProtocol, "a client's frame is not masked, or a server's is")
	case length < smallest:
		return violation(closeProtocol, "the length is not in its shortest form")
	case op == opText: // [MQTT-6.0.0-1]
		return violation(closeUnsupported, "MQTT is in binary frames, not text")
	case op > opBinary && op < opClose || op > opPong:
		return violation(closeProtocol, "unknown opcode %d", op)
	case op >= opClose && (!fin || length > maxControl):
		return violation(closeProtocol, "a control frame is fragmented or too long")
	case op == opContinuation && !f.open || op == opBinary && f.open:
		return violation(closeProtocol, "a message begins inside another, or has no beginning")
	case length > maxFrame:
		return violation(closeTooBig, "a frame of %d bytes", length)
	}
	copy(f.mask[:], f.head[at:]) // of a server: not looked at
	f.op, f.left, f.at = op, length, 0
	if op < opClose {
		f.open = !fin
	} else {
		f.control = f.control[:0]
	}
	return nil
}

// unmask is the exclusive or of RFC 6455, 5.3, eight bytes at a time.
func (f *frames) unmask(b []byte) {
	exclusiveOr(b, f.mask, f.at)
	f.at = (f.at + len(b)) & 3
}

// exclusiveOr masks b, whose first byte belongs to mask[at].
func exclusiveOr(b []byte, mask [4]byte, at int) {
	var m [8]byte
	for i := range m {
		m[i] = mask[(at+i)&3]
	}
	wide := binary.LittleEndian.Uint64(m[:])
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^wide)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= m[i]
	}
}

// endControl works off a control frame that is complete.
func (f *frames) endControl() error {
	switch f.op {
	case opPing:
		f.ping = append([]byte{}, f.control...)
	case opClose:
		return closeReceived(f.control)
	}
	return nil
}

// closeReceived words the answer to a Close frame (RFC 6455, 5.5.1).
func closeReceived(payload []byte) error {
	if len(payload) == 0 {
		return &closeError{code: closeNoStatus, msg: "closed by the peer", peer: true}
	}
	if len(payload) == 1 {
		return violation(closeProtocol, "a status code of one byte")
	}
	code := binary.BigEndian.Uint16(payload)
	switch {
	case code < 1000 || code >= 1004 && code <= 1006 || code >= 1015 && code < 3000 || code >= 5000:
		return violation(closeProtocol, "status code %d", code)
	case !utf8.Valid(payload[2:]):
		return violation(closeInvalidText, "the reason is not UTF-8")
	}
	return &closeError{code: code, msg: "closed by the peer", peer: true}
}

// appendHeader appends the header of a frame that is not masked.
func appendHeader(b []byte, op byte, length int) []byte {
	b = append(b, 0x80|op)
	switch {
	case length <= maxControl:
		return append(b, byte(length))
	case length < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, 126), uint16(length))
	}
	return binary.BigEndian.AppendUint64(append(b, 127), uint64(length))
}

// payload is that of the Close frame which says so.
func (e *closeError) payload() []byte {
	if e.code == closeNoStatus {
		return nil
	}
	b := binary.BigEndian.AppendUint16(nil, e.code)
	if !e.peer {
		b = append(b, e.msg...)
	}
	return b
}

// AcceptKey answers Sec-WebSocket-Key (RFC 6455, 4.2.2).
func AcceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
