package broker

import (
	"maps"

	"github.com/dunlin-mqtt/dunlin/broker/internal/conn"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Traffic is what went over connections in one direction: packets, bytes,
// PUBLISH packets, bytes of their payloads.
type Traffic = conn.Traffic

// ListenerStats are the counters of one listener since New, and its
// connections now.
type ListenerStats struct {
	Name           string
	Connections    int
	Accepted       uint64 // connections served, whether or not they got in
	Received, Sent Traffic
	// Refused are the connections that never became a client, by why: what
	// CONNACK said or would have said; UnspecifiedError for one that left or
	// said nothing in time.
	Refused map[mqtt.ReasonCode]uint64
}

// account is what a listener's connections that are gone leave behind. The
// lock of Broker.serving guards it.
type account struct {
	open           int // now
	accepted       uint64
	received, sent Traffic
	refused        map[mqtt.ReasonCode]uint64
}

func (a *account) refuse(code mqtt.ReasonCode) {
	if a.refused == nil {
		a.refused = make(map[mqtt.ReasonCode]uint64)
	}
	a.refused[code]++
}

// leave takes over the numbers of a connection that has ended.
func (a *account) leave(c *conn.Conn) {
	a.open--
	a.received.Add(c.Received())
	a.sent.Add(c.Sent())
	if c.Peer() != nil {
		return
	}
	code := c.End().Reason
	if !code.Failed() {
		code = mqtt.UnspecifiedError
	}
	a.refuse(code)
}

// Listeners returns the counters of each listener, in the order of
// Options.Listeners, or of those that have taken their place.
func (b *Broker) Listeners() []ListenerStats {
	s := &b.serving
	s.Lock()
	defer s.Unlock()
	all := make([]ListenerStats, len(s.gates))
	index := make(map[*gate]*ListenerStats, len(all))
	for i, g := range s.gates {
		a := &g.account
		all[i] = ListenerStats{
			Name: g.now.Load().name, Accepted: a.accepted, Received: a.received, Sent: a.sent, Refused: maps.Clone(a.refused),
		}
		index[g] = &all[i]
	}
	for c, l := range s.conns {
		n := index[l.gate]
		if n == nil {
			continue // on its way out with its listener
		}
		n.Connections++
		n.Received.Add(c.Received())
		n.Sent.Add(c.Sent())
	}
	return all
}
