package store

import (
	"sort"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/overflow"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// QueueLimits bound a Queue. Messages and Bytes must be positive.
type QueueLimits struct {
	Messages int
	Bytes    int64
	Age      time.Duration // of an entry; 0 is no bound
	Overflow overflow.Policy
	// Spills says that a store keeps what does not fit into memory; see Load.
	Spills bool
}

// What of a queue that spills is in memory: its head.
const (
	headMessages = 256
	headBytes    = 64 << 10
)

// Queue is the FIFO of one durable consumer as a value: bounded by messages,
// bytes and age; no lock, no clock, no disk. At any time
//
//	Accepted = Removed + Dropped + Messages
//
// The head is in memory. What is behind it is with the store, in blocks of
// which the queue knows only how much there is; Load brings the next of it.
// An entry that was handed out is never dropped by overflow, so that the bounds
// can be exceeded by at most the entries in flight.
type Queue struct {
	limits QueueLimits
	last   uint64 // the last Seq given away
	bytes  int64  // of all, about while something is behind the head

	// The head.
	entries []mqtt.Queued // in order of Seq; entries[:next] were handed out since the last Rewind
	next    int
	here    int64         // bytes of entries
	array   []mqtt.Queued // for entries to be loaded into, while there is something behind the head

	// What is behind it; for behind.go.
	blocks []Block
	behind int    // messages in them
	loaded uint64 // nothing up to this Seq is behind the head

	// Who may have what. Of entries from before the process began, up to the Seq
	// restored, the consumer had those up to before; where that is not known, it may
	// have had the next ones that are loaded, as many as suspect.
	handed   uint64 // the last Seq handed out by this process
	inFlight int
	restored uint64
	before   uint64
	suspect  int

	accepted uint64
	removed  uint64
	drops    mqtt.Drops
	gone     []uint64 // Seqs dropped since Gone
	cuts     []Cut    // ranges of them

	// For overflow.go.
	tight      bool
	tightBytes int64  // queued while it is tight, and in memory
	tightSince uint64 // the last Seq before that
	spilled    uint64 // as Tight was told last
	rotated    int    // times that the oldest on disk gave way since it grew
	newest     map[stream]uint64
	sampler    overflow.Sampler

	// For bill.go.
	unbilled int  // bytes of messages that nobody else holds, which Bill has not said
	billed   int  // bytes of entries themselves, which it has
	released bool // by Release
}

// Cut is a range of Seqs that were dropped together.
type Cut struct{ From, To, Count uint64 }

// NewQueue makes an empty queue. The first entry's Seq is after+1: a queue that
// forgets its entries with the process starts at a place of its own each time,
// since a server upstream may remember what an earlier one sent.
func NewQueue(l QueueLimits, after uint64) *Queue {
	q := &Queue{limits: l, last: after, loaded: after, before: after}
	if l.Overflow == overflow.LastValue {
		q.newest = make(map[stream]uint64)
	}
	return q
}

// Push adds a message, and makes room for it as the policy says; a message for
// which there is no room even then is itself the one that is dropped. It
// returns the entry's Seq, 0 if it was dropped.
func (q *Queue) Push(now time.Time, m *mqtt.Message) (seq uint64) {
	q.accepted++
	size := int64(m.Size())
	q.dropOld(now)
	if !q.makeRoom(m, size) {
		return 0
	}
	q.last++
	q.bytes += size
	if q.newest != nil {
		q.note(m, q.last)
	}
	if q.limits.Spills && (len(q.blocks) > 0 || len(q.entries) >= headMessages || q.here+size > headBytes && len(q.entries) > 0) {
		q.append(now, size)
		return q.last
	}
	q.here += size
	q.loaded = q.last
	q.entries = append(q.entries, mqtt.Queued{Seq: q.last, Message: *m, At: now})
	q.hold(m)
	return q.last
}

// messages is how many there are.
func (q *Queue) messages() int { return len(q.entries) + q.behind }

// Handed is the last Seq that was handed out, or may have been before the
// process began; 0 if that is not known.
func (q *Queue) Handed() uint64 {
	if q.suspects() > 0 {
		return 0
	}
	return max(q.handed, q.before)
}

// Gone returns the Seqs of entries, and the ranges, that were dropped since it
// was last called.
func (q *Queue) Gone() ([]uint64, []Cut) {
	gone, cuts := q.gone, q.cuts
	q.gone, q.cuts = nil, nil
	return gone, cuts
}

func (q *Queue) drop(i int, why mqtt.DropReason) {
	q.gone = append(q.gone, q.entries[i].Seq)
	q.delete(i)
	q.drops[why]++
}

// Drop gives up an entry. It reports whether the entry existed.
//
// One behind the head is believed to: name only what Each has shown.
func (q *Queue) Drop(seq uint64, why mqtt.DropReason) bool {
	if seq > q.loaded {
		return q.dropBehind(seq, why)
	}
	i := q.find(seq)
	if i < 0 {
		return false
	}
	q.delete(i)
	q.drops[why]++
	return true
}

// Next hands out the next entry not yet handed out since the last Rewind.
// Expired entries are dropped on the way [MQTT-3.3.2-5], except those that the
// other side owns, or may: the transfer of an identifier is completed. One that
// is retained is left to the consumer, as what the other side holds ends with it.
func (q *Queue) Next(now time.Time) (mqtt.Queued, bool) {
	for q.next < len(q.entries) {
		e := &q.entries[q.next]
		if e.Message.Expired(now) && !e.Received && !e.Message.Retain && (e.Sent == 0 || e.Message.QoS < mqtt.ExactlyOnce) {
			q.drop(q.next, mqtt.DropExpired)
			continue
		}
		if e.Sent == 0 && q.aged(now, e.At) {
			q.drop(q.next, mqtt.DropAged)
			continue
		}
		out := *e
		if e.Seq > q.handed {
			q.handed = e.Seq
			q.inFlight++
		}
		e.Sent++
		q.next++
		return out, true
	}
	return mqtt.Queued{}, false
}

// Withdraw gives up an entry that was never handed out, for the reason that is
// counted. It reports whether it did.
func (q *Queue) Withdraw(seq uint64, why mqtt.DropReason) bool {
	if seq > q.loaded {
		if !q.dropBehind(seq, why) {
			return false
		}
		q.gone = append(q.gone, seq)
		return true
	}
	i := q.find(seq)
	if i < 0 || q.entries[i].Sent > 0 {
		return false
	}
	q.drop(i, why)
	return true
}

// Each calls f for the entries of the head behind after, in order, until f
// returns false. Nothing is handed out by it.
func (q *Queue) Each(after uint64, f func(*mqtt.Queued) bool) (more bool) {
	for i := range q.entries {
		if q.entries[i].Seq > after && !f(&q.entries[i]) {
			return false
		}
	}
	return len(q.blocks) > 0
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
		Messages: q.messages(), Bytes: max(q.bytes, q.here), InFlight: q.inFlight,
		Accepted: q.accepted, Removed: q.removed, Dropped: q.drops.Total(), Drops: q.drops,
	}
	switch {
	case len(q.entries) > 0:
		s.Oldest = now.Sub(q.entries[0].At)
	case len(q.blocks) > 0:
		s.Oldest = now.Sub(q.blocks[0].Since)
	}
	return s
}

// find relies on the order of Seq; consumers mostly acknowledge the head.
func (q *Queue) find(seq uint64) int {
	if len(q.entries) > 0 && q.entries[0].Seq == seq {
		return 0
	}
	i := sort.Search(len(q.entries), func(i int) bool { return q.entries[i].Seq >= seq })
	if i == len(q.entries) || q.entries[i].Seq != seq {
		return -1
	}
	return i
}

func (q *Queue) delete(i int) {
	e := &q.entries[i]
	size := int64(e.Message.Size())
	q.bytes -= size
	q.here -= size
	if !q.released && e.Message.Release() {
		q.unbilled -= e.Message.Footprint()
	}
	if s := streamOf(&e.Message); q.newest[s] == e.Seq {
		delete(q.newest, s)
	}
	if e.Seq <= q.handed {
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
