package router

import (
	"slices"
	"sync/atomic"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
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

func (n *node) group(filter, name string) *group {
	for _, g := range n.groups {
		if g.filter == filter {
			return g
		}
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

// addShared picks one member: the next in turn that is online, else the next
// whose session keeps messages.
func (d *delivery) addShared(g *group, m *mqtt.Message) {
	n := uint32(len(g.members))
	first := g.turn.Add(1) - 1
	pick := &g.members[first%n]
	for i := range n {
		if s := &g.members[(first+i)%n]; s.sink.Online() {
			pick = s
			break
		}
	}
	d.hits = append(d.hits, hit{
		sink: pick.sink, identifiers: pick.identifiers, qos: pick.QoS,
		retain: m.Retain && pick.RetainAsPublished, fromGroup: true,
	})
}
