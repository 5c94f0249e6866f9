package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// ErrLost is the end of a connection that nobody asked for.
var ErrLost = errors.New("the connection was lost")

// DisconnectedError is a DISCONNECT packet from the server, 5.0.
type DisconnectedError struct {
	Reason mqtt.ReasonCode
	Text   string
}

func (e *DisconnectedError) Error() string {
	if e.Text != "" {
		return fmt.Sprintf("the server disconnected: %s (%s)", e.Reason, e.Text)
	}
	return fmt.Sprintf("the server disconnected: %s", e.Reason)
}

// Conn is one Network Connection with an accepted CONNECT. Publish and Flush
// may be called from any goroutine, Next from one at a time.
type Conn struct {
	// SessionPresent is the flag of CONNACK.
	SessionPresent bool

	opts      Options
	id        string // Client Identifier, as far as it is known
	session   *Session
	net       net.Conn
	window    chan struct{} // one slot taken for each unacknowledged publication
	keepAlive time.Duration
	maxPacket int // bytes, 0: no limit
	maxQoS    mqtt.QoS
	noRetain  bool

	writing chan struct{} // one slot: the right to write
	out     []byte        // encoded packet; owned by the holder of writing

	in      []byte            // bytes read; owned by the reader
	taken   int               // how many of them belong to the packet last read
	aliases map[uint16]string // of the server; owned by the reader

	events  chan Event
	last    *Message // handed out by Next, not yet acknowledged
	closing chan struct{}
	done    chan struct{} // closed with err set
	err     error
	end     sync.Once
	workers sync.WaitGroup

	activity struct { // nanoseconds of Unix time
		sent, received atomic.Int64
	}
	pinged     atomic.Bool // PINGREQ without PINGRESP
	delivering atomic.Bool // the reader waits for the consumer
}

const (
	writeTimeout = 30 * time.Second // for each chunk, so that slow links pass
	writeChunk   = 64 << 10
	closeTimeout = time.Second
	eventBuffer  = 16
	maxReadStep  = 256 << 10
)

func newConn(raw net.Conn, o Options, s *Session) *Conn {
	c := &Conn{
		opts: o, id: o.ClientID, session: s, net: raw, maxQoS: mqtt.ExactlyOnce,
		keepAlive: time.Duration(o.KeepAlive) * time.Second,
		writing:   make(chan struct{}, 1),
		events:    make(chan Event, eventBuffer),
		closing:   make(chan struct{}), done: make(chan struct{}),
	}
	c.window = make(chan struct{}, 1)
	return c
}

func (c *Conn) start() {
	c.touch(&c.activity.sent)
	c.touch(&c.activity.received)
	c.workers.Go(c.read)
	if c.keepAlive > 0 {
		c.workers.Go(c.keep)
	}
}

// fail ends the connection with err; the first one counts.
func (c *Conn) fail(err error) {
	c.end.Do(func() {
		c.err = err
		close(c.done)
		c.net.Close()
	})
}

// abort fails and waits for the goroutines.
func (c *Conn) abort(err error) {
	c.fail(err)
	c.workers.Wait()
}

// Abort closes the Network Connection without DISCONNECT.
func (c *Conn) Abort() { c.abort(net.ErrClosed) }

// Close acknowledges what Next handed out, sends DISCONNECT with the Reason
// Code and properties (both 5.0 only) and closes. Afterward it reads for up
// to a second until the server has closed too: closing at once with unread
// data would reset the connection, and the server might never see the
// DISCONNECT.
func (c *Conn) Close(reason mqtt.ReasonCode, props packet.Properties) error {
	err := c.acknowledge()
	close(c.closing)
	if err == nil {
		err = c.write(&packet.View{Type: packet.DISCONNECT, Reason: reason, Properties: props})
	}
	if hc, ok := c.net.(halfCloser); ok && err == nil {
		hc.CloseWrite()
		c.net.SetReadDeadline(time.Now().Add(closeTimeout))
	} else {
		c.net.Close()
	}
	select {
	case <-c.done:
	case <-time.After(closeTimeout):
	}
	c.abort(net.ErrClosed)
	return err
}

// write sends one packet. It blocks for as long as the peer does not read,
// at most writeTimeout for each chunk.
func (c *Conn) write(v *packet.View) error {
	select {
	case c.writing <- struct{}{}:
	case <-c.done:
		return c.err
	}
	defer func() { <-c.writing }()
	c.traceSent(v)
	c.out = packet.Append(c.out[:0], c.opts.Version, v)
	for rest := c.out; len(rest) > 0; {
		n := min(len(rest), writeChunk)
		c.net.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err := c.net.Write(rest[:n]); err != nil {
			err = fmt.Errorf("%w: %w", ErrLost, err)
			c.fail(err)
			return err
		}
		rest = rest[n:]
	}
	if cap(c.out) > maxReadStep {
		c.out = nil
	}
	c.touch(&c.activity.sent)
	return nil
}

// readPacket blocks for one whole packet. v borrows c.in until the next call.
func (c *Conn) readPacket(v *packet.View) error {
	c.in = c.in[:copy(c.in, c.in[c.taken:])]
	c.taken = 0
	for {
		n, err := packet.Frame(c.in, 0)
		if err != nil {
			return err
		}
		if n > 0 && n <= len(c.in) {
			c.taken = n
			return packet.Decode(c.in[:n], c.opts.Version, v)
		}
		if len(c.in) == cap(c.in) {
			grown := make([]byte, len(c.in), max(4096, 2*cap(c.in)))
			copy(grown, c.in)
			c.in = grown
		}
		m, err := c.net.Read(c.in[len(c.in):cap(c.in)])
		c.in = c.in[:len(c.in)+m]
		if m > 0 {
			c.touch(&c.activity.received)
			continue
		}
		if err == nil {
			continue
		}
		if errors.Is(err, io.EOF) {
			return ErrLost
		}
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
}

func (c *Conn) touch(at *atomic.Int64) { at.Store(time.Now().UnixNano()) }

// keep sends PINGREQ when either direction was silent for the Keep Alive
// interval [MQTT-3.1.2-20], and gives the connection up when no answer came
// within another one.
func (c *Conn) keep() {
	t := time.NewTimer(c.keepAlive)
	defer t.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-c.closing:
			return
		case <-t.C:
		}
		oldest := min(c.activity.sent.Load(), c.activity.received.Load())
		if left := c.keepAlive - time.Since(time.Unix(0, oldest)); left > 0 {
			t.Reset(left)
			continue
		}
		if c.pinged.Load() && !c.delivering.Load() {
			c.fail(fmt.Errorf("%w: no PINGRESP within %s", ErrLost, c.keepAlive))
			return
		}
		c.pinged.Store(true)
		if c.write(&packet.View{Type: packet.PINGREQ}) != nil {
			return
		}
		t.Reset(c.keepAlive)
	}
}

func (c *Conn) acquire(ctx context.Context) error {
	select {
	case c.window <- struct{}{}:
		return nil
	case <-c.done:
		return c.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
