package conn

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// How many acknowledgements may wait for the store, and PINGRESP for the socket,
// before the connection is no longer read.
const (
	parkedMax = 4096
	pongsMax  = 2048
)

// reply is one parked acknowledgement: its size in the buffer of replies and
// what its leaving means.
type reply struct {
	sequence uint64
	size     int32
	frees    bool // the client may send one more PUBLISH [MQTT-4.9.0-2]
	opens    bool // CONNACK: messages may follow
	grants   bool // SUBACK: messages may follow
}

// pending is what batches of input produced: first the reader's own, then
// given to the writer.
type pending struct {
	bytes   []byte // the replies, encoded
	replies []reply
	pongs   int // PINGRESP: promises nothing, waits for nothing but what is on the way to the client
	wake    bool
	held    int32 // what counts as output
}

// pendings keeps those that are empty, so that an idle connection has none;
// sparePending is one in front of it, as spare is.
var (
	pendings     = sync.Pool{New: func() any { return new(pending) }}
	sparePending atomic.Pointer[pending]
)

func takePending() *pending {
	if p := sparePending.Swap(nil); p != nil {
		return p
	}
	return pendings.Get().(*pending)
}

// recycle keeps p, which is empty, for another batch, unless a long one has
// grown it.
func (p *pending) recycle() {
	if cap(p.bytes) > flushSize || cap(p.replies) > parkedMax {
		return
	}
	if p.size() > spareMax || !sparePending.CompareAndSwap(nil, p) {
		pendings.Put(p)
	}
}

func (p *pending) empty() bool { return len(p.replies) == 0 && p.pongs == 0 }

// full reports whether so much waits that the client is not read any more.
func (p *pending) full() bool { return len(p.replies) >= parkedMax || p.pongs >= pongsMax }

func (p *pending) reset() {
	p.bytes, p.replies, p.pongs, p.wake = p.bytes[:0], p.replies[:0], 0, false
}

// acknowledge encodes one acknowledgement; why explains a failure to a client
// that asked for it [MQTT-3.1.2-29].
func (c *Conn) acknowledge(t packet.Type, id uint16, code mqtt.ReasonCode, why string) error {
	v := packet.View{Type: t, ID: id, Reason: code}
	var r reply
	switch t {
	case packet.SUBACK, packet.UNSUBACK:
		v.Reasons = c.reasons
		r.grants = t == packet.SUBACK
	case packet.PUBACK, packet.PUBCOMP:
		r.frees = true
	case packet.PUBREC:
		r.frees = code.Failed()
	}
	if why != "" && c.request.RequestProblem {
		v.Properties.Has = packet.HasReasonString
		v.Properties.ReasonString = []byte(why)
	}
	c.reasons = c.reasons[:0]
	return c.reply(&v, r)
}

// reply encodes a packet within the client's Maximum Packet Size, without its
// Reason String if need be [MQTT-3.4.2-2]. What is too large without it cannot
// be sent at all [MQTT-3.1.2-24]: the connection cannot go on.
func (c *Conn) reply(v *packet.View, r reply) error {
	p, limit := c.pending, int(c.request.MaximumPacketSize)
	n := len(p.bytes)
	p.bytes = packet.Append(p.bytes, c.version(), v)
	if limit > 0 && len(p.bytes)-n > limit {
		v.Properties.Has &^= packet.HasReasonString
		p.bytes = packet.Append(p.bytes[:n], c.version(), v)
	}
	r.size = int32(len(p.bytes) - n)
	if limit > 0 && int(r.size) > limit {
		p.bytes = p.bytes[:n]
		return mqtt.Errorf(mqtt.PacketTooLarge, "MQTT-3.1.2-24", "%d bytes to send, the client's Maximum Packet Size is %d", r.size, limit)
	}
	p.replies = append(p.replies, r)
	return nil
}

// settle commits what the batch changed and parks its acknowledgements behind
// that sequence. This is one of the two call sites of the write barrier.
func (c *Conn) settle() {
	p := c.pending
	hold := c.recorded && c.cfg.Barrier.Pressed()
	if p.empty() && !p.wake && !hold && !c.ahead {
		return
	}
	if c.recorded && (len(p.replies) > 0 || hold) {
		c.sequence = c.cfg.Barrier.Commit()
		c.recorded = false
	}
	for i := range p.replies {
		p.replies[i].sequence = c.sequence
	}
	c.park(hold)
	c.mayCrowd = true
	c.kickWriter()
	if w := &c.w; w.room != nil {
		w.Lock()
		for c.mustWait() && !w.closing {
			w.room.Wait()
		}
		w.Unlock()
	}
}

// crowded reports whether too many acknowledgements wait, or the store is
// behind. The caller holds w.
func (w *writer) crowded() bool { return w.parked != nil && w.parked.full() || w.hold > 0 }

// mustWait reports whether the client is not read for now. The caller holds w.
func (c *Conn) mustWait() bool {
	return c.w.crowded() || c.ahead && c.w.parked != nil && c.unacked.Load() >= c.maxIn
}

// isAhead reports whether a packet that begins with b is a PUBLISH beyond the
// Receive Maximum while acknowledgements of ours have not left: it is worked
// off when they have, or how much is read at once would decide whether a client
// that sends many of QoS 1 is at fault. Then what it holds up itself is 0x93.
func (c *Conn) isAhead(b byte) bool {
	if packet.Type(b>>4) != packet.PUBLISH || b&6 == 0 || c.maxIn == 0 || c.unacked.Load() < c.maxIn {
		return false
	}
	c.w.Lock()
	defer c.w.Unlock()
	return c.w.parked != nil || len(c.pending.replies) > 0
}

// park gives the pending replies to the writer and leaves empty ones. With
// hold, no more is read until the store has caught up.
func (c *Conn) park(hold bool) {
	w, p := &c.w, c.pending
	w.Lock()
	defer w.Unlock()
	if hold {
		w.hold = c.sequence
	}
	switch {
	case p.empty():
	case w.parked == nil:
		w.parked, c.pending = p, takePending()
	default:
		w.parked.bytes = append(w.parked.bytes, p.bytes...)
		w.parked.replies = append(w.parked.replies, p.replies...)
		w.parked.pongs += p.pongs
		c.holdParked(w.parked, w.parked.size())
	}
	c.pending.reset()
}

// size is what p takes of memory, in bytes.
func (p *pending) size() int {
	return beyond(cap(p.bytes) + cap(p.replies)*int(unsafe.Sizeof(reply{})))
}

// holdParked says what p counts as output from now on.
func (c *Conn) holdParked(p *pending, size int) {
	c.holdOutput(size - int(p.held))
	p.held = int32(size)
}

// release moves what may leave of the parked replies to dst. It returns how
// many PINGRESP may follow what is on the way, and the sequence that the next
// reply waits for, 0 if none does, or why it waits in vain. The caller holds w.
func (c *Conn) release(dst *[]byte) (pongs int, waits uint64, err error) {
	w := &c.w
	if w.hold > 0 {
		if done, failed := c.cfg.Barrier.Status(w.hold); done || failed != nil {
			w.hold = 0
			w.changed()
		}
	}
	p := w.parked
	if p == nil {
		return 0, w.hold, nil
	}
	n, size := 0, 0
	for asked := uint64(0); n < len(p.replies); {
		r := &p.replies[n]
		if r.sequence != asked {
			done, failed := c.cfg.Barrier.Status(r.sequence)
			if err = failed; !done {
				break
			}
			asked = r.sequence
		}
		size += int(r.size)
		w.open = w.open || r.opens
		if r.grants {
			c.granting.Add(-1)
		}
		if r.frees && c.unacked.Add(-1) < 0 {
			// A PUBREL from an earlier connection: its PUBLISH was never counted
			// here [MQTT-4.9.0-2].
			c.unacked.Store(0)
		}
		n++
	}
	c.out.Packets += uint64(n)
	*dst = append(*dst, p.bytes[:size]...)
	if n < len(p.replies) {
		p.bytes = p.bytes[:copy(p.bytes, p.bytes[size:])]
		p.replies = p.replies[:copy(p.replies, p.replies[n:])]
		waits = p.replies[0].sequence
	} else {
		p.bytes, p.replies = p.bytes[:0], p.replies[:0]
	}
	if w.open { // not before CONNACK [MQTT-3.2.0-1]
		pongs, p.pongs = p.pongs, 0
	}
	if p.empty() {
		w.parked = nil
		c.holdParked(p, 0)
		p.recycle()
	}
	w.changed()
	if waits == 0 {
		waits = w.hold
	}
	return pongs, waits, err
}
