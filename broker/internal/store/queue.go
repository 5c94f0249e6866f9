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

	// What is behind it.
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

// Restore begins with what the store has, none of it in memory. If it does not
// know what was handed out, the first suspect entries may have been.
func (q *Queue) Restore(k Kept, suspect int) {
	if k.Last == 0 {
		return
	}
	q.blocks, q.last, q.loaded, q.restored, q.before = k.Blocks, k.Last, 0, k.Last, k.Handed
	if k.Handed == 0 {
		q.suspect = suspect
	}
	for i := range q.blocks {
		q.behind += q.blocks[i].Messages
		q.bytes += q.blocks[i].Bytes
	}
	q.accepted += uint64(q.behind)
	q.settle()
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

// append counts an entry that only the store has.
func (q *Queue) append(now time.Time, size int64) {
	block, since := max(headBytes, q.limits.Bytes/1024), uint64(0)
	if q.tight { // what is in memory is apart
		block, since = headBytes, q.tightSince
	}
	if n := len(q.blocks); n == 0 || q.blocks[n-1].Bytes >= block || q.blocks[n-1].Last <= since {
		q.blocks = append(q.blocks, Block{Since: now})
	}
	b := &q.blocks[len(q.blocks)-1]
	b.Last, b.Until = q.last, now
	b.Messages++
	b.Bytes += size
	q.behind++
	if q.tight {
		q.tightBytes += size
	}
}

// messages is how many there are.
func (q *Queue) messages() int { return len(q.entries) + q.behind }

// Behind reports whether the next entry must be loaded, and where to begin:
// what the store has behind after. upTo is the last Seq so far; if the store has
// nothing up to there, it is what to say to Load. What the blocks count is not
// asked: after a kill it may be less than there is.
func (q *Queue) Behind() (want bool, after, upTo uint64) {
	return q.next == len(q.entries) && len(q.blocks) > 0, q.loaded, q.last
}

// Handed is the last Seq that was handed out, or may have been before the
// process began; 0 if that is not known.
func (q *Queue) Handed() uint64 {
	if q.suspects() > 0 {
		return 0
	}
	return max(q.handed, q.before)
}

// suspects is how many entries behind the head may have been handed out before
// the process began, of which no Seq is known.
func (q *Queue) suspects() int {
	if q.loaded >= q.restored {
		return 0
	}
	return max(q.suspect, 0)
}

// guardedBytes bounds what Loads wants: more is in flight only of those who
// allow it.
const guardedBytes = 256 << 10

// Loads reports whether entries that may have been handed out before the process
// began are not in memory: overflow takes what is behind the head by the block.
func (q *Queue) Loads() bool {
	return len(q.blocks) > 0 && q.here < guardedBytes && (q.suspects() > 0 || q.loaded < q.before)
}

// Load takes what the store has between the Seq given by Behind and upTo.
func (q *Queue) Load(entries []Entry, upTo uint64) {
	q.room(len(entries))
	for i := range entries {
		e := &entries[i]
		if e.Number <= q.loaded {
			continue // dropped meanwhile
		}
		q.passBlocks(e.Number - 1)
		if len(q.blocks) == 0 {
			break // not one of this queue's
		}
		size := int64(e.Message.Size())
		b := &q.blocks[0]
		b.Messages-- // below zero if another block counts it
		b.Bytes -= size
		q.behind--
		q.here += size
		m := *e.Message
		m.QoS = e.QoS
		out := mqtt.Queued{Seq: e.Number, Message: m, At: e.At, Received: e.Received, Before: e.Number <= q.restored}
		if q.suspect > 0 && e.Number <= q.restored {
			q.before = e.Number
		}
		q.suspect--
		if e.Received || e.Number <= q.before {
			out.Sent = 1
		}
		q.entries = append(q.entries, out)
		q.hold(&m)
		q.loaded = e.Number
	}
	q.loaded = max(q.loaded, upTo)
	q.passBlocks(q.loaded)
}

// room makes room for n more entries in the head: at the start of the array that
// was used before, if they are not too many.
func (q *Queue) room(n int) {
	if n += len(q.entries); n > cap(q.array) {
		q.array = make([]mqtt.Queued, n)
	}
	q.array = q.array[:cap(q.array)]
	clear(q.array[copy(q.array, q.entries):])
	q.entries = q.array[:len(q.entries)]
}

// passBlocks forgets the blocks that end at upTo or before. What was counted
// there and did not come may be in the next one: the store knows a range that
// was dropped only as a whole. What is left in the end was lost with bad pages.
func (q *Queue) passBlocks(upTo uint64) {
	for len(q.blocks) > 0 && q.blocks[0].Last <= upTo {
		b := q.blocks[0]
		q.blocks = q.blocks[1:]
		if len(q.blocks) > 0 {
			q.blocks[0].Messages += b.Messages
			q.blocks[0].Bytes += b.Bytes
		}
	}
	q.settle()
}

// settle corrects what estimates have left over when all is in memory.
func (q *Queue) settle() {
	if len(q.blocks) > 0 {
		return
	}
	q.array, q.tightBytes = nil, 0
	if q.bytes = q.here; q.behind > 0 {
		q.drops[mqtt.DropLost] += uint64(q.behind)
	} else {
		q.accepted -= uint64(q.behind)
	}
	q.behind = 0
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

// dropBlock gives up the oldest block behind the head.
func (q *Queue) dropBlock(why mqtt.DropReason) {
	b := &q.blocks[0]
	n, size := max(b.Messages, 0), max(b.Bytes, 0)
	q.cuts = append(q.cuts, Cut{q.loaded + 1, b.Last, uint64(n)})
	q.loaded = b.Last
	b.Messages -= n
	b.Bytes -= size
	q.behind -= n
	q.suspect -= n
	q.bytes -= size
	q.drops[why] += uint64(n)
	q.passBlocks(q.loaded)
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

// dropBehind gives up an entry that only the store has; its size is taken to be
// that of its neighbors.
func (q *Queue) dropBehind(seq uint64, why mqtt.DropReason) bool {
	i := sort.Search(len(q.blocks), func(i int) bool { return q.blocks[i].Last >= seq })
	if i == len(q.blocks) || q.blocks[i].Messages <= 0 {
		return false
	}
	b := &q.blocks[i]
	size := b.Bytes / int64(b.Messages)
	b.Messages--
	b.Bytes -= size
	q.behind--
	q.bytes -= size
	if q.tight && seq > q.tightSince {
		q.tightBytes -= size
	}
	q.drops[why]++
	q.settle()
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
