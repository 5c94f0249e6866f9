package modbus

import (
	"encoding/binary"
	"time"
)

// The MBAP header (Modbus Messaging on TCP/IP V1.0b, section 3.1.3):
// transaction identifier, protocol identifier 0, length of what follows, unit.
const (
	mbapSize = 7
	maxMBAP  = mbapSize + 253
)

// frameTCP makes a frame in b, which is emptied.
func frameTCP(b []byte, transaction uint16, unit byte, pdu []byte) []byte {
	b = binary.BigEndian.AppendUint16(b[:0], transaction)
	b = binary.BigEndian.AppendUint16(b, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(1+len(pdu)))
	return append(append(b, unit), pdu...)
}

// cutTCP returns the first frame of b, header included, nil when it is not
// whole yet. An error means that the stream has lost its frames and the
// connection is of no more use.
func cutTCP(b []byte) ([]byte, error) {
	if len(b) < mbapSize {
		return nil, nil
	}
	protocol, length := binary.BigEndian.Uint16(b[2:]), int(binary.BigEndian.Uint16(b[4:]))
	if protocol != 0 || length < 3 || length > maxMBAP-mbapSize+1 {
		return nil, ErrGarbage
	}
	if end := mbapSize - 1 + length; len(b) >= end {
		return b[:end], nil
	}
	return nil, nil
}

// findTCP takes frames off the stream until one has the transaction of the
// request; those of earlier requests come too late.
func (m *Master) findTCP(sent []byte) ([]byte, error) {
	l := &m.line
	for {
		frame, err := cutTCP(l.received[:l.n])
		if err != nil || frame == nil {
			return nil, m.unframed(err)
		}
		if binary.BigEndian.Uint16(frame) == l.transaction {
			l.silent = 0
			if frame[mbapSize-1] != sent[mbapSize-1] {
				return nil, &detailed{ErrUnit, "in the right transaction"}
			}
			return frame[mbapSize:], nil
		}
		if frame[mbapSize-1] == sent[mbapSize-1] { // another unit's says nothing of this one
			l.late = true
		}
		l.n = copy(l.received[:], l.received[len(frame):l.n])
	}
}

// flushTCP drops whole frames: the answer before, and those that came too late.
func (m *Master) flushTCP() error {
	l := &m.line
	for {
		frame, err := cutTCP(l.received[:l.n])
		if err != nil || frame == nil {
			return m.unframed(err)
		}
		l.n = copy(l.received[:], l.received[len(frame):l.n])
	}
}

// unframed gives up a connection on which nobody knows any more where frames
// begin.
func (m *Master) unframed(err error) error {
	if err == nil {
		return nil
	}
	m.lost()
	return &detailed{err, "the connection lost its frames"}
}

// alive reports whether a TCP connection that was idle is still open at the
// other end.
func (m *Master) alive(conn Conn) bool {
	l := &m.line
	if time.Since(l.used) < idle {
		return true
	}
	if conn.SetReadDeadline(time.Now().Add(time.Millisecond)) != nil {
		return false
	}
	n, err := conn.Read(l.received[l.n:])
	l.n += n
	return n > 0 || expired(err)
}
