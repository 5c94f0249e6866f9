package broker

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// originPrefix is what the store's names of sessions with other servers begin
// with: no queue and no Client Identifier does.
const originPrefix = "\x00\x00"

// origins are the Packet Identifiers of QoS 2 messages from other servers that
// were published and not released yet [MQTT-4.3.3-10].
type origins struct {
	sync.Mutex
	sessions map[string]map[uint16]struct{}
}

// add reports whether o is new.
func (g *origins) add(o mqtt.Origin) bool {
	g.Lock()
	defer g.Unlock()
	ids := g.sessions[o.Session]
	if _, again := ids[o.ID]; again {
		return false
	}
	if ids == nil {
		if g.sessions == nil {
			g.sessions = make(map[string]map[uint16]struct{})
		}
		ids = make(map[uint16]struct{})
		g.sessions[o.Session] = ids
	}
	ids[o.ID] = struct{}{}
	return true
}

// remove reports whether o was there.
func (g *origins) remove(o mqtt.Origin) bool {
	g.Lock()
	defer g.Unlock()
	_, ok := g.sessions[o.Session][o.ID]
	delete(g.sessions[o.Session], o.ID)
	return ok
}

// forget reports whether the session was known.
func (g *origins) forget(session string) bool {
	g.Lock()
	defer g.Unlock()
	_, ok := g.sessions[session]
	delete(g.sessions, session)
	return ok
}

func (g *origins) restore(name string, line *store.Line) {
	for id := range line.Received {
		g.add(mqtt.Origin{Session: strings.TrimPrefix(name, originPrefix), ID: id})
	}
}

// PublishFrom is Publish of a QoS 2 message that another server has sent. The
// message and its identifier become durable in one record; nil means that they
// are, and that PUBREC may be sent. A message whose identifier is known was
// published before: again is true and it is not published again.
func (c *Client) PublishFrom(ctx context.Context, m mqtt.Message, from mqtt.Origin) (again bool, err error) {
	if err := c.mayPublish(&m); err != nil {
		return false, err
	}
	if !c.hub.origins.add(from) {
		return true, c.hub.barrier(ctx)
	}
	c.hub.router.PublishFrom(time.Now(), new(packet.Publication).Own(&m), originPrefix+from.Session, from.ID)
	return false, c.hub.barrier(ctx)
}

// Release ends the life of an identifier, as PUBREL does. nil means that this is
// durable and that PUBCOMP may be sent. known is false for an identifier that is
// not there.
func (c *Client) Release(ctx context.Context, from mqtt.Origin) (known bool, err error) {
	if known = c.hub.origins.remove(from); known {
		c.hub.router.Persist(store.Record{Kind: store.PacketReleased, ClientID: originPrefix + from.Session, Number: uint64(from.ID)})
	}
	return known, c.hub.barrier(ctx)
}

// Forget ends the life of all identifiers of a session that the other server
// has lost.
func (c *Client) Forget(ctx context.Context, session string) error {
	if !c.hub.origins.forget(session) {
		return nil
	}
	c.hub.router.Persist(store.Record{Kind: store.SessionEnded, ClientID: originPrefix + session})
	return c.hub.barrier(ctx)
}
