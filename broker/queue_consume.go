package broker

import (
	"context"
	"fmt"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// loadBytes is how much is read from disk at a time.
const loadBytes = 64 << 10

// load brings the entries behind the head into memory if the head is used up.
// It reports whether there may be an entry now.
func (q *Queue) load() (bool, error) {
	q.state.Lock()
	want, after, last := q.state.entries.Behind()
	q.state.Unlock()
	if !want {
		return false, nil
	}
	return q.loadFrom(after, last)
}

func (q *Queue) loadFrom(after, last uint64) (bool, error) {
	q.hub.router.Settled() // what was queued so far is with the store now
	entries, upTo, err := q.hub.durable.ReadTo(&q.room, q.ClientID(), after, loadBytes)
	if err != nil {
		return false, fmt.Errorf("queue %s: %w", q.name, err)
	}
	if len(entries) == 0 {
		upTo = max(upTo, last) // the store has nothing of what was counted
	}
	q.state.Lock()
	defer q.state.Unlock()
	q.state.entries.Load(entries, upTo)
	q.book(leastBooked)
	if _, _, last := q.state.entries.Behind(); upTo >= last {
		q.room = store.Room{}
	}
	q.room.Clear() // what the messages point to is the head's
	q.room.Lends = true
	return len(entries) > 0, nil
}

// Next waits for the next entry not yet handed out since the last Rewind, in
// order.
func (q *Queue) Next(ctx context.Context) (mqtt.Queued, error) {
	for {
		if e, ok, err := q.Take(ctx); ok || err != nil {
			return e, err
		}
		select {
		case <-q.wake:
		case <-q.done:
		case <-ctx.Done():
			return mqtt.Queued{}, ctx.Err()
		}
	}
}

// Take is Next that does not wait for an entry: ok is false when there is none
// now. ctx bounds the wait for the store, for a message of QoS 2 and the first
// one since Rewind.
func (q *Queue) Take(ctx context.Context) (e mqtt.Queued, ok bool, err error) {
	select {
	case <-q.done:
		return mqtt.Queued{}, false, ErrQueueClosed
	default:
	}
	first := false
	for again := true; again; {
		q.state.Lock()
		e, ok = q.state.entries.Next(time.Now())
		first = ok && !q.state.consumed
		q.state.consumed = q.state.consumed || ok
		q.letGo()
		q.state.Unlock()
		if ok {
			break
		}
		if again, err = q.load(); err != nil {
			return e, false, err
		}
	}
	if first { // from now on nobody knows what was handed out
		q.hub.router.Persist(store.Record{Kind: store.HandedOut, ClientID: q.ClientID()})
	}
	if ok && (first || e.Message.QoS == mqtt.ExactlyOnce) {
		// As with sessions: not before its record is safe.
		q.hub.router.Settled()
		if q.hub.barrier(ctx); ctx.Err() != nil { // if the store fails, memory is all there is
			return mqtt.Queued{}, false, ctx.Err()
		}
	}
	return e, ok, nil
}

// Ready receives after Take had nothing and there may be something again.
func (q *Queue) Ready() <-chan struct{} { return q.wake }

// Rewind makes Next hand out all entries that were not removed again, in
// order, before newer ones. Call it when what they were handed to has ended,
// too: then a later process knows which they are.
func (q *Queue) Rewind() {
	q.state.Lock()
	q.state.entries.Rewind()
	q.state.Unlock()
	q.noteHanded()
	q.signal()
}

// noteHanded tells the store what was handed out, until Take hands out more.
func (q *Queue) noteHanded() {
	q.state.Lock()
	q.state.consumed = false
	handed := q.state.entries.Handed()
	q.state.Unlock()
	if handed > 0 {
		q.hub.router.Persist(store.Record{Kind: store.HandedOut, ClientID: q.ClientID(), Number: handed})
		q.hub.router.Commit()
	}
}

// Received records that the other side owns the entries; durable when it
// returns nil. An entry that is not there is no error.
func (q *Queue) Received(ctx context.Context, seqs ...uint64) error {
	return q.record(ctx, q.state.entries.Received, store.DeliveryReceived, seqs...)
}

// Remove takes out entries that the destination acknowledged; durable when it
// returns nil. An entry that is not there is no error.
func (q *Queue) Remove(ctx context.Context, seqs ...uint64) error {
	return q.record(ctx, q.state.entries.Remove, store.DeliveryDone, seqs...)
}

// unrecorded is how many acknowledgements Acknowledged gathers for one write.
const unrecorded = 256

// recordTimeout bounds the wait of Acknowledged.
const recordTimeout = 10 * time.Second

// Acknowledged is Remove that gathers what it writes: a killed process may have
// up to twice unrecorded entries again, and those of the last Interval, which
// costs messages sent again. It waits only while the disk is so far behind, for
// at most 10 s.
func (q *Queue) Acknowledged(ctx context.Context, seqs ...uint64) error {
	n := q.change(q.state.entries.Remove, store.DeliveryDone, seqs)
	q.state.Lock()
	q.state.settled += n
	due, before := q.state.settled >= unrecorded, q.state.promised
	if due {
		q.state.settled, q.state.promised = 0, q.hub.router.Commit()
	}
	q.state.Unlock()
	if !due {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	return q.hub.reached(ctx, before)
}

// Drop gives up an entry that will not reach the destination, for the reason
// that is counted; durable when it returns nil. An entry that is not there is no
// error.
func (q *Queue) Drop(ctx context.Context, seq uint64, why mqtt.DropReason) error {
	return q.record(ctx, func(seq uint64) bool { return q.state.entries.Drop(seq, why) }, store.DeliveryDone, seq)
}

// Withdraw is Drop of an entry that was never handed out; one that was stays. It
// reports whether the entry has gone.
func (q *Queue) Withdraw(ctx context.Context, seq uint64, why mqtt.DropReason) (bool, error) {
	q.state.Lock()
	gone := q.state.entries.Withdraw(seq, why)
	q.letGo()
	q.book(leastBooked)
	q.state.Unlock()
	if !gone {
		return false, nil
	}
	return true, q.hub.barrier(ctx)
}

// record changes entries and records those that changed; they share the wait
// for the disk.
func (q *Queue) record(ctx context.Context, f func(seq uint64) bool, k store.Kind, seqs ...uint64) error {
	if q.change(f, k, seqs) == 0 {
		return nil
	}
	return q.hub.barrier(ctx)
}

// change changes entries and gives those that changed to the store.
func (q *Queue) change(f func(seq uint64) bool, k store.Kind, seqs []uint64) (changed int) {
	all := make([]uint64, 0, 32)
	q.state.Lock()
	for _, seq := range seqs {
		if f(seq) {
			all = append(all, seq)
		}
	}
	q.book(leastBooked)
	q.state.Unlock()
	name := q.ClientID()
	for i := 0; i < len(all); i++ {
		r := store.Record{Kind: k, ClientID: name, Number: all[i]}
		if k == store.DeliveryDone { // those in a row are one record
			for first := i; i+1 < len(all) && all[i+1] == all[i]+1; i++ {
				r.From, r.Number = all[first], all[i+1]
			}
		}
		q.hub.router.Persist(r)
	}
	return len(all)
}

// headPage is how many entries of the head are looked at under its lock.
const headPage = 64

// Each calls f for the entries behind the Seq after, in order, until f returns
// false. Nothing is handed out by it. f may call the queue, and what it is
// given may have gone meanwhile.
func (q *Queue) Each(after uint64, f func(*mqtt.Queued) bool) {
	last, behind := after, false
	page := make([]mqtt.Queued, 0, headPage)
	for full := true; full; full = len(page) == headPage {
		page = page[:0]
		q.state.Lock()
		behind = q.state.entries.Each(last, func(e *mqtt.Queued) bool {
			page = append(page, *e)
			return len(page) < headPage
		})
		q.state.Unlock()
		for i := range page {
			if last = page[i].Seq; !f(&page[i]) {
				return
			}
		}
	}
	for behind {
		q.hub.router.Settled()
		entries, upTo, err := q.hub.durable.Read(q.ClientID(), last, loadBytes)
		if err != nil {
			q.hub.log.Error("a queue cannot be read", "queue", q.name, "err", err)
		}
		if err != nil || len(entries) == 0 {
			return
		}
		for i := range entries {
			e := &entries[i]
			m := *e.Message
			m.QoS = e.QoS
			if !f(&mqtt.Queued{Seq: e.Number, Message: m, At: e.At, Received: e.Received}) {
				return
			}
		}
		last = upTo
	}
}
