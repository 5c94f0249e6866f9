package bridge

import "github.com/dunlin-mqtt/dunlin/broker/mqtt"

// owed makes both sides hold the same retained messages again after a queue
// gave up some: when nothing waits any more, the retained messages of its topics,
// and what deletes those that are gone, are queued one after the other, but for
// topics of which one was sent since. It is the sender's own; what a process
// owes when it ends is forgotten.
type owed struct {
	seen   [LaneCount]uint64   // entries that were given up
	lost   [LaneCount]bool     // some of them since it was paid
	topics [LaneCount][]string // to be queued again
	told   map[string]bool     // topics sent since the last was given up; nil: none was
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
			o.seen[lane], o.lost[lane], o.told = n, true, map[string]bool{}
		}
	}
}

// sent notes a message that has left.
func (o *owed) sent(q *lanes, m *mqtt.Message) {
	if o.told == nil || !m.Retain {
		return
	}
	if o.look(q); len(o.told) < thinTopics {
		o.told[m.Topic] = true
	}
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
			if o.topics[lane] = o.topics[lane][1:]; !o.told[topic] && wants(topic) {
				queue.Refresh(topic)
				return true
			}
		}
	}
	o.told = nil
	return false
}

// retained reports whether messages of a topic go up with RETAIN.
func (l *link) retained(topic string) bool {
	r := routeOf(l.b.out, topic)
	return r != nil && !r.strip && r.batch.Form == BatchNone && l.lim.retain && l.b.o.Envelope != ThingsBoard && l.b.o.Edge == nil
}
