package modbus

import (
	"bytes"
	"fmt"
)

// An RTU frame is the unit's address, the PDU, and a CRC-16, low byte first
// (Modbus over Serial Line V1.02, section 2.5.1). Nothing in it says where it
// begins or how long it is.
const (
	maxADU   = 256
	crcSize  = 2
	maxUnit  = 247 // the highest address of a unit on a serial line
	charBits = 11  // of a character on the wire
)

// crcNibbles are the CRCs (polynomial A001, reflected) of four bits: a table
// for bytes is 32 times as large and no faster on a wire.
var crcNibbles = [16]uint16{
	0x0000, 0xCC01, 0xD801, 0x1400, 0xF001, 0x3C00, 0x2800, 0xE401,
	0xA001, 0x6C00, 0x7800, 0xB401, 0x5000, 0x9C01, 0x8801, 0x4400,
}

// crc continues the CRC-16 c over b; it starts with FFFF, and over a frame with
// its CRC it ends with 0.
func crc(c uint16, b []byte) uint16 {
	for _, x := range b {
		c ^= uint16(x)
		c = c>>4 ^ crcNibbles[c&15]
		c = c>>4 ^ crcNibbles[c&15]
	}
	return c
}

// frameRTU makes a frame in b, which is emptied.
func frameRTU(b []byte, unit byte, pdu []byte) []byte {
	b = append(append(b[:0], unit), pdu...)
	c := crc(0xFFFF, b)
	return append(b, byte(c), byte(c>>8))
}

// searchRTU looks for the answer to the frame sent among everything received
// since, and returns its PDU; nil when it is not there, or not yet. Whatever
// stands before it, an echo, noise of a driver that switches, a late answer of
// another unit, is passed over. ErrCRC says that the answer is there, damaged,
// so that waiting on makes no sense.
//
// The answer to a single write is the request again: only a line that is known
// to echo can tell them apart, by the second of the two.
func searchRTU(received, sent []byte, echoes bool) ([]byte, error) {
	unit, request := sent[0], sent[1:len(sent)-crcSize]
	start := 0
	if bytes.HasPrefix(received, sent) && (echoes || answerSize(request, request) != len(request)) {
		start = len(sent)
	}
	for i := start; i < len(received); i++ {
		if received[i] != unit {
			continue
		}
		size := answerSize(request, received[i+1:])
		if end := i + 1 + size + crcSize; size == 0 || end > len(received) {
			continue
		} else if crc(0xFFFF, received[i:end]) == 0 {
			return received[i+1 : i+1+size], nil
		} else if i == start {
			return nil, ErrCRC
		}
	}
	return nil, nil
}

// echo says whether a serial line hears itself.
type echo uint8

const (
	unknown echo = iota
	absent
	present
)

// findRTU looks for the answer in what has arrived; nil is not yet. It learns
// whether the line echoes from requests that cannot be their own answers. Until
// that is known, a read believes nothing that may be its echo.
func (m *Master) findRTU(sent []byte) ([]byte, error) {
	l := &m.line
	received, request := l.received[:l.n], sent[1:len(sent)-crcSize]
	echoes := l.echo == present || l.echo == unknown && request[0] <= tables[Input].read
	answer, err := searchRTU(received, sent, echoes)
	if answerSize(request, request) == len(request) {
		return answer, err
	}
	switch {
	case bytes.HasPrefix(received, sent):
		l.echo = present
	case answer != nil:
		l.echo = absent
	}
	return answer, err
}

// diagnose says why there is no answer to the frame sent in what was received
// until the time was up.
func diagnose(received, sent []byte) (error, string) {
	rest := bytes.TrimPrefix(received, sent)
	echo := len(rest) < len(received)
	rest = bytes.TrimLeft(rest, "\x00\xff") // no unit has these addresses: noise of a switching driver
	switch {
	case len(rest) == 0 && echo:
		return ErrEcho, "the adapter hears what it sends, and nothing else arrives"
	case len(rest) == 0:
		return ErrTimeout, ""
	case rest[0] == sent[0] && (len(rest) < 3 || answerSize(sent[1:len(sent)-crcSize], rest[1:]) > 0):
		return ErrTruncated, fmt.Sprintf("%d bytes arrived: % x", len(rest), shown(rest))
	}
	c := uint16(0xFFFF)
	for i := range rest {
		if c = crc(c, rest[i:i+1]); c != 0 || i < 3 {
			continue
		}
		if rest[0] == sent[0] {
			return ErrLate, "to an earlier request: timeout is too short for this unit"
		}
		return ErrUnit, fmt.Sprintf("unit %d, with % x", rest[0], shown(rest[:i+1]))
	}
	return ErrGarbage, fmt.Sprintf("%d bytes arrived: % x", len(rest), shown(rest))
}

// shown is how much of bad bytes an error shows.
func shown(b []byte) []byte { return b[:min(len(b), 16)] }
