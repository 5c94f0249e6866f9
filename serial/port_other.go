//go:build !linux

package serial

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"time"

	"go.bug.st/serial"
)

// port gives go.bug.st's blocking port deadlines. Reads are cut into slices of
// time; writes are made by one goroutine, in pieces, so that a write that the
// device stalls outlives neither its deadline for the caller nor Close.
type port struct {
	s      serial.Port
	path   string
	closed atomic.Bool
	done   chan struct{} // closed by Close

	read, write   deadline
	reader        chan struct{} // one slot: go.bug.st's Read is for one goroutine
	writer        chan struct{} // one slot: one Write at a time
	pieces        chan []byte   // to the writer goroutine
	written       chan result   // from it, one for each piece
	unacknowledge bool          // owned by writer's slot: a piece timed out and is still under way
	ended         chan struct{} // closed by the writer goroutine
}

type result struct {
	n   int
	err error
}

const (
	readSlice  = 50 * time.Millisecond // how late a deadline or Close is seen by Read
	writePiece = 64                    // bytes; 67 ms at 9600 baud
	closeWait  = time.Second
)

// deadline is a point in time that can move while someone waits for it.
type deadline struct{ at atomic.Int64 }

func (d *deadline) set(t time.Time) {
	if t.IsZero() {
		d.at.Store(0)
		return
	}
	d.at.Store(max(t.UnixNano(), 1))
}

func (d *deadline) passed(now time.Time) bool {
	at := d.at.Load()
	return at != 0 && now.UnixNano() >= at
}

var modes = map[string]serial.Parity{
	"none": serial.NoParity, "even": serial.EvenParity, "odd": serial.OddParity,
	"mark": serial.MarkParity, "space": serial.SpaceParity,
}

// openPort opens and sets up the port with this name.
func openPort(path string, c *Config) (*port, error) {
	if c.Flow != "none" {
		return nil, &Error{Op: "open", Port: path, Kind: ErrUnsupported, Detail: "flow " + c.Flow + " needs Linux"}
	}
	mode := &serial.Mode{BaudRate: c.Baud, DataBits: c.DataBits, Parity: modes[c.Parity]}
	if c.StopBits == 2 {
		mode.StopBits = serial.TwoStopBits
	}
	if c.DTR == "off" || c.DTR == "pulse" {
		mode.InitialStatusBits = &serial.ModemOutputBits{RTS: true}
	}
	s, err := serial.Open(path, mode)
	if err != nil {
		return nil, classify("open", path, err)
	}
	p := &port{
		s: s, path: path, done: make(chan struct{}),
		reader: make(chan struct{}, 1), writer: make(chan struct{}, 1),
		pieces: make(chan []byte), written: make(chan result, 1), ended: make(chan struct{}),
	}
	if err := s.SetReadTimeout(readSlice); err != nil {
		return nil, errors.Join(classify("open", path, err), s.Close())
	}
	go p.writeLoop()
	if c.DTR == "pulse" {
		time.Sleep(dtrPulse)
		err = p.SetDTR(true)
	}
	if err != nil {
		_ = p.Close() // the first error is the one that matters
		return nil, err
	}
	return p, nil
}

// Read implements Port.
func (p *port) Read(b []byte) (int, error) {
	select {
	case p.reader <- struct{}{}:
		defer func() { <-p.reader }()
	case <-p.done:
		return 0, p.fail("read", os.ErrClosed)
	}
	for {
		if p.closed.Load() {
			return 0, p.fail("read", os.ErrClosed)
		}
		if p.read.passed(time.Now()) {
			return 0, p.fail("read", os.ErrDeadlineExceeded)
		}
		if n, err := p.s.Read(b); n > 0 || err != nil || len(b) == 0 {
			return n, p.fail("read", err)
		}
	}
}

// Write implements Port.
func (p *port) Write(b []byte) (int, error) {
	select {
	case p.writer <- struct{}{}:
		defer func() { <-p.writer }()
	case <-p.done:
		return 0, p.fail("write", os.ErrClosed)
	}
	n := 0
	for n < len(b) || p.unacknowledge {
		if !p.unacknowledge {
			// The goroutine may outlive this call, so the piece is a copy.
			piece := append([]byte(nil), b[n:min(n+writePiece, len(b))]...)
			select {
			case p.pieces <- piece:
			case <-p.done:
				return n, p.fail("write", os.ErrClosed)
			}
		}
		late := p.unacknowledge
		r, err := p.await()
		if err != nil {
			p.unacknowledge = true
			return n, p.fail("write", err)
		}
		p.unacknowledge = false
		if !late {
			n += r.n
		}
		if r.err != nil {
			return n, p.fail("write", r.err)
		}
	}
	return n, nil
}

// await waits for the piece under way.
func (p *port) await() (result, error) {
	tick := time.NewTicker(readSlice)
	defer tick.Stop()
	for {
		if p.write.passed(time.Now()) {
			return result{}, os.ErrDeadlineExceeded
		}
		select {
		case r := <-p.written:
			return r, nil
		case <-p.done:
			return result{}, os.ErrClosed
		case <-tick.C:
		}
	}
}

func (p *port) writeLoop() {
	defer close(p.ended)
	for {
		select {
		case b := <-p.pieces:
			n, err := p.s.Write(b)
			p.written <- result{n, err} // has room: one piece is under way at a time
		case <-p.done:
			return
		}
	}
}

// SetReadDeadline implements Port.
func (p *port) SetReadDeadline(t time.Time) error {
	p.read.set(t)
	return p.fail("set deadline", nil)
}

// SetWriteDeadline implements Port.
func (p *port) SetWriteDeadline(t time.Time) error {
	p.write.set(t)
	return p.fail("set deadline", nil)
}

// Close implements Port. Throwing the output away makes room, which ends a
// write under way. Should a driver not see it so, Close gives up on its write
// after closeWait and says so: there is no other call that could end it.
func (p *port) Close() error {
	if p.closed.Swap(true) {
		return &Error{Op: "close", Port: p.path, Err: os.ErrClosed}
	}
	close(p.done)
	_ = p.s.ResetOutputBuffer() // an unplugged device has no output
	p.reader <- struct{}{}      // at most one readSlice away
	err := p.s.Close()
	giveUp := time.NewTimer(closeWait)
	defer giveUp.Stop()
	select {
	case <-p.ended:
	case <-giveUp.C:
		err = errors.Join(errors.New("the driver still writes"), err)
	}
	if err != nil {
		return &Error{Op: "close", Port: p.path, Err: err}
	}
	return nil
}

// Drain implements Control. The system's call has no deadline: ctx is looked
// at before it only.
func (p *port) Drain(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return &Error{Op: "drain", Port: p.path, Err: err}
	}
	return p.fail("drain", p.s.Drain())
}

// Discard implements Control.
func (p *port) Discard(received, written bool) error {
	var in, out error
	if received {
		in = p.s.ResetInputBuffer()
	}
	if written {
		out = p.s.ResetOutputBuffer()
	}
	return p.fail("discard", errors.Join(in, out))
}

// SetDTR implements Control.
func (p *port) SetDTR(on bool) error { return p.fail("set dtr", p.s.SetDTR(on)) }

// fail makes an *Error of an error of the open port, nil of nil; a closed port
// is always an error.
func (p *port) fail(op string, err error) error {
	if p.closed.Load() {
		return &Error{Op: op, Port: p.path, Err: os.ErrClosed}
	}
	if err == nil {
		return nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &Error{Op: op, Port: p.path, Err: os.ErrDeadlineExceeded}
	}
	return classify(op, p.path, err)
}

// kinds are the library's codes. A port that it calls closed while we did not
// close it has lost its device.
var kinds = map[serial.PortErrorCode]error{
	serial.PortBusy:               ErrBusy,
	serial.PortNotFound:           ErrNotFound,
	serial.PermissionDenied:       ErrPermission,
	serial.PortClosed:             ErrUnplugged,
	serial.InvalidSerialPort:      ErrUnsupported,
	serial.InvalidSpeed:           ErrUnsupported,
	serial.InvalidDataBits:        ErrUnsupported,
	serial.InvalidParity:          ErrUnsupported,
	serial.InvalidStopBits:        ErrUnsupported,
	serial.FunctionNotImplemented: ErrUnsupported,
}

func classify(op, path string, err error) *Error {
	e := &Error{Op: op, Port: path, Err: err}
	var pe *serial.PortError
	switch {
	case errors.As(err, &pe):
		e.Kind = kinds[pe.Code()]
	case errors.Is(err, os.ErrNotExist):
		e.Kind = ErrNotFound
	case op != "open":
		e.Kind = ErrUnplugged
	}
	return e
}

// look reports whether the port is there; permissions show at Open.
func look(path string) (exists, usable bool) {
	if _, err := os.Stat(path); err == nil {
		return true, true
	}
	ports, err := serial.GetPortsList()
	if err != nil {
		return false, false
	}
	for _, p := range ports {
		if p == path {
			return true, true
		}
	}
	return false, false
}
