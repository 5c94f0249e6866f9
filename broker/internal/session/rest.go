package session

import (
	"sort"

	"github.com/dunlin-mqtt/dunlin/broker/internal/overflow"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// What of a queue that spills is in memory: its head.
const (
	headMessages = 512
	headBytes    = 64 << 10
	headKept     = 16 // that a client finds at once when it comes back, whatever memory is short of
)

// What is with the store only is given up in blocks of so many bytes or
// messages, or of one in restBlocks of the bound.
const (
	restBytes    = 16 << 10
	restMessages = 64
	restBlocks   = 256
)

// block is how much makes a block.
func (l *Limits) block() (messages, bytes int) {
	return max(restMessages, l.QueueMessages/restBlocks), max(restBytes, l.QueueBytes/restBlocks)
}

// maxTightBytes is how many bytes of a session may wait in memory for a disk that
// takes nothing.
const maxTightBytes = 256 << 10

// Block is a part of a queue that is with the store only.
type Block struct {
	First, Last     uint64 // places in line; of First only Restore wants to know
	Messages, Bytes int    // about
}

// Cut is a range of places in line that were given up together.
type Cut struct{ From, To, Count uint64 }

// rest is what of a queue is with the store only, behind all that is in memory.
// It is known by numbers: nobody who publishes waits for a disk.
type rest struct {
	blocks          []Block
	messages, bytes int
	loaded          uint64 // nothing up to this place is behind the head
	restored        uint64 // the last place from before the process began
	suspect         int    // how many of the next loaded may have been sent by then
	tight           bool   // the disk takes nothing
	tightBytes      int    // came since, less what gave way to it
	asked           bool   // for more
	cuts            []Cut
	may             func(*mqtt.Message) bool // of the last Purge; nil lets all pass
	newest          map[string]uint64        // for LastValue
}

// recorded reports whether the store answers for what comes: so it does when a
// session that was kept goes on without being kept, until it has all back.
func (s *Session) recorded() bool { return s.Durable() || s.out.rest != nil }

// beyond reports whether a message must go behind the head.
func (s *Session) beyond(size int) bool {
	o := &s.out
	return s.limits.Spills && (o.rest != nil && len(o.rest.blocks) > 0 ||
		o.queue.len() >= headMessages || o.bytes+size > headBytes && o.queue.len() > 0)
}

// behind makes the rest of a queue whose places up to last are in memory or
// gone.
func (o *outbox) behind(last uint64) *rest {
	if o.rest == nil {
		o.rest = &rest{loaded: last}
	}
	return o.rest
}

// leaveTo gives a message to the store alone.
func (s *Session) leaveTo(d *delivery) {
	r := s.out.behind(d.number - 1)
	size := d.message.Size()
	messages, bytes := s.limits.block()
	if n := len(r.blocks); n == 0 || r.blocks[n-1].Bytes >= bytes || r.blocks[n-1].Messages >= messages {
		r.blocks = append(r.blocks, Block{})
	}
	b := &r.blocks[len(r.blocks)-1]
	b.Last = d.number
	r.count(b, 1, size)
	if r.tight {
		r.tightBytes += size
	}
	if s.limits.Overflow == overflow.LastValue {
		if r.newest == nil {
			r.newest = make(map[string]uint64)
		}
		if _, known := r.newest[d.message.Topic]; known || len(r.newest) < headMessages {
			r.newest[d.message.Topic] = d.number
		}
	}
}

// count adds messages to a block, or takes them out.
func (r *rest) count(b *Block, messages, bytes int) {
	b.Messages += messages
	b.Bytes += bytes
	r.messages += messages
	r.bytes += bytes
}

// Tight says whether the store cannot put on disk what does not fit into
// memory.
func (s *Session) Tight(tight bool) {
	if r := s.out.rest; r != nil && r.tight != tight {
		r.tight, r.tightBytes = tight, 0
	}
}

// Spilled reports whether a part of the queue is with the store only.
func (s *Session) Spilled() bool { return s.out.rest != nil }

// Ask reports whether the store should be asked for more, once until Load.
func (s *Session) Ask() bool {
	o := &s.out
	r := o.rest
	if r == nil || r.asked || len(r.blocks) == 0 || !s.online && !r.guarded() {
		return false
	}
	r.asked = o.queue.len() == 0 || o.queue.len() < headMessages/4 && o.bytes < headBytes/2
	return r.asked
}

// Asked returns what the store was asked for: what is behind after. Up to last
// all is on its way there.
func (s *Session) Asked() (after, last uint64) {
	if s.out.rest == nil {
		return s.out.last, s.out.last
	}
	return s.out.rest.loaded, s.out.last
}

// guarded reports whether the next behind the head may have been sent before
// the process began: it is not given up unseen, for the client may hold its
// identifier.
func (r *rest) guarded() bool { return r.suspect > 0 && r.loaded < r.restored }

// Load takes what the store has behind the place that Asked gave, up to upTo.
func (s *Session) Load(entries []KeptDelivery, upTo uint64) {
	o, r := &s.out, s.out.rest
	if r == nil {
		return
	}
	r.asked = false
	for i := range entries {
		e := &entries[i]
		if e.Number <= r.loaded {
			continue // given up meanwhile
		}
		o.pass(e.Number - 1)
		if len(r.blocks) == 0 {
			break
		}
		r.count(&r.blocks[0], -1, -e.Message.Size()) // below zero if another block counts it
		r.loaded = e.Number
		if r.newest[e.Message.Topic] == e.Number {
			delete(r.newest, e.Message.Topic)
		}
		o.back(e)
	}
	r.loaded = max(r.loaded, upTo)
	o.pass(r.loaded)
}

// back puts a message behind the others in memory.
func (o *outbox) back(e *KeptDelivery) {
	r := o.rest
	d := e.delivery()
	d.sent = e.Received || r.suspect > 0 && e.Number <= r.restored
	if !e.Received {
		r.suspect--
	}
	if !d.released && r.may != nil && !r.may(e.Message) {
		if !d.sent || d.qos < mqtt.ExactlyOnce {
			o.giveUp(&d)
			o.counts.Dropped.Refused++
			return
		}
		d.released = true
	}
	o.take(&d)
	if d.released {
		o.inflight.push(d)
	} else {
		o.queue.push(d)
	}
}

// pass forgets the blocks that end at upTo or before. What was counted there
// and did not come may be in the next one: where blocks end is an estimate
// after a restart. What is left in the end was lost with bad pages.
func (o *outbox) pass(upTo uint64) {
	r := o.rest
	for len(r.blocks) > 0 && r.blocks[0].Last <= upTo {
		b := r.blocks[0]
		if r.blocks = r.blocks[1:]; len(r.blocks) > 0 {
			r.blocks[0].Messages += b.Messages
			r.blocks[0].Bytes += b.Bytes
		}
	}
	o.settle()
}

// settle corrects what estimates have left over when all is in memory.
func (o *outbox) settle() {
	r := o.rest
	if len(r.blocks) > 0 {
		return
	}
	if r.messages > 0 {
		o.counts.Dropped.Lost += uint64(r.messages)
	} else {
		o.counts.Accepted -= uint64(r.messages)
	}
	r.messages, r.bytes, r.tightBytes, r.newest = 0, 0, 0, nil
}

// Cuts returns the ranges that were given up since it was last called.
func (s *Session) Cuts() (cuts []Cut) {
	o := &s.out
	if r := o.rest; r != nil {
		if cuts, r.cuts = r.cuts, nil; len(r.blocks) == 0 && !r.asked {
			o.rest = nil
		}
	}
	return cuts
}

// dropBlock gives up the oldest block behind the head.
func (o *outbox) dropBlock(counter *uint64) bool {
	r := o.rest
	if r == nil || len(r.blocks) == 0 || r.guarded() {
		return false
	}
	b := &r.blocks[0]
	n := max(b.Messages, 0)
	r.cuts = append(r.cuts, Cut{r.loaded + 1, b.Last, uint64(n)})
	r.loaded = b.Last
	r.count(b, -n, -b.Bytes)
	*counter += uint64(n)
	o.pass(b.Last)
	return true
}

// unload gives what waits for a client that is away back to the store, which
// has it, but for the first few.
func (s *Session) unload() {
	o := &s.out
	if s.online || !s.spills() {
		return
	}
	n, all := o.queue.len(), o.queue.len()
	for n > headKept && o.queue.at(n-1).kept && !o.queue.at(n-1).sent {
		n--
	}
	if n == all {
		return
	}
	r := o.behind(o.last)
	b := Block{Last: o.queue.at(all - 1).number}
	r.loaded = o.queue.at(n).number - 1
	for i := n; i < all; i++ {
		d := o.queue.at(i)
		r.count(&b, 1, d.message.Size())
		o.leave(d)
	}
	o.queue.truncate(n)
	r.blocks = append([]Block{b}, r.blocks...)
}

// spills reports whether the queue goes on with the store where memory ends.
func (s *Session) spills() bool {
	return s.limits.Spills && s.recorded() && (s.out.rest == nil || !s.out.rest.tight)
}

// replace gives up an older message with this topic that was not sent, for the
// one that comes. It reports whether there was one.
func (o *outbox) replace(topic string) bool {
	for i := range o.queue.len() {
		if d := o.queue.at(i); d.qos > mqtt.AtMostOnce && !d.sent && d.message.Topic == topic {
			if o.rest != nil {
				o.rest.tightBytes -= d.message.Size()
			}
			o.giveUp(d)
			o.leave(d)
			o.counts.Dropped.Replaced++
			o.queue.cut(i)
			return true
		}
	}
	r := o.rest
	if r == nil || r.newest[topic] == 0 {
		return false
	}
	number := r.newest[topic]
	delete(r.newest, topic)
	i := sort.Search(len(r.blocks), func(i int) bool { return r.blocks[i].Last >= number })
	if i == len(r.blocks) || r.blocks[i].Messages <= 0 {
		return false
	}
	b := &r.blocks[i]
	size := b.Bytes / b.Messages
	r.count(b, -1, -size)
	r.tightBytes -= size
	o.giveUp(&delivery{number: number})
	o.counts.Dropped.Replaced++
	return true
}
