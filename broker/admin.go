package broker

import (
	"context"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/guard"
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

// Ban keeps clients out: each field that is set must match.
type Ban = guard.Ban

// Ban keeps matching clients out for a time; those who are there are ended
// with 0x98. A client refused for it gets 0x8A. Without any condition, or when
// there are 4096 bans already, it fails.
func (b *Broker) Ban(ban Ban) error {
	if err := b.hub.guard.Ban(time.Now(), ban); err != nil {
		return err
	}
	b.log.Warn("banned", "address", ban.Address, "client_id", ban.ClientID, "user", ban.User, "for", ban.For)
	for _, x := range b.hub.present() {
		if ban.Matches(networkOf(x.remote), x.id, x.user) {
			x.endpoint.Kick(mqtt.AdministrativeAction)
		}
	}
	return nil
}

// Unban ends a ban, whatever its For. It reports whether there was one.
func (b *Broker) Unban(ban Ban) bool { return b.hub.guard.Unban(time.Now(), ban) }

// Bans returns the bans that hold, those for flapping included; For is how
// long each still lasts.
func (b *Broker) Bans() []Ban { return b.hub.guard.Bans(time.Now()) }
