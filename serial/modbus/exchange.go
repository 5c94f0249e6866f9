package modbus

import (
	"context"
	"time"
)

// line is the state of the open connection; whoever holds the slot has it.
type line struct {
	used        time.Time // when the last byte went or came
	owed        bool      // the last request's answer has not come
	echo        echo      // RTU
	transaction uint16    // TCP: of the last request
	late        bool      // TCP: an answer to another one came instead
	silent      int       // TCP: requests without an answer in a row
	sent        [maxMBAP]byte
	received    [2*maxADU + 64]byte // an echo, an answer, some noise
	n           int                 // bytes in received
	manners     [256]manner         // RTU: by unit
}

const (
	// slack is what the parts of an answer may be apart: adapters on USB collect
	// bytes for up to 16 ms.
	slack = 50 * time.Millisecond
	// idle is after how long a TCP connection is looked at before it is used:
	// servers close connections that nobody uses.
	idle = time.Second
	// deafAfter is how many requests in a row may be unanswered before a TCP
	// connection is opened anew: its other end may have lost its power.
	deafAfter = 3
)

// longAgo is a deadline that ends a blocked call at once.
var longAgo = time.Unix(1, 0)

// exchange sends one request and returns its answer's PDU, valid while the slot
// is held. When ctx's deadline passes, the wait ends. A ctx that is canceled
// before keeps a request from being sent; an answer under way is waited for,
// because a unit that owes one could not be asked anything for a while.
func (m *Master) exchange(ctx context.Context, id byte, pdu []byte) ([]byte, error) {
	l := &m.line
	l.owed, l.late = false, false
	conn, err := m.connection(ctx)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	asked := ctx
	if at, ok := ctx.Deadline(); ok {
		whole, cancel := context.WithDeadline(context.WithoutCancel(ctx), at)
		defer cancel()
		ctx = whole
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = conn.SetReadDeadline(longAgo) // a closed line needs no end
		_ = conn.SetWriteDeadline(longAgo)
		close(ended)
	})
	defer func() {
		if !stop() {
			<-ended // or it would end the next request
		}
	}()
	if err := m.quiet(ctx, conn, id, pdu[0]); err != nil {
		return nil, err
	}
	if err := asked.Err(); err != nil {
		return nil, err
	}
	frame := frameRTU(l.sent[:0], id, pdu)
	if m.o.TCP {
		l.transaction++
		frame = frameTCP(l.sent[:0], l.transaction, id, pdu)
	}
	deadline := time.Now().Add(m.onWire(len(frame)) + m.o.Timeout)
	if err := m.send(ctx, conn, frame, deadline); err != nil {
		return nil, err
	}
	return m.answer(ctx, conn, frame, deadline)
}

// send writes a frame. What is half sent must not be continued: then the line
// is closed.
func (m *Master) send(ctx context.Context, conn Conn, frame []byte, deadline time.Time) error {
	if err := conn.SetWriteDeadline(deadline); err != nil {
		return m.failed(err)
	}
	if ctx.Err() != nil { // after the deadline was set, so that it cannot hide ctx's end
		return ctx.Err()
	}
	m.line.owed = true
	if _, err := conn.Write(frame); err != nil {
		if expired(err) {
			m.lost()
			return &detailed{ErrTimeout, "the line takes no data"}
		}
		return m.failed(err)
	}
	return nil
}

// answer waits for the answer to frame. The deadline is that of its first byte;
// the rest takes as long as it takes on the wire.
func (m *Master) answer(ctx context.Context, conn Conn, frame []byte, deadline time.Time) ([]byte, error) {
	l := &m.line
	for {
		find := m.findRTU
		if m.o.TCP {
			find = m.findTCP
		}
		if answer, err := find(frame); answer != nil || err != nil {
			l.owed = false
			return answer, err
		}
		n, err := m.receive(ctx, conn, deadline)
		switch {
		case n > 0 && l.n < len(l.received):
			if end := l.used.Add(m.onWire(maxADU) + slack); l.n == n && end.After(deadline) {
				deadline = end
			}
		case err == nil, expired(err):
			return nil, m.missing(frame)
		default:
			return nil, err
		}
	}
}

// receive reads what is there, or waits for it until the deadline.
func (m *Master) receive(ctx context.Context, conn Conn, deadline time.Time) (int, error) {
	l := &m.line
	if err := conn.SetReadDeadline(deadline); err != nil {
		return 0, m.failed(err)
	}
	if ctx.Err() != nil { // after the deadline was set, so that it cannot hide ctx's end
		return 0, ctx.Err()
	}
	n, err := conn.Read(l.received[l.n:])
	switch {
	case n > 0:
		l.n += n
		l.used = time.Now()
		return n, nil // an error will come again
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case err != nil && !expired(err):
		return 0, m.failed(err)
	}
	return 0, err
}

// quiet waits until the line was silent for long enough, and throws away what
// came in since the last answer.
func (m *Master) quiet(ctx context.Context, conn Conn, id, function byte) error {
	if !m.o.TCP {
		return m.flushRTU(ctx, conn, id, function)
	}
	if err := sleep(ctx, time.Until(m.line.used.Add(m.gap))); err != nil {
		return err
	}
	return m.flushTCP()
}

// missing is the error of a request whose time is up.
func (m *Master) missing(frame []byte) error {
	l := &m.line
	if !m.o.TCP {
		err, detail := diagnose(l.received[:l.n], frame)
		return &detailed{err, detail}
	}
	if l.n > 0 { // half a frame: what follows would be its other half
		m.lost()
		return ErrTruncated
	}
	if l.silent++; l.silent >= deafAfter {
		m.lost()
	}
	if l.late {
		return &detailed{ErrLate, "to another request: timeout is too short for this unit"}
	}
	return ErrTimeout
}

// failed closes a line that has failed and returns its error.
func (m *Master) failed(err error) error {
	m.lost()
	m.why = err
	return err
}
