package modbus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Conn is the line as a Master uses it: serial.Port and net.Conn are ones. Read
// and Write must end at their deadlines (os.ErrDeadlineExceeded) and at Close.
type Conn interface {
	io.ReadWriteCloser
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
}

// Options say how a line is driven.
type Options struct {
	// Open opens the line: at the first request, and again after the line was
	// lost. It blocks no longer than ctx.
	Open func(ctx context.Context) (Conn, error)
	// TCP is for MBAP frames; without it they are RTU frames.
	TCP bool
	// Baud is the speed of a serial line, from which the times of frames and of
	// the silence between them follow; 0 takes frames for instantaneous.
	Baud int
	// Timeout is how long a unit may take before its answer begins.
	Timeout time.Duration
	// Turnaround is the least silence between an answer and the next request; on
	// a serial line never less than 3.5 characters.
	Turnaround time.Duration
	// Recovery is for how long a unit that owes an answer is not asked again.
	Recovery time.Duration
	// Settle is how long the line rests after it was opened.
	Settle time.Duration
}

// maxPause bounds the pause before a silent unit is asked again.
const maxPause = 10 * time.Second

// Master makes requests on one line. It is safe for concurrent use: requests
// wait for each other.
type Master struct {
	o   Options
	gap time.Duration // silence before a request

	slot  chan struct{} // held during a request; guards what follows
	units map[byte]*unit
	line  line
	// why the line was lost; nil while it is open. Whoever cannot use it since
	// wants to know that, not only that it cannot be opened.
	why error

	open struct {
		sync.Mutex
		conn   Conn // nil: none
		closed bool
	}
}

// unit is what a Master remembers of one unit.
type unit struct {
	until  time.Time // not to be asked before
	silent int       // requests in a row without any answer
	why    error     // of the last of them
	debts  []debt
}

// New makes a Master; it opens nothing yet.
func New(o Options) *Master {
	m := &Master{o: o, gap: o.Turnaround, slot: make(chan struct{}, 1), units: map[byte]*unit{}}
	if !o.TCP && o.Baud > 0 {
		// 1.75 ms for all speeds above 19200 baud: Serial Line V1.02, 2.5.1.1.
		m.gap = max(o.Turnaround, 1750*time.Microsecond, m.onWire(7)/2)
	}
	return m
}

// onWire is how long n characters take.
func (m *Master) onWire(n int) time.Duration {
	if m.o.Baud == 0 {
		return 0
	}
	return time.Duration(n) * charBits * time.Second / time.Duration(m.o.Baud)
}

// Read reads len(into) entries of a table from address on; bits are 0 and 1. It
// blocks until the answer is there, at most for its turn, the unit's pause and
// the time-out. Errors are *Error.
func (m *Master) Read(ctx context.Context, unit byte, t Table, address uint16, into []uint16) error {
	pdu, err := readPDU(t, address, len(into))
	if err != nil {
		return err
	}
	return m.ask(ctx, unit, pdu, into)
}

// Write writes entries of the tables Coils and Holding; bits are 0 and 1. A
// single entry goes out with function 05 or 06, or, when many is set, with 0F or
// 10, which is all that some units know. It blocks as Read does.
func (m *Master) Write(ctx context.Context, unit byte, t Table, address uint16, words []uint16, many bool) error {
	pdu, err := writePDU(t, address, words, many)
	if err != nil {
		return err
	}
	return m.ask(ctx, unit, pdu, nil)
}

// Mask changes bits of a holding register in one step: value = value AND and OR
// (or AND NOT and). It blocks as Read does.
func (m *Master) Mask(ctx context.Context, unit byte, address, and, or uint16) error {
	return m.ask(ctx, unit, maskPDU(address, and, or), nil)
}

// Open opens the line if it is not, so that its failure shows before the first
// request. It blocks for its turn and for Options.Open and Options.Settle.
func (m *Master) Open(ctx context.Context) error {
	if err := m.take(ctx); err != nil {
		return err
	}
	defer m.give()
	_, err := m.connection(ctx)
	return err
}

// Close ends the request under way and closes the line for good.
func (m *Master) Close() error {
	m.open.Lock()
	defer m.open.Unlock()
	m.open.closed = true
	if m.open.conn == nil {
		return nil
	}
	c := m.open.conn
	m.open.conn = nil
	return c.Close()
}

func (m *Master) take(ctx context.Context) error {
	select {
	case m.slot <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the line was never free: %w", ctx.Err())
	}
}

func (m *Master) give() { <-m.slot }

// ask makes one request; the data of its answer goes into the words given.
func (m *Master) ask(ctx context.Context, id byte, pdu []byte, into []uint16) error {
	if !m.o.TCP && (id < 1 || id > maxUnit) {
		return fmt.Errorf("unit %d: on a serial line units are 1 to %d", id, maxUnit)
	}
	err := m.turn(ctx, id)
	if err == nil {
		defer m.give()
		if err = m.resync(ctx, id, pdu); err == nil {
			err = m.once(ctx, id, pdu, into)
		}
	}
	if err == nil {
		return nil
	}
	e := &Error{Unit: id, Function: pdu[0], Err: err}
	var d *detailed
	if errors.As(err, &d) {
		e.Err, e.Detail = d.error, d.detail
	}
	return e
}

// once makes one exchange; the slot is held.
func (m *Master) once(ctx context.Context, id byte, pdu []byte, into []uint16) error {
	answer, err := m.exchange(ctx, id, pdu)
	if err == nil {
		err = checkAnswer(pdu, answer)
	}
	if m.judge(id, pdu, err); err == nil {
		m.line.answered(id)
		words(answer, into)
	}
	return err
}

// detailed is one of this package's errors with what was seen.
type detailed struct {
	error
	detail string
}

func (d *detailed) Unwrap() error { return d.error }

// turn takes the slot when the unit may be asked. A unit that was silent once
// is waited for, without the slot; one that was silent more often fails the
// request at once, so that whoever asks has time for others.
func (m *Master) turn(ctx context.Context, id byte) error {
	for {
		if err := m.take(ctx); err != nil {
			return err
		}
		u := m.units[id]
		if u == nil {
			return nil
		}
		pause := time.Until(u.until)
		if pause <= 0 {
			return nil
		}
		silent, why := u.silent, u.why
		m.give()
		if silent > 1 {
			return &detailed{why, fmt.Sprintf("silent %d times, asked again in %v", silent, pause.Round(time.Millisecond))}
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// judge notes how the unit did. One that may still answer is not asked again
// before that answer can no longer come.
func (m *Master) judge(id byte, pdu []byte, err error) {
	var e Exception
	switch {
	case err == nil, errors.As(err, &e) && e != GatewayTarget:
		delete(m.units, id)
		return
	case !m.line.owed && e == 0:
		return // not the unit's failure, or its answer came, damaged
	}
	u := m.units[id]
	if u == nil {
		u = &unit{}
		m.units[id] = u
	}
	if m.line.owed {
		u.owe(pdu)
	}
	pause := m.o.Recovery
	if e == GatewayTarget || errors.Is(err, ErrTimeout) || errors.Is(err, ErrLate) || errors.Is(err, ErrEcho) || errors.Is(err, ErrUnit) {
		u.silent++
		u.why = err
		var d *detailed
		if errors.As(err, &d) {
			u.why = d.error
		}
		pause = max(pause, m.o.Timeout)
		for i := 1; i < u.silent && pause < maxPause; i++ {
			pause = min(2*pause, maxPause)
		}
	}
	u.until = time.Now().Add(pause)
}

// connection returns the open line; the slot is held.
func (m *Master) connection(ctx context.Context) (Conn, error) {
	m.open.Lock()
	conn, closed := m.open.conn, m.open.closed
	m.open.Unlock()
	switch {
	case closed:
		return nil, ErrClosed
	case conn != nil && (!m.o.TCP || m.alive(conn)):
		return conn, nil
	}
	m.lost()
	conn, err := m.o.Open(ctx)
	if err != nil && m.why != nil {
		err = fmt.Errorf("%w; since then: %w", m.why, err)
	}
	if err != nil {
		return nil, err
	}
	m.why = nil
	m.open.Lock()
	if m.open.closed {
		m.open.Unlock()
		return nil, errors.Join(ErrClosed, conn.Close())
	}
	m.open.conn = conn
	m.open.Unlock()
	m.line = line{used: time.Now()}
	return conn, sleep(ctx, m.o.Settle)
}

// lost closes a line that has failed, so that the next request opens it anew.
func (m *Master) lost() {
	m.open.Lock()
	defer m.open.Unlock()
	if m.open.conn != nil {
		_ = m.open.conn.Close() // it has failed already
		m.open.conn = nil
	}
}

// sleep waits for d, or for ctx's end, whose error it returns.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// expired reports whether err is a deadline's.
func expired(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
