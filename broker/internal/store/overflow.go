package store

import (
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/overflow"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// maxTopics bounds the topics whose newest entry a queue remembers, for
// LastValue; that of others is not replaced.
const maxTopics = 10_000

// maxTightBytes is how many bytes a queue that spills may have in memory while
// the disk takes nothing.
const maxTightBytes = 1 << 20

// What a queue gives up at a time while the disk is full: a file of the store at
// least, wherever it begins. So often may as much as maxTightBytes come before the
// disk takes something.
const (
	rotatedBytes = 2 << 20
	maxRotated   = 3
)

// Tight says whether the store cannot put on disk what does not fit into
// memory, and how many bytes it has so far.
func (q *Queue) Tight(tight bool, spilled uint64) {
	if q.tight != tight {
		q.tight, q.tightBytes, q.tightSince = tight, 0, q.last
	}
	if q.spilled != spilled {
		q.spilled, q.rotated = spilled, 0
	}
}

// Bound gives the queue another size, age and policy; what is too much then
// gives way with the next message.
func (q *Queue) Bound(bytes int64, age time.Duration, o overflow.Policy) {
	q.limits.Bytes, q.limits.Age, q.limits.Overflow = bytes, age, o
	q.newest = nil
	if o != overflow.LastValue {
		return
	}
	q.newest = make(map[stream]uint64)
	for i := range q.entries {
		q.note(&q.entries[i].Message, q.entries[i].Seq)
	}
}

// Rejects reports whether a message that finds no room is refused.
func (q *Queue) Rejects() bool { return q.limits.Overflow == overflow.Reject }

// Full reports whether a message of that size would have to be refused.
func (q *Queue) Full(size int) bool {
	return q.messages()+1 > q.limits.Messages || q.bytes+int64(size) > q.limits.Bytes || q.overloads(int64(size))
}

// overloads reports whether there is no room in memory for what the disk does
// not take.
func (q *Queue) overloads(size int64) bool { return q.tight && q.tightBytes+size > maxTightBytes }

// makeRoom gives up entries until m fits; false if m is what gives way.
func (q *Queue) makeRoom(m *mqtt.Message, size int64) bool {
	if q.limits.Overflow == overflow.Downsample && q.sampled() {
		q.drops[mqtt.DropSampled]++
		return false
	}
	for q.Full(int(size)) {
		// What could not fit an empty queue must not empty this one.
		if size > q.limits.Bytes || !q.giveWay(m, size) {
			q.drops[mqtt.DropFull]++
			return false
		}
	}
	return true
}

// giveWay gives up one entry, or one block, for m; false if there is none.
func (q *Queue) giveWay(m *mqtt.Message, size int64) bool {
	overloads := q.overloads(size)
	switch q.limits.Overflow {
	case overflow.DropNewest, overflow.Reject:
		return false
	case overflow.LastValue:
		seq, ok := q.newest[streamOf(m)]
		if ok && (!overloads || seq > q.tightSince) && q.Withdraw(seq, mqtt.DropReplaced) {
			delete(q.newest, streamOf(m))
			if overloads { // m takes its place, whatever the estimate of its size was
				q.tightBytes = min(q.tightBytes, maxTightBytes-size)
			}
			return true
		}
	}
	if overloads && (q.rotate(size) || q.limits.Overflow == overflow.LastValue) {
		return !q.overloads(size)
	}
	for i := q.next; i < len(q.entries); i++ {
		if q.entries[i].Sent == 0 {
			q.drop(i, mqtt.DropFull)
			return true
		}
	}
	if len(q.blocks) == 0 {
		return false
	}
	// The last block is what memory holds if the disk takes nothing.
	only := len(q.blocks) == 1
	if q.dropBlock(mqtt.DropFull); only {
		q.tightBytes = 0
	}
	return !q.tight || only || q.tightBytes <= maxTightBytes
}

// rotate makes room in memory while the disk takes nothing. What is older is on
// disk: some of it gives way, so that the store can remove a file and put what is
// in memory in its place. It reports whether there is room: if nothing came to the
// disk after some times, somebody else has filled it.
func (q *Queue) rotate(size int64) bool {
	if len(q.blocks) == 0 || size > maxTightBytes {
		return false
	}
	if b := &q.blocks[0]; b.Last > q.tightSince { // there is nothing on disk
		q.tightBytes -= max(b.Bytes, 0)
		q.dropBlock(mqtt.DropFull)
		return true
	}
	if q.rotated == maxRotated {
		return false
	}
	q.rotated++
	for given := int64(0); given < rotatedBytes && len(q.blocks) > 0 && q.blocks[0].Last <= q.tightSince; {
		given += max(q.blocks[0].Bytes, 0)
		q.dropBlock(mqtt.DropFull)
	}
	q.tightBytes = 0
	return true
}

// sampled decides about a message of a queue that thins out.
func (q *Queue) sampled() bool {
	free := min(1-float64(q.messages())/float64(q.limits.Messages), 1-float64(q.bytes)/float64(q.limits.Bytes))
	return q.sampler.Skips(free)
}

// stream is what of a topic gives way to its next, for LastValue. A retained
// message is what the other side will hold: a plain one is not its next.
type stream struct {
	topic  string
	retain bool
}

func streamOf(m *mqtt.Message) stream { return stream{m.Topic, m.Retain} }

// note remembers the newest entry of a stream.
func (q *Queue) note(m *mqtt.Message, seq uint64) {
	s := streamOf(m)
	if _, known := q.newest[s]; known || len(q.newest) < maxTopics {
		q.newest[s] = seq
	}
}

// aged reports whether an entry is too old. One from before the clock was set
// has no age, unless the clock that nobody sets can tell it.
func (q *Queue) aged(now, at time.Time) bool {
	if q.limits.Age <= 0 || now.Sub(at) <= q.limits.Age {
		return false
	}
	return mqtt.ClockSet(at) || !mqtt.ClockSet(now) || at != at.Round(0)
}

// dropOld makes room at the head only: a full scan would make every Push linear
// in the backlog.
func (q *Queue) dropOld(now time.Time) {
	for len(q.entries) > 0 && q.entries[0].Sent == 0 {
		switch e := &q.entries[0]; {
		case e.Message.Expired(now):
			q.drop(0, mqtt.DropExpired)
		case q.aged(now, e.At):
			q.drop(0, mqtt.DropAged)
		default:
			return
		}
	}
	for len(q.entries) == q.next && len(q.blocks) > 0 && q.aged(now, q.blocks[0].Until) {
		q.dropBlock(mqtt.DropAged)
	}
}
