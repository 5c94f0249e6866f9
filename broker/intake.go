package broker

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/router"
	"github.com/dunlin-mqtt/dunlin/broker/internal/store"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// Intake decides what a Queue takes. Its methods are called with the queue
// locked, in the order of the messages, while a publisher waits: they must be
// quick and must not call the queue.
type Intake interface {
	// Admit returns what to queue: m itself, a message made from it, or nil for
	// nothing, which the queue does not count. The entry whose Seq is instead, 0
	// for none, gives way to it, unless it was handed out already.
	Admit(now time.Time, m *mqtt.Message) (keep *mqtt.Message, instead uint64)
	// Queued tells the Seq of the message that Admit returned, 0 if there was no
	// room for it, and whether instead gave way: that one counts as dropped.
	Queued(seq uint64, replaced bool)
}

// admit queues what the intake makes of m. The caller holds the state. It
// returns what Deliver does.
func (q *Queue) admit(now time.Time, m *mqtt.Message) (number uint64) {
	keep, instead := q.intake.Admit(now, m)
	if keep == nil {
		return 0
	}
	if keep != m {
		keep.Shareable(new(atomic.Int32)) // its size is another
	}
	replaced := instead != 0 && q.state.entries.Withdraw(instead, mqtt.DropReplaced)
	seq := q.state.entries.Push(now, keep)
	q.intake.Queued(seq, replaced)
	if keep == m || seq == 0 {
		return seq
	}
	q.keep(now, keep, seq)
	return router.Kept
}

// keep records a message that only this queue has.
func (q *Queue) keep(now time.Time, m *mqtt.Message, seq uint64) {
	q.hub.router.Persist(store.Record{Kind: store.MessageQueued, At: now, Message: m, Destinations: []store.Destination{
		{Name: q.ClientID(), Number: seq, QoS: m.QoS, Retain: m.Retain},
	}})
}

// Put queues a message of the consumer's own, past filters and Intake; durable
// when it returns nil. seq is 0 if there was no room.
func (q *Queue) Put(ctx context.Context, m mqtt.Message) (seq uint64, err error) {
	if err := packet.ValidMessage(&m); err != nil {
		return 0, err
	}
	now := time.Now()
	q.hub.router.InOrder(func() {
		q.state.Lock()
		defer q.state.Unlock()
		q.measure()
		m.Shareable(new(atomic.Int32))
		if seq = q.state.entries.Push(now, &m); seq != 0 {
			q.keep(now, &m, seq)
		}
		q.letGo()
	})
	q.signal()
	return seq, q.hub.barrier(ctx)
}

// Refresh queues the retained message of a topic again; when there is none,
// the message that deletes it elsewhere.
func (q *Queue) Refresh(topic string) { q.hub.router.Refresh(time.Now(), q, topic) }
