package bridge

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// fakeQueue is the dumb model of the broker's Queue: a slice.
type fakeQueue struct {
	t    testing.TB
	wake chan struct{}
	mu   struct {
		sync.Mutex
		entries []mqtt.Queued
		seq     uint64
		cursor  uint64 // of the last entry handed out since Rewind
		late    []late
		stats   mqtt.QueueStats
		// retained are the retained messages of the local broker.
		retained map[string]mqtt.Message
	}
}

// retain makes m what the local broker holds of its topic.
func (q *fakeQueue) retain(m mqtt.Message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.mu.retained == nil {
		q.mu.retained = map[string]mqtt.Message{}
	}
	if q.mu.retained[m.Topic] = m; len(m.Payload) == 0 {
		delete(q.mu.retained, m.Topic)
	}
}

// late is an entry that was acknowledged, and when.
type late struct {
	mqtt.Queued
	at time.Time
}

func newQueue(t testing.TB) *fakeQueue {
	return &fakeQueue{t: t, wake: make(chan struct{}, 1)}
}

func (q *fakeQueue) add(m mqtt.Message) uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mu.seq++
	q.mu.stats.Accepted++
	q.mu.entries = append(q.mu.entries, mqtt.Queued{Seq: q.mu.seq, Message: m, At: time.Now()})
	q.signal()
	return q.mu.seq
}

func (q *fakeQueue) Take(context.Context) (mqtt.Queued, bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.mu.entries {
		e := &q.mu.entries[i]
		if e.Seq > q.mu.cursor {
			out := *e
			q.mu.cursor = e.Seq
			e.Sent++
			return out, true, nil
		}
	}
	return mqtt.Queued{}, false, nil
}

func (q *fakeQueue) Ready() <-chan struct{} { return q.wake }

func (q *fakeQueue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *fakeQueue) index(seq uint64) int {
	return slices.IndexFunc(q.mu.entries, func(e mqtt.Queued) bool { return e.Seq == seq })
}

func (q *fakeQueue) Received(_ context.Context, seqs ...uint64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, seq := range seqs {
		if i := q.index(seq); i >= 0 {
			q.mu.entries[i].Received = true
		} else {
			q.t.Errorf("Received(%d): no such entry", seq)
		}
	}
	return nil
}

func (q *fakeQueue) Drop(ctx context.Context, seq uint64, why mqtt.DropReason) error {
	q.mu.Lock()
	q.mu.stats.Dropped++
	q.mu.stats.Drops[why]++
	q.mu.stats.Removed-- // Remove counts it
	q.mu.Unlock()
	return q.Remove(ctx, seq)
}

func (q *fakeQueue) Withdraw(ctx context.Context, seq uint64, why mqtt.DropReason) (bool, error) {
	q.mu.Lock()
	i := q.index(seq)
	gone := i >= 0 && q.mu.entries[i].Sent == 0
	q.mu.Unlock()
	if !gone {
		return false, nil
	}
	return true, q.Drop(ctx, seq, why)
}

func (q *fakeQueue) Remove(_ context.Context, seqs ...uint64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, seq := range seqs {
		i := q.index(seq)
		switch {
		case i < 0:
			q.t.Errorf("Remove(%d): no such entry", seq)
			return nil
		case i == 0:
			q.mu.entries = q.mu.entries[1:] // a long backlog
		default:
			q.mu.entries = slices.Delete(q.mu.entries, i, i+1)
		}
		q.mu.stats.Removed++
	}
	return nil
}

func (q *fakeQueue) Acknowledged(ctx context.Context, seqs ...uint64) error {
	q.mu.Lock()
	for _, seq := range seqs {
		if i := q.index(seq); i >= 0 {
			q.mu.late = append(q.mu.late, late{q.mu.entries[i], time.Now()})
		}
	}
	q.mu.Unlock()
	return q.Remove(ctx, seqs...)
}

// killed is the queue after a process that had not recorded what was
// acknowledged in the last second was killed.
func (q *fakeQueue) killed(t testing.TB) *fakeQueue {
	next := newQueue(t)
	q.mu.Lock()
	defer q.mu.Unlock()
	next.mu.entries, next.mu.seq, next.mu.stats = slices.Clone(q.mu.entries), q.mu.seq, q.mu.stats
	for _, e := range q.mu.late[max(0, len(q.mu.late)-512):] {
		if time.Since(e.at) < time.Second {
			next.mu.entries = append(next.mu.entries, e.Queued)
			next.mu.stats.Removed--
		}
	}
	slices.SortFunc(next.mu.entries, func(a, b mqtt.Queued) int { return int(a.Seq) - int(b.Seq) })
	return next
}

func (q *fakeQueue) Put(_ context.Context, m mqtt.Message) (uint64, error) { return q.add(m), nil }

func (q *fakeQueue) Each(after uint64, f func(*mqtt.Queued) bool) {
	q.mu.Lock()
	entries := slices.Clone(q.mu.entries)
	q.mu.Unlock()
	for i := range entries {
		if entries[i].Seq > after && !f(&entries[i]) {
			return
		}
	}
}

// Refresh asks the test for the retained message.
func (q *fakeQueue) Refresh(topic string) {
	q.mu.Lock()
	m, ok := q.mu.retained[topic]
	q.mu.Unlock()
	if !ok {
		m = mqtt.Message{Topic: topic, QoS: 1, Retain: true}
	}
	q.add(m)
}

func (q *fakeQueue) Retained() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Collect(maps.Keys(q.mu.retained))
}

func (q *fakeQueue) Rewind() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mu.cursor = 0
	q.signal()
}

func (q *fakeQueue) Stats() mqtt.QueueStats {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.mu.stats
	s.Messages = len(q.mu.entries)
	for _, e := range q.mu.entries {
		if e.Seq <= q.mu.cursor {
			s.InFlight++
		}
	}
	return s
}

// fakeLocal collects what the bridge publishes locally.
type fakeLocal struct {
	mu   sync.Mutex
	got  []mqtt.Message
	fail func(n int) error // n: the how manieth call; nil: all succeed
	n    int
	then func(mqtt.Message) // is told of each
	ids  map[mqtt.Origin]bool
}

func (l *fakeLocal) Publish(ctx context.Context, m mqtt.Message) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n++
	if l.fail != nil {
		if err := l.fail(l.n); err != nil {
			return err
		}
	}
	l.got = append(l.got, m)
	if l.then != nil {
		l.then(m)
	}
	return nil
}

func (l *fakeLocal) PublishFrom(ctx context.Context, m mqtt.Message, from mqtt.Origin) (again bool, err error) {
	l.mu.Lock()
	_, again = l.ids[from]
	l.mu.Unlock()
	if again {
		return true, nil
	}
	if err := l.Publish(ctx, m); err != nil {
		return false, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ids == nil {
		l.ids = map[mqtt.Origin]bool{}
	}
	l.ids[from] = true
	return false, nil
}

func (l *fakeLocal) Release(_ context.Context, from mqtt.Origin) (known bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	known = l.ids[from]
	delete(l.ids, from)
	return known, nil
}

func (l *fakeLocal) Forget(_ context.Context, session string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.ids, func(o mqtt.Origin, _ bool) bool { return o.Session == session })
	return nil
}

func (l *fakeLocal) messages() []mqtt.Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.got)
}
