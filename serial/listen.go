package serial

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"time"
)

// ListenOptions say where Listen waits for a client.
type ListenOptions struct {
	Port Config
	// Framing is "cobs" or "slip".
	Framing string
	// MaxPacket is the longest MQTT Control Packet in bytes, either way; 0 is
	// 256 KiB, MaxFrame the most. Memory is taken as packets need it.
	MaxPacket int
	// WriteTimeout is how long the line may take nothing before the client's
	// connection ends; 0 is 10 s.
	WriteTimeout time.Duration
	// Log hears when the port comes and goes; nil discards it.
	Log *slog.Logger
}

// listener is a net.Listener at the end of a serial line: one client at a
// time, whose connection begins with its CONNECT.
type listener struct {
	o       ListenOptions
	framing Framing
	conns   chan net.Conn
	stop    context.CancelFunc
	ctx     context.Context // ends with Close; here because Accept has none
	done    chan struct{}
}

// farewell is how long the last packets of a connection may take.
const farewell = time.Second

// Listen returns a listener for a microcontroller that speaks MQTT over its
// UART, as FRAMES.md says. The port need not be there: it is opened when it
// is, and again after it was pulled out, which ends the client's connection as
// a cut network does. Errors say what no port can be. Close waits until
// all has ended.
func Listen(o ListenOptions) (net.Listener, error) {
	var wrong error
	o.Port.Validate(func(path, msg string) { wrong = errors.Join(wrong, errors.New(path+": "+msg)) })
	f, err := packetFraming(o.Framing, cmp.Or(o.MaxPacket, 256<<10))
	if err = errors.Join(wrong, err); err != nil {
		return nil, err
	}
	o.WriteTimeout = cmp.Or(o.WriteTimeout, 10*time.Second)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	l := &listener{o: o, framing: f, conns: make(chan net.Conn), done: make(chan struct{})}
	l.ctx, l.stop = context.WithCancel(context.Background())
	go l.run()
	return l, nil
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case nc := <-l.conns:
		return nc, nil
	case <-l.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. A connection that was accepted is its owner's
// to close first: it is given a second to say goodbye.
func (l *listener) Close() error {
	l.stop()
	<-l.done
	return nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return lineAddr(l.o.Port.String()) }

// lineAddr is the address of both ends of a serial line.
type lineAddr string

// Network implements net.Addr.
func (lineAddr) Network() string { return "serial" }

func (a lineAddr) String() string { return "serial:" + string(a) }

// run opens the port whenever it is there.
func (l *listener) run() {
	defer close(l.done)
	for said := ""; ; {
		port, err := Open(l.o.Port)
		if err == nil {
			l.o.Log.Info("serial port open")
			err = l.serve(port)
			l.drain(port)
			_ = port.Close() // it has failed, or everything ends
			said = ""
		}
		if l.ctx.Err() != nil {
			return
		}
		if err.Error() != said {
			said = err.Error()
			l.o.Log.Warn("no serial port", "err", err)
		}
		select {
		case <-time.After(rescan): // a port that is busy is there all the time
		case <-l.ctx.Done():
		}
		_ = WaitFor(l.ctx, l.o.Port) // it fails when ctx ends, which is seen above
	}
}

// drain lets what was written before Close reach the wire.
func (l *listener) drain(port Port) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.ctx), farewell)
	defer cancel()
	if c, ok := port.(Control); ok && l.ctx.Err() != nil {
		_ = c.Drain(ctx) // what it cannot send is lost
	}
}

// serve works off what the client sends until the port fails or ctx ends.
func (l *listener) serve(port Port) error {
	in := NewFrames(port, l.framing)
	control := &packetWriter{port: port, f: &l.framing, limit: l.o.WriteTimeout}
	var c *link
	defer func() {
		if c != nil && l.ctx.Err() != nil {
			c.wait()
		}
		c.end()
	}()
	// A client that was there before knows now that its connection is gone.
	err := control.send(nil)
	for err == nil {
		var b []byte
		if b, err = in.Next(l.ctx); err != nil {
			break
		}
		n, bad := packetSize(b)
		switch {
		case b == nil || bad != nil || len(b) > 0 && n != len(b):
			if c == nil {
				continue // noise, or what a board says while it starts
			}
			// A packet is missing in the stream, and nobody would send it again.
			l.o.Log.Warn("client lost: what it sent is damaged", "frames", in.Stats().Frames, "damaged", in.Stats().Rejected+in.Stats().Overlong)
		case len(b) == 0:
			c.end()
			c = nil
			continue
		case b[0]>>4 == 1: // CONNECT
			c.end()
			c = l.connect(port)
			fallthrough
		default:
			if c != nil {
				if _, e := c.inner.Write(b); e == nil {
					continue
				}
			}
		}
		c.end()
		c = nil
		err = control.send(nil)
	}
	return err
}

// link is the connection of one client: what the broker writes is framed by a
// goroutine, what the client sends is written into it by serve.
type link struct {
	inner net.Conn
	done  chan struct{}
}

// pipeEnd is the broker's side of a link.
type pipeEnd struct {
	net.Conn
	addr lineAddr
	link *link
}

func (p pipeEnd) LocalAddr() net.Addr  { return p.addr }
func (p pipeEnd) RemoteAddr() net.Addr { return p.addr }

// Close lets the last packets leave.
func (p pipeEnd) Close() error {
	err := p.Conn.Close()
	p.link.wait()
	return err
}

// connect hands a new connection to Accept; nil when ctx ends.
func (l *listener) connect(port Port) *link {
	inner, outer := net.Pipe()
	c := &link{inner, make(chan struct{})}
	select {
	case l.conns <- pipeEnd{outer, lineAddr(l.o.Port.String()), c}:
	case <-l.ctx.Done():
		return nil
	}
	w := &packetWriter{port: port, f: &l.framing, limit: l.o.WriteTimeout}
	stop := context.AfterFunc(l.ctx, func() { _ = inner.SetWriteDeadline(time.Now().Add(farewell)) })
	go func() {
		defer close(c.done)
		defer inner.Close()
		defer stop()
		b := make([]byte, room)
		for {
			n, err := inner.Read(b)
			if err == nil {
				err = w.add(b[:n])
			}
			switch {
			case errors.Is(err, io.ErrClosedPipe):
				return // by end
			case err != nil:
				_ = w.send(nil) // the line may be what failed
				return
			}
		}
	}()
	return c
}

// wait gives the connection time to end by itself.
func (c *link) wait() {
	select {
	case <-c.done:
	case <-time.After(farewell):
	}
}

// end closes the connection and waits for its goroutine. nil is none.
func (c *link) end() {
	if c != nil {
		_ = c.inner.Close() // a pipe's never fails
		<-c.done
	}
}
