package router

import (
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/memory"
	"github.com/dunlin-mqtt/dunlin/broker/internal/store"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// retain sets or clears the retained message of p's topic; the caller holds the
// write lock. A message beyond the limits is still routed, but not retained:
// losing the last value is better than losing the live one. It reports whether
// a record was written, and whether the message was refused.
func (r *Router) retain(now time.Time, p *packet.Publication) (recorded, refused bool) {
	m := p.Message()
	if own(m.Topic) {
		r.retainOwn(m)
		return false, false
	}
	old, had := r.retained.Get(m.Topic)
	if len(m.Payload) == 0 { // [MQTT-3.3.1-6], [MQTT-3.3.1-7]
		if had {
			r.forget(old)
			r.store.Append(store.Record{Kind: store.RetainedCleared, Message: m})
		}
		return had, false
	}
	if !r.retainable(m, old, p.User) {
		r.dropExpired(now)
		if old, had = r.retained.Get(m.Topic); !r.retainable(m, old, p.User) {
			r.refused.Add(1)
			if had {
				// An old value must not pass for the current one.
				r.forget(old)
				r.store.Append(store.Record{Kind: store.RetainedCleared, Message: m})
			}
			return had, true
		}
	}
	m.Quota = r.quotaOf(p.User)
	r.place(m)
	if !m.Expires.IsZero() && (r.nextExpiry.IsZero() || m.Expires.Before(r.nextExpiry)) {
		r.nextExpiry = m.Expires
	}
	r.store.Append(store.Record{Kind: store.RetainedSet, Message: m})
	return true, false
}

func (r *Router) retainable(m, old *mqtt.Message, user string) bool {
	n, size := r.retained.Len()-r.ownRetained+1, r.retainedBytes+int64(m.Size())
	more := m.Footprint()
	if old != nil {
		n, size = n-1, size-int64(old.Size())
		more -= old.Footprint()
	} else {
		more += entrySize + nodeSize*(strings.Count(m.Topic, "/")+1) // at most
	}
	if (old == nil || m.Size() > old.Size()) && r.scarce(n, size, more) && r.greedy(user) {
		return false
	}
	return n <= r.limits.RetainedMessages && size <= r.limits.RetainedBytes &&
		(old != nil && more <= littleMore || r.limits.Memory.May(memory.Retained, more))
}

// What retained messages take of memory beside themselves, in bytes; about.
const (
	nodeSize   = 104 // of the tree
	entrySize  = 72  // in the store
	littleMore = 256 // by this a value may grow, however short memory is
)

// place makes m the retained message of its topic.
func (r *Router) place(m *mqtt.Message) {
	before := r.retained.Nodes()
	old, had := r.retained.Set(m.Topic, m)
	r.retainedBytes += int64(m.Size())
	r.charge(m.Quota, 1, m.Size())
	if !m.Hold() { // sessions have it, and paid until now
		r.limits.Memory.Add(memory.Messages, -m.Footprint())
	}
	more := (r.retained.Nodes()-before)*nodeSize + m.Footprint()
	if had {
		r.letGo(old)
		more -= old.Footprint()
	} else {
		more += entrySize
	}
	r.limits.Memory.Add(memory.Retained, more)
}

// Restore puts back a retained message that the store has kept.
func (r *Router) Restore(m *mqtt.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.place(m)
}

func (r *Router) forget(m *mqtt.Message) {
	before := r.retained.Nodes()
	r.retained.Delete(m.Topic)
	r.letGo(m)
	r.limits.Memory.Add(memory.Retained, (r.retained.Nodes()-before)*nodeSize-m.Footprint()-entrySize)
}

// letGo takes m off the books. Sessions that still have it pay from now on: it
// is counted once.
func (r *Router) letGo(m *mqtt.Message) {
	r.retainedBytes -= int64(m.Size())
	r.charge(m.Quota, -1, -m.Size())
	if !m.Release() {
		r.limits.Memory.Add(memory.Messages, m.Footprint())
	}
}

// dropExpired makes room when a limit is reached; until then an expired
// message only takes its place and is never sent. It looks through all of them
// only when one must have expired, and at most once a second: a client that
// publishes against a full store must not make each message cost that.
func (r *Router) dropExpired(now time.Time) {
	if r.nextExpiry.IsZero() || now.Before(r.nextExpiry) || now.Before(r.swept.Add(time.Second)) {
		return
	}
	var expired []*mqtt.Message
	var next time.Time
	for _, m := range r.retained.All() {
		switch {
		case m.Expired(now):
			expired = append(expired, m)
		case !m.Expires.IsZero() && (next.IsZero() || m.Expires.Before(next)):
			next = m.Expires
		}
	}
	for _, m := range expired {
		r.forget(m)
	}
	r.nextExpiry, r.swept = next, now
}

// Pacer is a Sink that takes a large number of retained messages at its own
// pace: Later keeps them, if it has room, and the owner of the sink asks for
// them with Resume. Without it they would all be in its queue at once, and what
// does not fit would be lost.
type Pacer interface {
	Later(s mqtt.Subscription, via *packet.Via, messages []*mqtt.Message) bool
}

// directly is how many retained messages go into a sink's queue at once.
const directly = 64

// retainedFor collects the retained messages of a new subscription. The caller
// holds the lock.
func (r *Router) retainedFor(now time.Time, s *subscriber) (messages []*mqtt.Message) {
	r.retained.Match(s.Filter, func(_ string, m *mqtt.Message) bool {
		if !m.Expired(now) && !(s.NoLocal && s.sink.ClientID() == m.Publisher) {
			messages = append(messages, m)
		}
		return true
	})
	return messages
}

// Resume delivers retained messages that a Pacer kept for later. One that was
// replaced meanwhile is passed over: the subscriber got the newer one when it
// was published, and the older must not follow it.
func (r *Router) Resume(now time.Time, sink Sink, s mqtt.Subscription, via *packet.Via, messages []*mqtt.Message) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	sub := subscriber{Subscription: s, sink: sink, via: via}
	for _, m := range messages {
		if current, ok := r.retained.Get(m.Topic); ok && current == m {
			r.sendRetained(now, &sub, m)
		}
	}
}

// Refresh delivers the retained message of a topic to one sink; when there is
// none, the message that deletes it elsewhere.
func (r *Router) Refresh(now time.Time, sink Sink, topic string) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	m, ok := r.retained.Get(topic)
	if !ok || m.Expired(now) {
		m = &mqtt.Message{Topic: topic, QoS: mqtt.AtLeastOnce, Retain: true}
	}
	r.sendRetained(now, &subscriber{Subscription: mqtt.Subscription{QoS: mqtt.ExactlyOnce}, sink: sink}, m)
}

// sendRetained delivers one retained message with RETAIN set [MQTT-3.3.1-8].
func (r *Router) sendRetained(now time.Time, s *subscriber, m *mqtt.Message) {
	if m.Expired(now) {
		return
	}
	var p packet.Publication
	qos := min(m.QoS, s.QoS)
	r.order.Lock()
	defer r.order.Unlock()
	if n := s.sink.Deliver(now, p.Own(m), qos, true, s.via); n > 0 && n != Kept {
		to := []store.Destination{destination(s.sink, n, qos, true, s.via)}
		r.store.Append(store.Record{Kind: store.MessageQueued, At: now, Message: m, Destinations: to})
	}
}

// Retained returns the retained messages that a valid Topic Filter matches, in
// no order.
func (r *Router) Retained(now time.Time, filter string) (messages []*mqtt.Message) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	r.retained.Match(filter, func(_ string, m *mqtt.Message) bool {
		if !m.Expired(now) {
			messages = append(messages, m)
		}
		return true
	})
	return messages
}
