package conn

import "sync/atomic"

// Traffic is what went over connections in one direction.
type Traffic struct {
	Packets   uint64
	Bytes     uint64
	Publishes uint64 // PUBLISH packets
	Payload   uint64 // bytes of their payloads
}

// Add adds what another connection carried.
func (t *Traffic) Add(o Traffic) {
	t.Packets += o.Packets
	t.Bytes += o.Bytes
	t.Publishes += o.Publishes
	t.Payload += o.Payload
}

// meter makes the traffic of one direction readable by others. Its owner
// counts in a plain Traffic and hands that over once per batch: there is no
// atomic operation per packet, and none that two connections share.
type meter struct{ packets, bytes, publishes, payload atomic.Uint64 }

// take moves a batch into the meter.
func (m *meter) take(batch *Traffic) {
	m.bytes.Add(batch.Bytes)
	if batch.Packets > 0 {
		m.packets.Add(batch.Packets)
	}
	if batch.Publishes > 0 {
		m.publishes.Add(batch.Publishes)
		m.payload.Add(batch.Payload)
	}
	*batch = Traffic{}
}

func (m *meter) load() Traffic {
	return Traffic{Packets: m.packets.Load(), Bytes: m.bytes.Load(), Publishes: m.publishes.Load(), Payload: m.payload.Load()}
}

// Received is what the client sent so far. Any goroutine may ask.
func (c *Conn) Received() Traffic { return c.received.load() }

// Sent is what the socket took so far. Any goroutine may ask.
func (c *Conn) Sent() Traffic { return c.sent.load() }
