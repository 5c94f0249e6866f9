package store

import (
	"sort"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

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

// Behind reports whether the next entry must be loaded, and where to begin:
// what the store has behind after. upTo is the last Seq so far; if the store has
// nothing up to there, it is what to say to Load. What the blocks count is not
// asked: after a kill it may be less than there is.
func (q *Queue) Behind() (want bool, after, upTo uint64) {
	return q.next == len(q.entries) && len(q.blocks) > 0, q.loaded, q.last
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
