package bus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/i2c"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/serial"
	"github.com/dunlin-mqtt/dunlin/serial/modbus"
)

// Trace has wires told of every transfer on the buses and ports that are opened
// from now on, and texts, which may be nil, of the levels of lines, the files of
// the kernel and the programs that drivers read and write.
func (b *Buses) Trace(wires, texts sensors.Tracer) { b.trace, b.texts = wires, texts }

// Texts implements sensors.Tracing.
func (b *Buses) Texts() sensors.Tracer { return b.texts }

type tracedI2C struct {
	i2c.Bus
	t sensors.Tracer
}

func (c tracedI2C) Tx(addr uint16, w, r []byte) error {
	err := c.Bus.Tx(addr, w, r)
	c.t(fmt.Sprintf("%s 0x%02x", c.Bus, addr), w, r, err)
	return err
}

type tracedSPI struct {
	conn.Conn
	t sensors.Tracer
}

func (c tracedSPI) Tx(w, r []byte) error {
	err := c.Conn.Tx(w, r)
	c.t(c.Conn.String(), w, r, err)
	return err
}

type tracedPort struct {
	serial.Port
	serial.Control
	tracedBytes
}

func (c tracedPort) Read(b []byte) (int, error)  { return c.read(c.Port, b) }
func (c tracedPort) Write(b []byte) (int, error) { return c.write(c.Port, b) }

type tracedConn struct {
	modbus.Conn
	tracedBytes
}

func (c tracedConn) Read(b []byte) (int, error)  { return c.read(c.Conn, b) }
func (c tracedConn) Write(b []byte) (int, error) { return c.write(c.Conn, b) }

type tracedLine struct {
	sensors.Line
	name string
	t    sensors.Tracer
}

func (l tracedLine) Read() (bool, error) {
	active, err := l.Line.Read()
	l.t(l.name, nil, level(active), err)
	return active, err
}

func (l tracedLine) Write(active bool) error {
	err := l.Line.Write(active)
	l.t(l.name, level(active), nil, err)
	return err
}

func (l tracedLine) Event(ctx context.Context) (sensors.LineEvent, error) {
	e, err := l.Line.Event(ctx)
	if err == nil {
		l.t(l.name, nil, level(e.Active), nil)
	}
	return e, err
}

func level(active bool) []byte {
	if active {
		return []byte("active")
	}
	return []byte("inactive")
}

// tracedBytes tells of a stream.
type tracedBytes struct {
	name string
	t    sensors.Tracer
}

func (c tracedBytes) read(from io.Reader, b []byte) (int, error) {
	n, err := from.Read(b)
	if failed := broken(err); n > 0 || failed != nil {
		c.t(c.name, nil, b[:n], failed)
	}
	return n, err
}

func (c tracedBytes) write(to io.Writer, b []byte) (int, error) {
	n, err := to.Write(b)
	if failed := broken(err); n > 0 || failed != nil {
		c.t(c.name, b[:n], nil, failed)
	}
	return n, err
}

// broken is why a stream is of no more use; a deadline and its own Close are no
// failures.
func broken(err error) error {
	switch {
	case err == nil, errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, os.ErrClosed), errors.Is(err, net.ErrClosed):
		return nil
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return &sensors.Fault{Reason: sensors.Unplugged, Err: err}
	}
	return sensors.PortFault(err)
}
