package router

import (
	"github.com/dunlin-mqtt/dunlin/broker/packet"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// route is what matched a topic when it was last published: a client that
// publishes to a few topics again and again does not pay for the tree. It is
// kept beside the name that the connection remembers; see packet.Publication.
type route struct {
	shape uint64 // of the tree then: it changes with each filter that comes or goes
	n     int    // of nodes; more than that are not remembered
	nodes [3]*node
}

// met stands for the route of a topic that came once: many never come again.
var met = new(route)

// routes is the tree of Topic Filters with the number that makes a route old.
type routes struct {
	topic.Filters[*node]
	shape uint64
}

// add gives filter a node if it has none.
func (f *routes) add(filter string) *node {
	n, ok := f.Get(filter)
	if !ok {
		n = new(node)
		f.Set(filter, n)
		f.shape++
	}
	return n
}

func (f *routes) remove(filter string) {
	f.Delete(filter)
	f.shape++
}

// find appends the nodes of all filters that match p.
func (f *routes) find(p *packet.Publication, nodes []*node) []*node {
	var old *route
	if p.Memo != nil {
		if old, _ = (*p.Memo).(*route); old != nil && old.shape == f.shape {
			for i := range old.n {
				nodes = append(nodes, old.nodes[i])
			}
			return nodes
		}
	}
	f.Match(p.Peek().Topic, func(_ string, n *node) { nodes = append(nodes, n) })
	switch {
	case p.Memo == nil || len(nodes) > len(old.nodes):
	case old == nil:
		*p.Memo = met
	case old == met:
		old = new(route)
		*p.Memo = old
		fallthrough
	default:
		old.shape, old.n = f.shape, copy(old.nodes[:], nodes)
	}
	return nodes
}
