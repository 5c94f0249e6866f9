package conn

import (
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// parkedMax is how many acknowledgements may wait for the store, and bytes of
// PINGRESP for the socket, before the connection is no longer read.
const parkedMax = 4096

// reply is one parked acknowledgement: its size in the buffer of replies and
// what its leaving means.
type reply struct {
	sequence uint64
	size     int
	frees    bool // the client may send one more PUBLISH [MQTT-4.9.0-2]
	opens    bool // CONNACK: messages may follow
}

// pending is what one batch of input produced, not yet given to the writer.
type pending struct {
	bytes   []byte
	replies []reply
	urgent  []byte // PINGRESP: promises nothing, waits for nothing
	wake    bool
}

// acknowledge encodes one acknowledgement; why explains a failure to a client
// that asked for it [MQTT-3.1.2-29].
func (c *Conn) acknowledge(t packet.Type, id uint16, code mqtt.ReasonCode, why string) error {
	v := packet.View{Type: t, ID: id, Reason: code}
	var r reply
	switch t {
	case packet.SUBACK, packet.UNSUBACK:
		v.Reasons = c.reasons
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
	p, limit := &c.pending, int(c.request.MaximumPacketSize)
	n := len(p.bytes)
	p.bytes = packet.Append(p.bytes, c.version(), v)
	if limit > 0 && len(p.bytes)-n > limit {
		v.Properties.Has &^= packet.HasReasonString
		p.bytes = packet.Append(p.bytes[:n], c.version(), v)
	}
	r.size = len(p.bytes) - n
	if limit > 0 && r.size > limit {
		p.bytes = p.bytes[:n]
		return mqtt.Errorf(mqtt.PacketTooLarge, "MQTT-3.1.2-24", "%d bytes to send, the client's Maximum Packet Size is %d", r.size, limit)
	}
	p.replies = append(p.replies, r)
	return nil
}

func (c *Conn) pong() {
	c.pending.urgent = packet.Append(c.pending.urgent, c.version(), &packet.View{Type: packet.PINGRESP})
}

// settle commits what the batch changed and parks its acknowledgements behind
// that sequence. This is one of the two call sites of the write barrier.
func (c *Conn) settle() {
	p := &c.pending
	if len(p.replies) == 0 && len(p.urgent) == 0 && !p.wake {
		return
	}
	w := &c.w
	if c.recorded && len(p.replies) > 0 {
		c.sequence = c.cfg.Barrier.Commit()
		c.recorded = false
	}
	for i := range p.replies {
		p.replies[i].sequence = c.sequence
	}
	w.Lock()
	w.bytes = append(w.bytes, p.bytes...)
	w.parked = append(w.parked, p.replies...)
	w.urgent = append(w.urgent, p.urgent...)
	w.Unlock()
	p.bytes, p.replies, p.urgent, p.wake = p.bytes[:0], p.replies[:0], p.urgent[:0], false
	c.kickWriter()
	w.Lock()
	for (len(w.parked) >= parkedMax || len(w.urgent) >= parkedMax) && !w.closing {
		w.room.Wait()
	}
	w.Unlock()
}

// release moves the parked replies that may leave to dst; it returns the
// sequence the next one waits for, 0 if none does. The caller holds w.
func (c *Conn) release(dst *[]byte, durable uint64) (waits uint64) {
	w := &c.w
	n, size := 0, 0
	for n < len(w.parked) && w.parked[n].sequence <= durable {
		r := &w.parked[n]
		size += r.size
		w.open = w.open || r.opens
		if r.frees && c.unacked.Add(-1) < 0 {
			// A PUBREL from an earlier connection: its PUBLISH was never counted
			// here [MQTT-4.9.0-2].
			c.unacked.Store(0)
		}
		n++
	}
	*dst = append(*dst, w.bytes[:size]...)
	w.bytes = w.bytes[:copy(w.bytes, w.bytes[size:])]
	w.parked = w.parked[:copy(w.parked, w.parked[n:])]
	if n > 0 {
		c.out.Packets += uint64(n)
		w.room.Broadcast()
	}
	if len(w.parked) > 0 {
		waits = w.parked[0].sequence
	}
	return waits
}
