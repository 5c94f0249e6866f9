package router

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// group is one Shared Subscription: a ShareName and a Topic Filter.
type group struct {
	filter  string // as subscribed, "$share/name/filter"
	name    string
	members []subscriber
	turn    atomic.Uint32 // counted under the read lock
}

// shared marks hits that take part on their own: a Shared Subscription and a
// plain one of the same client deliver separately (4.8.2).
func (h *hit) shared() bool { return h.fromGroup }

func (n *node) find(filter string) *group {
	for _, g := range n.groups {
		if g.filter == filter {
			return g
		}
	}
	return nil
}

func (n *node) group(filter, name string) *group {
	if g := n.find(filter); g != nil {
		return g
	}
	g := &group{filter: filter, name: name}
	n.groups = append(n.groups, g)
	return g
}

func (g *group) set(s subscriber) (added bool) {
	g.members, added = set(g.members, s)
	return added
}

func (n *node) leave(filter string, sink Sink) (removed bool) {
	for i, g := range n.groups {
		if g.filter != filter {
			continue
		}
		g.members, removed = unset(g.members, sink)
		if len(g.members) == 0 {
			n.groups = slices.Delete(n.groups, i, i+1)
		}
		return removed
	}
	return false
}

// addShared hands p to one member of the group.
func (d *delivery) addShared(g *group, p *packet.Publication) {
	pick := g.pick(p)
	d.hits = append(d.hits, hit{
		sink: pick.sink, via: pick.via, qos: pick.QoS,
		retain: p.Peek().Retain && pick.RetainAsPublished, fromGroup: true,
	})
}

// pick chooses who gets p: the next in turn that is there and has room, else
// the next that has room for later, else the next that is there.
func (g *group) pick(p *packet.Publication) *subscriber {
	n := uint32(len(g.members))
	first := g.turn.Add(1) - 1
	pick, best := &g.members[first%n], 0
	for i := range n {
		s := &g.members[(first+i)%n]
		rank := 0
		if s.sink.Online() {
			rank = 1
		}
		if s.sink.Takes(p, min(p.Peek().QoS, s.QoS)) {
			rank += 2
		}
		if rank == 3 {
			return s
		}
		if rank > best {
			pick, best = s, rank
		}
	}
	return pick
}

// Redeliver gives messages that a member of the Shared Subscription with this
// Topic Filter left behind to the others, in order. It returns how many found
// nobody.
func (r *Router) Redeliver(now time.Time, filter string, messages []*mqtt.Message) (lost int) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, rest, _ := topic.Share(filter)
	n, ok := r.filters.Get(rest)
	if !ok {
		return len(messages)
	}
	g := n.find(filter)
	if g == nil {
		return len(messages)
	}
	d := new(delivery)
	defer d.release()
	r.order.Lock()
	defer r.order.Unlock()
	for _, m := range messages {
		p := new(packet.Publication).Own(m)
		d.hits = d.hits[:0]
		d.addShared(g, p)
		d.send(now, p, &d.hits[0])
		if len(d.kept) > 0 {
			r.store.Append(store.Record{Kind: store.MessageQueued, At: now, Message: m, Destinations: d.kept})
			d.kept = d.kept[:0]
		}
	}
	return 0
}
