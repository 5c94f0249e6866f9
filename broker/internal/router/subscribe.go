package router

import (
	"slices"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// subscriber is one subscription of one sink.
type subscriber struct {
	mqtt.Subscription
	sink Sink
	via  *packet.Via // what deliveries say about it
}

// node holds everyone who subscribed to one Topic Filter.
type node struct {
	subscribers []subscriber
	groups      []*group
}

func (n *node) empty() bool { return len(n.subscribers)+len(n.groups) == 0 }

// Subscribe adds or replaces a subscription and delivers the retained messages
// that Retain Handling asks for. existed says whether the session had one with
// this Topic Filter; record asks for one of it in the store. Between the retained messages
// and the first live one nothing is lost and nothing comes twice: both happen
// under one lock. It changes nothing and returns false if the sink has no room
// for the retained messages.
func (r *Router) Subscribe(now time.Time, sink Sink, s mqtt.Subscription, existed, record bool) bool {
	sub := subscriber{Subscription: s, sink: sink}
	if s.Identifier != 0 {
		sub.via = &packet.Via{Identifiers: []uint32{s.Identifier}}
	}
	group, filter, shared := topic.Share(s.Filter)
	if !shared {
		filter = s.Filter
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var retained []*mqtt.Message
	// Shared Subscriptions get no retained messages when they are made (4.8.2).
	if !shared && s.RetainHandling != mqtt.DoNotSendRetained && !(existed && s.RetainHandling == mqtt.SendRetainedIfNew) {
		retained = r.retainedFor(now, &sub)
	}
	if pacer, ok := sink.(Pacer); ok && len(retained) > directly {
		if !pacer.Later(s, sub.via, retained) {
			return false
		}
		retained = nil
	}
	n := r.filters.add(filter)
	added := false
	if shared {
		sub.via = &packet.Via{Identifiers: sub.via.IDs(), Share: s.Filter}
		added = n.group(s.Filter, group).set(sub)
	} else {
		n.subscribers, added = set(n.subscribers, sub)
	}
	if added {
		r.subscriptions++
		if shared {
			r.shared++
		}
	}
	if record {
		r.store.Append(store.Record{Kind: store.Subscribed, ClientID: sink.ClientID(), Subscription: s})
	}
	for _, m := range retained {
		r.sendRetained(now, &sub, m)
	}
	return true
}

// Unsubscribe removes the subscription of sink with exactly the Topic Filter s
// [MQTT-3.10.4-1], if there is one; record asks for one of it in the store.
func (r *Router) Unsubscribe(sink Sink, s string, record bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, filter, shared := topic.Share(s)
	if !shared {
		filter = s
	}
	n, ok := r.filters.Get(filter)
	if !ok {
		return
	}
	removed := false
	if shared {
		removed = n.leave(s, sink)
	} else {
		n.subscribers, removed = unset(n.subscribers, sink)
	}
	if !removed {
		return
	}
	r.subscriptions--
	if shared {
		r.shared--
	}
	if n.empty() {
		r.filters.remove(filter)
	}
	if record {
		r.store.Append(store.Record{Kind: store.Unsubscribed, ClientID: sink.ClientID(), Subscription: mqtt.Subscription{Filter: s}})
	}
}

// set replaces in place: delivery order of the others stays as it is.
func set(list []subscriber, sub subscriber) (_ []subscriber, added bool) {
	for i := range list {
		if list[i].sink == sub.sink {
			list[i] = sub
			return list, false
		}
	}
	return append(list, sub), true
}

func unset(list []subscriber, sink Sink) (_ []subscriber, removed bool) {
	n := len(list)
	list = slices.DeleteFunc(list, func(s subscriber) bool { return s.sink == sink })
	return list, len(list) < n
}
