package bus

import (
	"fmt"
	"io"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/i2c"

	"github.com/dunlin-mqtt/dunlin/serial"
	"github.com/dunlin-mqtt/dunlin/serial/modbus"
)

// Tracer is told of every transfer after it, with what went out and came in;
// it must keep neither. Where is the bus and the address on it, or the port.
type Tracer func(where string, sent, received []byte, err error)

// Trace has t told of the transfers of everything that is opened from now on.
func (b *Buses) Trace(t Tracer) { b.trace = t }

type tracedI2C struct {
	i2c.Bus
	t Tracer
}

func (c tracedI2C) Tx(addr uint16, w, r []byte) error {
	err := c.Bus.Tx(addr, w, r)
	c.t(fmt.Sprintf("%s 0x%02x", c.Bus, addr), w, r, err)
	return err
}

type tracedSPI struct {
	conn.Conn
	t Tracer
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

// tracedBytes tells of a stream.
type tracedBytes struct {
	name string
	t    Tracer
}

func (c tracedBytes) read(from io.Reader, b []byte) (int, error) {
	n, err := from.Read(b)
	if n > 0 {
		c.t(c.name, nil, b[:n], err)
	}
	return n, err
}

func (c tracedBytes) write(to io.Writer, b []byte) (int, error) {
	n, err := to.Write(b)
	c.t(c.name, b[:n], nil, err)
	return n, err
}
