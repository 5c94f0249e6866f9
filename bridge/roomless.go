package bridge

import "time"

// roomless are the topics whose last value the server took only without RETAIN:
// it had no room for another retained message. Those that follow go without it at
// once; now and then, when nothing waits, what one topic holds is queued again and
// tried with RETAIN. It is the sender's own.
type roomless struct {
	topics map[string]string // by topic upstream, the one here
	next   time.Time         // the next try
}

const (
	roomAgain = 10 * time.Minute // after a refusal
	roomNext  = time.Second      // after a try; the answer comes first
)

func (r *roomless) has(topic string) bool { return r.topics[topic] != "" }

// refused is told of a message that goes without RETAIN as it was refused with it.
func (r *roomless) refused(topic, local string, now time.Time) {
	if r.next = now.Add(roomAgain); r.topics == nil {
		r.topics = map[string]string{}
	}
	if len(r.topics) < thinTopics {
		r.topics[topic] = local
	}
}

// due returns the topic here that is tried now, or how long there is to wait:
// negative for ever.
func (r *roomless) due(now time.Time) (local string, wait time.Duration) {
	if len(r.topics) == 0 {
		return "", -1
	}
	if wait = r.next.Sub(now); wait > 0 {
		return "", wait
	}
	for topic, local := range r.topics {
		delete(r.topics, topic)
		r.next = now.Add(roomNext)
		return local, 0
	}
	return "", -1
}

// tryRoom queues what a topic holds.
func (l *link) tryRoom(local string) {
	if _, r, _ := remap(l.b.out, local); l.retained(local) {
		l.b.o.Queues[r.lane].Refresh(local)
		l.b.queue.wet(r.lane)
	}
}
