package broker

import (
	"context"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// presence is who is attached to a session at the moment.
type presence struct {
	id, user, remote string
	endpoint         endpoint
}

// present lists the clients of the network that are there.
func (h *hub) present() []presence {
	r := &h.registry
	r.Lock()
	defer r.Unlock()
	var all []presence
	for id, cl := range r.clients {
		if cl.endpoint != nil && cl.door != nil {
			all = append(all, presence{id, cl.who.User, cl.remote, cl.endpoint})
		}
	}
	return all
}

// Disconnect ends the connection of a client with a reason, for instance
// AdministrativeAction; its session stays as it would otherwise. It reports
// whether the client was there, and does not wait.
func (b *Broker) Disconnect(clientID string, code mqtt.ReasonCode) bool {
	r := &b.hub.registry
	r.Lock()
	cl := r.clients[clientID]
	var e endpoint
	if cl != nil {
		e = cl.endpoint
	}
	r.Unlock()
	if e != nil {
		e.Kick(code)
	}
	return e != nil
}

// EndSession ends the session of a client of the network with all that waits in
// it, as if its Session Expiry Interval had passed: its will is published. A
// connection is ended before, with AdministrativeAction, and waited for, at most
// until ctx ends. It reports whether there was a session.
func (b *Broker) EndSession(ctx context.Context, clientID string) (bool, error) {
	r := &b.hub.registry
	for there := false; ; there = true {
		r.Lock()
		cl := r.clients[clientID]
		switch {
		case cl == nil || cl.owner == gateway:
			r.Unlock()
			return there, nil
		case cl.endpoint == nil:
			b.hub.remove(clientID, cl)
			r.Unlock()
			b.hub.end(cl)
			b.log.Info("session dropped", "client_id", clientID)
			return true, nil
		}
		e := cl.endpoint
		r.Unlock()
		e.Kick(mqtt.AdministrativeAction)
		select {
		case <-e.Done():
		case <-ctx.Done():
			return true, ctx.Err()
		}
	}
}
