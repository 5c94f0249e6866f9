package router

import (
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// hit is one receiver of a message: overlapping subscriptions of one sink are
// one hit with the highest QoS [MQTT-3.3.4-2] and all their Subscription
// Identifiers [MQTT-3.3.4-4].
type hit struct {
	sink      Sink
	via       *packet.Via
	qos       mqtt.QoS
	retain    bool
	fromGroup bool // through a Shared Subscription
}

// delivery is the scratch memory of one Publish.
type delivery struct {
	nodes    []*node
	hits     []hit
	index    map[Sink]int // made only when more than one filter matched
	kept     []store.Destination
	recorded bool
}

// manyHits is how many receivers one message may have before their memory is
// given back.
const manyHits = 4096

// deliveryOf is what the last Publish of p has left.
func deliveryOf(p *packet.Publication) *delivery {
	d, _ := p.Work.(*delivery)
	if d == nil {
		d = new(delivery)
		p.Work = d
	}
	return d
}

func (d *delivery) release() {
	clear(d.nodes)
	clear(d.hits)
	if len(d.kept) > 0 {
		clear(d.kept)
	}
	if len(d.index) > 0 {
		clear(d.index)
	}
	if cap(d.hits) > manyHits {
		*d = delivery{}
		return
	}
	d.nodes, d.hits, d.kept, d.recorded = d.nodes[:0], d.hits[:0], d.kept[:0], false
}

// match collects the receivers of p; with each, one for every subscription.
func (d *delivery) match(filters *routes, p *packet.Publication, each bool) {
	m := p.Peek()
	d.nodes = filters.find(p, d.nodes)
	for k, n := range d.nodes {
		if k == 1 && !each {
			d.reindex()
		}
		for i := range n.subscribers {
			d.add(&n.subscribers[i], m, k > 0 && !each)
		}
		for _, g := range n.groups {
			d.addShared(g, p)
		}
	}
}

// reindex is called when a second filter matches: from then on a sink may
// come again.
func (d *delivery) reindex() {
	if d.index == nil {
		d.index = make(map[Sink]int)
	}
	for i := range d.hits {
		if !d.hits[i].shared() {
			d.index[d.hits[i].sink] = i
		}
	}
}

func (d *delivery) add(s *subscriber, m *mqtt.Message, merge bool) {
	if s.NoLocal && s.sink.ClientID() == m.Publisher { // [MQTT-3.8.3-3]
		return
	}
	retain := m.Retain && s.RetainAsPublished // [MQTT-3.3.1-12], [MQTT-3.3.1-13]
	if merge {
		if i, again := d.index[s.sink]; again {
			h := &d.hits[i]
			h.qos = max(h.qos, s.QoS)
			h.retain = h.retain || retain
			if s.Identifier != 0 {
				h.via = h.via.With(s.Identifier) // it may be a subscription's own
			}
			return
		}
		d.index[s.sink] = len(d.hits)
	}
	d.hits = append(d.hits, hit{sink: s.sink, via: s.via, qos: s.QoS, retain: retain})
}

// send hands p to one receiver with the lower of both QoS [MQTT-3.8.4-8].
func (d *delivery) send(now time.Time, p *packet.Publication, h *hit) {
	qos := min(p.Peek().QoS, h.qos)
	switch n := h.sink.Deliver(now, p, qos, h.retain, h.via); n {
	case 0:
	case Kept:
		d.recorded = true
	default:
		d.kept = append(d.kept, destination(h.sink, n, qos, h.retain, h.via))
	}
}

func destination(s Sink, number uint64, qos mqtt.QoS, retain bool, via *packet.Via) store.Destination {
	return store.Destination{
		Name: s.ClientID(), Number: number, QoS: qos, Retain: retain, Identifiers: via.IDs(), Share: via.Shared(),
	}
}
