package modbus

import (
	"bytes"
	"context"
	"time"
)

// An RTU answer does not say to which request it is one. A unit, or a repeater on
// the way, that says its answers twice gives each request the answer of the one
// before. So what is heard beside answers is looked at: after the first answer of
// a unit the line is listened to for a while, and one that speaks twice is asked
// only after a silence of the time-out.

// manner is what is known of how a unit answers.
type manner byte

const (
	stranger manner = iota // it has said nothing since the line was opened
	answered               // it has; whether it will again is not known
	polite                 // it was silent after an answer
	twice                  // it says what it was not asked for
)

// again is how long after a unit's first answer a second may come.
const again = 100 * time.Millisecond

// answered notes a good answer of a unit.
func (l *line) answered(id byte) {
	if l.manners[id] == stranger {
		l.manners[id] = answered
	}
}

// flushRTU listens until the line was silent for as long as this request to the
// unit wants, and throws away what it hears. Answers to writes say what was
// written: they wait for nothing.
func (m *Master) flushRTU(ctx context.Context, conn Conn, id, function byte) error {
	l, manner, rest := &m.line, polite, m.gap
	if function <= tables[Input].read {
		manner = l.manners[id]
	}
	switch manner {
	case answered:
		rest = max(rest, min(again, m.o.Timeout))
	case twice:
		rest = max(rest, m.o.Timeout)
	}
	l.n = 0
	wait := time.Until(l.used.Add(rest))
	if c, ok := conn.(interface {
		Discard(received, written bool) error
	}); ok && wait <= 0 && manner != answered {
		if err := c.Discard(true, false); err != nil {
			return m.failed(err)
		}
		return nil
	}
	end := time.Now().Add(max(wait, time.Millisecond))
	for giveUp := end.Add(m.o.Timeout); ; {
		_, err := m.receive(ctx, conn, end)
		switch {
		case expired(err):
			if manner == answered {
				l.manners[id] = polite
			}
			m.unasked(l.received[:l.n])
			l.n = 0
			return nil
		case err != nil:
			return err
		}
		if l.n == len(l.received) {
			l.n = 0
		}
		if end = l.used.Add(rest); end.After(giveUp) {
			return &detailed{ErrGarbage, "the line is never silent"}
		}
	}
}

// unasked looks for answers to reads in what was heard while nobody was asked. A
// unit that owes one may be late; what was sent itself is an echo.
func (m *Master) unasked(b []byte) {
	for ; len(b) > 3+crcSize; b = b[1:] {
		size := 3 + int(b[2]) + crcSize
		if b[1] >= 1 && b[1] <= tables[Input].read && b[2] > 0 && size <= len(b) && b[0] <= maxUnit && m.units[b[0]] == nil &&
			crc(0xFFFF, b[:size]) == 0 && !bytes.HasPrefix(m.line.sent[:], b[:size]) {
			m.line.manners[b[0]] = twice
		}
	}
}
