package conn

import (
	"github.com/dunlin-mqtt/dunlin/broker/packet"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// Clients of a listener with a topic prefix live in a part of the tree of
// topics and take it for the whole. The prefix goes before every topic they
// name, and Peer.Deliver takes it off again.

// inside returns the Topic Filter that the client means by filter.
func (c *Conn) inside(filter string) string {
	prefix := c.cfg.TopicPrefix
	if prefix == "" {
		return filter
	}
	if _, rest, shared := topic.Share(filter); shared {
		return filter[:len(filter)-len(rest)] + prefix + rest
	}
	return prefix + filter
}

// insideTopic does the same for a Response Topic.
func (c *Conn) insideTopic(p *packet.Properties) {
	if c.cfg.TopicPrefix != "" && p.Has&packet.HasResponseTopic != 0 {
		p.ResponseTopic = append([]byte(c.cfg.TopicPrefix), p.ResponseTopic...)
	}
}
