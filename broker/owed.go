package broker

import (
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// mostDeleted bounds the topics that Retained can name after they were deleted.
const mostDeleted = 10_000

// noteDeleted remembers what deletes a retained message: if the queue gives it
// up, nothing else knows the topic. It is forgotten when the queue was empty
// without having given up anything. The caller holds the state.
func (q *Queue) noteDeleted(now time.Time, m *mqtt.Message) {
	if !m.Retain || len(m.Payload) > 0 {
		return
	}
	s := q.state.entries.Stats(now)
	if q.state.deleted == nil || s.Messages == 0 && s.Dropped == q.state.dropped {
		q.state.deleted, q.state.dropped = map[string]bool{}, s.Dropped
	}
	if len(q.state.deleted) < mostDeleted {
		q.state.deleted[m.Topic] = true
	}
}

// Retained returns the topics that the filters match and that have a retained
// message, or had one that was deleted while entries waited, in no order.
func (q *Queue) Retained() []string {
	q.state.Lock()
	names := q.state.deleted
	q.state.deleted = nil
	q.state.Unlock()
	if names == nil {
		names = map[string]bool{}
	}
	for _, s := range q.filters {
		for _, m := range q.hub.router.Retained(time.Now(), s.Filter) {
			names[m.Topic] = true
		}
	}
	out := make([]string, 0, len(names))
	for name := range names {
		out = append(out, name)
	}
	return out
}
