package broker

import (
	"fmt"
	"slices"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// Refit gives the queue other filters and another Intake, which may be nil,
// for a new consumer: what it has stays and is handed out again. A filter that
// stays misses nothing meanwhile; without any, the queue takes nothing more.
// One Refit at a time, and none beside Next.
func (q *Queue) Refit(filters []mqtt.Subscription, in Intake) error {
	for _, s := range filters {
		if err := topic.ValidFilter(s.Filter); err != nil {
			return fmt.Errorf("refit queue %s: %w", q.name, err)
		}
	}
	named := func(list []mqtt.Subscription, filter string) bool {
		return slices.ContainsFunc(list, func(s mqtt.Subscription) bool { return s.Filter == filter })
	}
	q.state.Lock()
	q.intake = in
	q.state.retained = make(map[*mqtt.Message]struct{})
	q.state.Unlock()
	for _, s := range filters {
		existed := named(q.filters, s.Filter)
		if existed {
			s.RetainHandling = mqtt.DoNotSendRetained // it was queued when the filter was new
		}
		q.hub.router.Subscribe(time.Now(), q, s, existed, true)
	}
	for _, s := range q.filters {
		if !named(filters, s.Filter) {
			q.hub.router.Unsubscribe(q, s.Filter, true)
		}
	}
	q.state.Lock()
	q.filters = filters
	q.state.retained = nil
	q.state.Unlock()
	q.Rewind()
	return nil
}
