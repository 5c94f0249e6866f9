package store

import (
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Queue is the FIFO of one durable consumer as a value: bounded by messages
// and bytes, no lock, no clock. At any time
//
//	Accepted = Removed + Dropped + len(queue)
//
// An entry that was handed out is never dropped by overflow, so that the bound
// can be exceeded by at most the entries in flight.
type Queue struct {
	entries     []mqtt.Queued // in order of Seq; entries[:next] were handed out since the last Rewind
	next        int
	last        uint64
	bytes       int64
	inFlight    int
	maxMessages int
	maxBytes    int64
	accepted    uint64
	removed     uint64
	drops       mqtt.Drops
	gone        []uint64 // Seqs dropped since Gone
}

// NewQueue makes a queue that holds at most maxMessages entries of together
// maxBytes bytes; both must be positive. The first entry's Seq is after+1: a
// queue that forgets its entries with the process starts at a place of its own
// each time, since a server upstream may remember what an earlier one sent.
func NewQueue(maxMessages int, maxBytes int64, after uint64) *Queue {
	return &Queue{maxMessages: maxMessages, maxBytes: maxBytes, last: after}
}

// Push adds a message and gives up the oldest entries that were never handed
// out until the queue fits its bounds; a message for which there is no room
// even then is itself the one that is dropped.
// It returns the entry's Seq, 0 if it was dropped.
func (q *Queue) Push(now time.Time, m *mqtt.Message) (seq uint64) {
	q.accepted++
	size := int64(m.Size())
	q.dropExpired(now)
	for len(q.entries)+1 > q.maxMessages || q.bytes+size > q.maxBytes {
		i := q.firstNotSent()
		if i < 0 || size > q.maxBytes { // what could not fit an empty queue must not empty this one
			q.drops[mqtt.DropFull]++
			return 0
		}
		q.drop(i, mqtt.DropFull)
	}
	q.last++
	q.bytes += size
	q.entries = append(q.entries, mqtt.Queued{Seq: q.last, Message: *m, At: now})
	return q.last
}

// Restore puts back an entry that a store has kept; they come in order.
// maybeSent says that it may have been handed out before.
func (q *Queue) Restore(e mqtt.Queued, maybeSent bool) {
	if maybeSent || e.Received {
		e.Sent = 1
		q.inFlight++
	}
	q.accepted++
	q.last = max(q.last, e.Seq)
	q.bytes += int64(e.Message.Size())
	q.entries = append(q.entries, e)
}

// Continue makes the next entry's Seq larger than last.
func (q *Queue) Continue(last uint64) { q.last = max(q.last, last) }

// Gone returns the Seqs of entries that were dropped since it was last called.
func (q *Queue) Gone() []uint64 {
	gone := q.gone
	q.gone = nil
	return gone
}

func (q *Queue) drop(i int, why mqtt.DropReason) {
	q.gone = append(q.gone, q.entries[i].Seq)
	q.delete(i)
	q.drops[why]++
}

// Drop gives up an entry. It reports whether the entry existed.
func (q *Queue) Drop(seq uint64, why mqtt.DropReason) bool {
	i := q.find(seq)
	if i < 0 {
		return false
	}
	q.delete(i)
	q.drops[why]++
	return true
}

// Next hands out the next entry not yet handed out since the last Rewind.
// Expired entries are dropped on the way [MQTT-3.3.2-5], except those the
// other side already owns.
func (q *Queue) Next(now time.Time) (mqtt.Queued, bool) {
	for q.next < len(q.entries) {
		e := &q.entries[q.next]
		if e.Message.Expired(now) && !e.Received {
			q.drop(q.next, mqtt.DropExpired)
			continue
		}
		out := *e
		if e.Sent == 0 {
			q.inFlight++
		}
		e.Sent++
		q.next++
		return out, true
	}
	return mqtt.Queued{}, false
}

// Withdraw gives up an entry that was never handed out, because another one
// takes its place. It reports whether it did.
func (q *Queue) Withdraw(seq uint64) bool {
	i := q.find(seq)
	if i < 0 || q.entries[i].Sent > 0 {
		return false
	}
	q.drop(i, mqtt.DropReplaced)
	return true
}

// Each calls f for the entries behind after, in order, until f returns false.
// Nothing is handed out by it.
func (q *Queue) Each(after uint64, f func(*mqtt.Queued) bool) {
	for i := range q.entries {
		if q.entries[i].Seq > after && !f(&q.entries[i]) {
			return
		}
	}
}

// Rewind lets Next start again with the first entry.
func (q *Queue) Rewind() { q.next = 0 }

// Received marks an entry as owned by the other side. It reports whether the
// entry exists.
func (q *Queue) Received(seq uint64) bool {
	i := q.find(seq)
	if i < 0 {
		return false
	}
	q.entries[i].Received = true
	return true
}

// Remove takes an acknowledged entry out. It reports whether the entry
// existed.
func (q *Queue) Remove(seq uint64) bool {
	i := q.find(seq)
	if i < 0 {
		return false
	}
	q.delete(i)
	q.removed++
	return true
}

// Stats describes the queue at now.
func (q *Queue) Stats(now time.Time) mqtt.QueueStats {
	s := mqtt.QueueStats{
		Messages: len(q.entries), Bytes: q.bytes, InFlight: q.inFlight,
		Accepted: q.accepted, Removed: q.removed, Dropped: q.drops.Total(), Drops: q.drops,
	}
	if len(q.entries) > 0 {
		s.Oldest = now.Sub(q.entries[0].At)
	}
	return s
}

// dropExpired makes room at the head only: a full scan would make every Push
// linear in the backlog.
func (q *Queue) dropExpired(now time.Time) {
	for len(q.entries) > 0 && q.entries[0].Sent == 0 && q.entries[0].Message.Expired(now) {
		q.drop(0, mqtt.DropExpired)
	}
}

// firstNotSent skips what was handed out: entries in flight are a prefix, but
// for the few that were removed out of order.
func (q *Queue) firstNotSent() int {
	for i := q.next; i < len(q.entries); i++ {
		if q.entries[i].Sent == 0 {
			return i
		}
	}
	return -1
}

// find relies on the order of Seq; consumers mostly acknowledge the head.
func (q *Queue) find(seq uint64) int {
	lo, hi := 0, len(q.entries)
	if hi > 0 && q.entries[0].Seq == seq {
		return 0
	}
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if q.entries[mid].Seq < seq {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(q.entries) && q.entries[lo].Seq == seq {
		return lo
	}
	return -1
}

func (q *Queue) delete(i int) {
	e := &q.entries[i]
	q.bytes -= int64(e.Message.Size())
	if e.Sent > 0 {
		q.inFlight--
	}
	if i < q.next {
		q.next--
	}
	if i == 0 {
		// The head is given back to the collector now; the array itself is
		// replaced when append next needs room.
		*e = mqtt.Queued{}
		q.entries = q.entries[1:]
		return
	}
	copy(q.entries[i:], q.entries[i+1:])
	q.entries[len(q.entries)-1] = mqtt.Queued{}
	q.entries = q.entries[:len(q.entries)-1]
}
