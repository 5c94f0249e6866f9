package bridge

import (
	"hash/maphash"
	"slices"
	"sync"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// owed makes both sides hold the same retained messages again after a queue
// gave up some: when nothing waits any more, the retained messages of its topics,
// and what deletes those that are gone, are queued one after the other, but for
// topics of which that very payload was sent since. It is the sender's own.
type owed struct {
	held   func(topic string) *mqtt.Message // Options.Held
	seen   [LaneCount]uint64                // entries that were given up
	lost   [LaneCount]bool                  // some of them since it was paid
	topics [LaneCount][]string              // to be queued again
	seed   maphash.Seed
	told   map[string]uint64 // of topics, the payload sent last since one was given up; nil: none was
	anew   bool              // the server may have lost what it held
}

// resumed is told of the queues that a process begins with, and which of them the
// process before may have left something out of. What it deleted is not known.
func (o *owed) resumed(q *lanes, intakes *[LaneCount]*Intake, crowded *[LaneCount]bool) {
	for lane, queue := range q.queues {
		if queue != nil && (crowded[lane] || intakes[lane].thins()) && queue.Stats().Messages > 0 {
			o.begin()
			o.lost[lane] = true
		}
	}
}

// begin forgets what was sent: it may be older than what was given up.
func (o *owed) begin() { o.seed, o.told = maphash.MakeSeed(), map[string]uint64{} }

// renew owes everything to a server that has lost the session: with it may have
// gone what it held.
func (o *owed) renew(q *lanes) {
	o.begin()
	o.anew = true
	for lane, queue := range q.queues {
		o.lost[lane] = queue != nil
	}
}

// look notes what the queues gave up, in a way that may have cost the last
// value of a topic.
func (o *owed) look(q *lanes) {
	for lane, queue := range q.queues {
		if queue == nil {
			continue
		}
		d := queue.Stats().Drops
		n := d[mqtt.DropFull] + d[mqtt.DropAged] + d[mqtt.DropSampled] + d[mqtt.DropLost]
		if n != o.seen[lane] {
			o.seen[lane], o.lost[lane] = n, true
			o.begin()
		}
	}
}

// sent notes a message that has left.
func (o *owed) sent(q *lanes, e *mqtt.Queued) {
	if o.told == nil || !e.Message.Retain {
		return
	}
	if o.look(q); len(o.told) < thinTopics {
		o.told[e.Message.Topic] = maphash.Bytes(o.seed, e.Message.Payload)
	}
}

// has reports whether what was sent last is what the topic holds.
func (o *owed) has(topic string) bool {
	sum, told := o.told[topic]
	if !told || o.held == nil {
		return told
	}
	var payload []byte // that deletes
	if m := o.held(topic); m != nil {
		payload = m.Payload
	}
	return sum == maphash.Bytes(o.seed, payload)
}

// pay queues one message when nothing waits, and reports whether it did. wants
// is whether a topic is retained upstream.
func (o *owed) pay(q *lanes, wants func(topic string) bool) bool {
	o.look(q)
	for lane, queue := range q.queues {
		if o.lost[lane] && len(o.topics[lane]) == 0 {
			o.lost[lane], o.topics[lane] = false, queue.Retained()
		}
		for len(o.topics[lane]) > 0 {
			topic := o.topics[lane][0]
			if o.topics[lane] = o.topics[lane][1:]; wants(topic) && !o.has(topic) {
				queue.Refresh(topic)
				return true
			}
		}
	}
	o.told, o.anew = nil, false
	return false
}

// retained reports whether messages of a topic go up with RETAIN. Where the
// server may have lost what it held, a topic that a route down leads to is left to
// the server: its message may be the newer one.
func (l *link) retained(name string) bool {
	to, r, _ := remap(l.b.out, name)
	if r == nil || l.b.poison.has(to) || l.b.roomless.has(to) {
		return false
	}
	if l.b.owed.anew && slices.ContainsFunc(l.b.receiver.routes, func(in route) bool { return topic.Match(in.toName, name) }) {
		return false
	}
	return !r.strip && r.batch.Form == BatchNone && l.lim.retain && l.b.o.Envelope != ThingsBoard && l.b.o.Edge == nil
}

// poison are the topics upstream whose last message was given up: what the server
// refused, or closed over, is not sent again because it is retained here.
type poison struct {
	mu     sync.Mutex
	topics map[string]bool
}

func (p *poison) has(topic string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.topics[topic]
}

func (p *poison) add(topic string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.topics == nil {
		p.topics = map[string]bool{}
	}
	if len(p.topics) < thinTopics {
		p.topics[topic] = true
	}
}

// sent is told of each topic of which a message leaves: it may be better.
func (p *poison) sent(topic string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.topics, topic)
}
