package conn

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

const (
	flushSize = 64 << 10  // where a write stops growing, in bytes
	passMax   = flushSize // behind a socket that takes nothing, QoS 0 waits in the session
)

// writer is what the reader, the router and the writing goroutine share.
type writer struct {
	sync.Mutex
	room     *sync.Cond // a parked reply left, or the connection closes; nil in a loop
	running  bool       // a writing goroutine exists; there is at most one
	again    bool       // it must look once more before it ends
	open     bool       // CONNACK has left
	closing  bool
	shaking  bool          // the transport's handshake goes on: nothing may be written
	finished bool          // the last write is over, the socket gives nothing more
	worded   bool          // the last packet was encoded
	cause    error         // why the connection closes
	hold     uint64        // nothing is read before this sequence is durable; 0: no need
	parked   *pending      // acknowledgements that wait; nil for none
	ended    chan struct{} // closed when finished is set; nil in a loop
	done     chan struct{} // what Done returns; nil before its first call
	gone     bool          // the connection has ended
	notified uint64        // the sequence that a Notify is outstanding for
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// kickWriter makes sure that what is there will be written. It never waits,
// and costs a goroutine only when none is at work.
func (c *Conn) kickWriter() {
	if c.loop != nil {
		c.loop.mark(c)
		return
	}
	w := &c.w
	w.Lock()
	defer w.Unlock()
	w.begin() // a Kick may come before Serve
	if w.shaking {
		if w.closing {
			c.nc.SetDeadline(time.Unix(1, 0)) // a failure means it is closed already
		}
		return
	}
	if w.finished {
		return
	}
	w.again = true
	if !w.running {
		w.running = true
		go c.writeAll() // Serve waits for ended
	}
}

// begin makes what the goroutines of a connection tell each other with. The
// caller holds w.
func (w *writer) begin() {
	if w.ended == nil {
		w.room, w.ended = sync.NewCond(w), make(chan struct{})
	}
}

// changed tells a reader that waits for room. The caller holds w.
func (w *writer) changed() {
	if w.room != nil {
		w.room.Broadcast()
	}
}

// shut makes the writer send what may still leave and one last packet that
// says why, and close. Only the first call counts.
func (c *Conn) shut(err error) {
	w := &c.w
	w.Lock()
	if !w.closing {
		w.closing, w.cause = true, err
		w.changed()
		if w.running && c.loop == nil { // it may be stuck in a write, with all the time of one
			c.nc.SetWriteDeadline(time.Now().Add(closeTimeout)) // a failure means it is closed already
		}
	}
	w.Unlock()
	c.kickWriter()
}

// writeAll writes until there is nothing more to write.
func (c *Conn) writeAll() {
	defer c.recoverWriter()
	buf := buffers.Get().(*[]byte)
	defer func() { recycle(buf) }()
	for {
		*buf = (*buf)[:0]
		closing, err := c.fill(buf, time.Now())
		if err != nil {
			c.shut(err)
			continue
		}
		if len(*buf) > 0 {
			n := beyond(cap(*buf))
			c.holdOutput(n)
			err := c.flush(*buf, closing)
			c.holdOutput(-n)
			if err != nil {
				c.finish(err)
				return
			}
		}
		if closing {
			c.finish(nil)
			return
		}
		if len(*buf) > 0 {
			continue
		}
		c.w.Lock()
		if !c.w.again && !c.w.closing {
			c.w.running = false
			c.w.Unlock()
			return
		}
		c.w.Unlock()
	}
}

// spare is one buffer in front of the pool: a message that comes alone is over
// before the next one needs it, and finds it in one place.
var spare atomic.Pointer[[]byte]

const spareMax = 8 << 10 // bytes that stay there for ever

func takeBuffer() *[]byte {
	if buf := spare.Swap(nil); buf != nil {
		return buf
	}
	return buffers.Get().(*[]byte)
}

// recycle gives a buffer back for other connections. One that a large packet
// has grown is left to the collector.
func recycle(buf *[]byte) {
	if cap(*buf) > 2*flushSize {
		return
	}
	*buf = (*buf)[:0]
	if cap(*buf) > spareMax || !spare.CompareAndSwap(nil, buf) {
		buffers.Put(buf)
	}
}

// fill appends to dst what may leave now. An error says that what is parked
// never will.
func (c *Conn) fill(dst *[]byte, now time.Time) (closing bool, err error) {
	w := &c.w
	w.Lock()
	w.again = false
	pongs, waits, failed := c.release(dst)
	closing = w.closing
	var final []byte
	if closing && !w.worded {
		// Only now: whether the CONNACK has left decides what the last packet is.
		final, w.worded = c.lastPacket(w.cause, w.open), true
	}
	open, ask := w.open, waits != w.notified
	w.notified = waits
	w.Unlock()
	for open {
		rest := c.pull(dst, now, closing)
		if closing || !rest || len(*dst) >= flushSize || !c.clear() && !c.cfg.Router.Resume(now, c.peer) {
			break
		}
	}
	c.out.Packets += uint64(pongs)
	for ; pongs > 0; pongs-- { // last: who asks for PINGRESP to know that nothing is on the way is told so
		*dst = append(*dst, byte(packet.PINGRESP)<<4, 0)
	}
	if closing {
		*dst = append(*dst, final...)
		if len(final) > 0 {
			c.out.Packets++
		}
		return true, nil
	}
	if waits > 0 && failed != nil {
		return false, mqtt.Errorf(mqtt.ImplementationSpecificError, "", "the store failed")
	}
	if waits > 0 && ask {
		c.cfg.Barrier.Notify(waits, c.kickWriter)
	}
	return false, nil
}

// clear lets QoS 2 messages go whose records are safe, and asks to be woken for
// the others. It reports whether there were any to let go.
func (c *Conn) clear() bool {
	held := c.peer.held()
	if held == 0 {
		return false
	}
	c.cfg.Barrier.Settled()
	sequence := c.cfg.Barrier.Commit()
	// If the store fails, memory is all there is.
	if done, err := c.cfg.Barrier.Status(sequence); done || err != nil {
		c.peer.clear(held)
		return true
	}
	if peer := c.peer; c.waits < sequence {
		c.waits = sequence
		c.cfg.Barrier.Notify(sequence, func() {
			peer.clear(held)
			c.Wake()
		})
	}
	return false
}

// pull takes what went past the session, and encodes what the session may send
// until dst is one write; nothing while a SUBACK has not left. rest says that clear or Resume may give it more.
func (c *Conn) pull(dst *[]byte, now time.Time, closing bool) (rest bool) {
	s := &c.peer.state
	s.Lock()
	defer s.Unlock()
	c.flowing = !closing
	if c.granting.Load() > 0 {
		return false
	}
	if passed := c.passed; passed != nil {
		c.dropPassed()
		if len(*dst) == 0 {
			*dst, *passed = *passed, *dst
		} else {
			*dst = append(*dst, *passed...)
		}
		recycle(passed)
		n := uint64(c.passing)
		c.out.Add(Traffic{Packets: n, Publishes: n, Payload: uint64(c.payload)})
		c.passing, c.payload = 0, 0
	}
	c.waiting = false
	if s.session.Idle() {
		return s.backlog != nil
	}
	for !closing && len(*dst) < flushSize {
		m, ok := s.session.Next(now)
		if !ok {
			break
		}
		*dst = c.encode(*dst, now, &m, s.session)
	}
	c.waiting = !s.session.Idle()
	c.peer.letGo()
	return s.backlog != nil || s.session.Held() > 0
}

// flush writes all of b. The deadline is one of progress: a slow client may
// take long, a client that takes nothing is given up.
func (c *Conn) flush(b []byte, last bool) error {
	defer c.sent.take(&c.out)
	for len(b) > 0 {
		if err := c.armWrite(last); err != nil {
			return err
		}
		n, err := c.nc.Write(b)
		c.out.Bytes += uint64(n)
		b = b[n:]
		if _, closing := c.cause(); err == nil || n > 0 && !closing && errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.cfg.Counters.SlowConsumers.Add(1)
		}
		return err
	}
	return nil
}

// armWrite bounds the next write. It and shut cannot overtake each other: a
// connection that closes has little time, whatever it is writing.
func (c *Conn) armWrite(last bool) error {
	c.w.Lock()
	defer c.w.Unlock()
	limit := writeTimeout
	if last || c.w.closing {
		limit = closeTimeout
	}
	return c.nc.SetWriteDeadline(time.Now().Add(limit))
}

// cause is why the connection closes, if it does.
func (c *Conn) cause() (err error, closing bool) {
	c.w.Lock()
	defer c.w.Unlock()
	return c.w.cause, c.w.closing
}

// finish ends the writing for good and makes the reader see it.
func (c *Conn) finish(err error) {
	w := &c.w
	w.Lock()
	w.closing, w.finished, w.running = true, true, false
	if w.cause == nil {
		w.cause = err
	}
	w.changed()
	w.Unlock()
	// The reader may still wait for input; its own loop closes the socket
	// after the last packet had its time.
	c.nc.SetReadDeadline(time.Unix(1, 0)) // a failure means it is closed already
	close(w.ended)
}

func (c *Conn) recoverWriter() {
	if p := recover(); p != nil {
		c.finish(c.panicked(p))
	}
}
