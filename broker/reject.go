package broker

import (
	"sync"

	"github.com/dunlin-mqtt/dunlin/broker/internal/conn"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// crowds are the sessions that are full and reject what comes.
type crowds struct {
	sync.Mutex
	peers map[*conn.Peer]struct{}
}

// crowded is conn.Home.Crowded.
func (h *hub) crowded(p *conn.Peer, full bool) {
	c := &h.crowds
	c.Lock()
	defer c.Unlock()
	if !full {
		delete(c.peers, p)
		return
	}
	if c.peers == nil {
		c.peers = make(map[*conn.Peer]struct{})
	}
	c.peers[p] = struct{}{}
}

// rejects reports whether a message to this topic would find no room in a
// session that rejects what it has no room for.
func (h *hub) rejects(name string, _ int) bool {
	c := &h.crowds
	c.Lock()
	peers := make([]*conn.Peer, 0, len(c.peers))
	for p := range c.peers {
		peers = append(peers, p)
	}
	c.Unlock()
	for _, p := range peers {
		for _, s := range p.Subscriptions() {
			if s.QoS > 0 && !shared(s) && topic.Match(s.Filter, name) {
				return true
			}
		}
	}
	return false
}
