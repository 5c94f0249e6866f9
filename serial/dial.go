package serial

import (
	"cmp"
	"context"
	"io"
	"net"
	"sync"
	"time"
)

// Dial opens the port of o as a client of a Listener at the other end and
// returns a connection for an MQTT client: bytes written are framed packet by
// packet, bytes read are those of whole packets. It blocks as Open does. What
// arrives before the first CONNACK or AUTH belongs to an earlier connection and
// is dropped. When the other end says that there is no connection, or a frame
// is damaged, Read returns io.EOF or io.ErrUnexpectedEOF: Close, and Dial again.
func Dial(o ListenOptions) (net.Conn, error) {
	f, err := packetFraming(o.Framing, cmp.Or(o.MaxPacket, 256<<10))
	if err != nil {
		return nil, err
	}
	port, err := Open(o.Port)
	if err != nil {
		return nil, err
	}
	c := &clientConn{Port: port, addr: lineAddr(o.Port.String()), in: NewFrames(port, f), slot: make(chan struct{}, 1)}
	c.out = packetWriter{port: port, f: &c.in.d.f, limit: cmp.Or(o.WriteTimeout, 10*time.Second)}
	return c, nil
}

// clientConn is the client's end of a serial line.
type clientConn struct {
	Port
	addr lineAddr
	in   *Frames
	open bool   // the server has answered
	rest []byte // of the packet that Read has begun
	out  packetWriter
	slot chan struct{} // whoever writes to out holds it

	read struct {
		sync.Mutex
		deadline time.Time
	}
}

// Read implements net.Conn.
func (c *clientConn) Read(b []byte) (int, error) {
	for len(c.rest) == 0 {
		c.read.Lock()
		deadline := c.read.deadline
		c.read.Unlock()
		packet, err := c.in.NextBefore(deadline)
		if n, bad := packetSize(packet); len(packet) > 0 && (bad != nil || n != len(packet)) {
			packet = nil // damaged, see FRAMES.md
		}
		switch {
		case err != nil:
			return 0, err
		case !c.open:
			if len(packet) == 0 || packet[0]>>4 != 2 && packet[0]>>4 != 15 {
				continue
			}
			c.open = true
		case packet == nil:
			return 0, io.ErrUnexpectedEOF
		case len(packet) == 0:
			return 0, io.EOF
		}
		c.rest = packet
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// Write implements net.Conn. A packet leaves when its last byte is there. Its
// deadline is that of a line which takes nothing.
func (c *clientConn) Write(b []byte) (int, error) {
	c.slot <- struct{}{}
	defer func() { <-c.slot }()
	if err := c.out.add(b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Close implements net.Conn. It tells the other end, unless a Write is stuck.
func (c *clientConn) Close() error {
	select {
	case c.slot <- struct{}{}:
		if c.out.send(nil) == nil {
			ctx, cancel := context.WithTimeout(context.Background(), farewell)
			_ = c.Port.(Control).Drain(ctx) // every Port that Open returns has it
			cancel()
		}
		<-c.slot
	default:
	}
	return c.Port.Close()
}

// SetReadDeadline implements net.Conn; it reaches a Read that waits.
func (c *clientConn) SetReadDeadline(t time.Time) error {
	c.read.Lock()
	c.read.deadline = t
	c.read.Unlock()
	return c.Port.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn; WriteTimeout holds in its place.
func (c *clientConn) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline implements net.Conn.
func (c *clientConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// LocalAddr implements net.Conn.
func (c *clientConn) LocalAddr() net.Addr { return c.addr }

// RemoteAddr implements net.Conn.
func (c *clientConn) RemoteAddr() net.Addr { return c.addr }
