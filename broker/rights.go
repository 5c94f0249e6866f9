package broker

import (
	"sync/atomic"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/conn"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// Rights are asked for when something is published or subscribed, and the
// answers are remembered until they change. Broker.RightsChanged says so, and
// the next subscription of anybody or message of an in-process client notices
// a new Authenticator.Generation too; a PUBLISH, which is to be cheap, looks at
// one number. Then every session is reviewed: subscriptions that are not
// granted any more end, and what waits and may not be received is given up.

// authority is one Authenticator with the generation of the last review.
type authority struct {
	Authenticator
	open bool // everybody may do everything
	seen atomic.Uint64
}

// authority returns the one that stands for a; few are shared by all
// listeners.
func (h *hub) authority(a Authenticator) *authority {
	if x := h.known(a); x != nil {
		return x
	}
	x := &authority{Authenticator: a}
	_, x.open = a.(everybody)
	x.seen.Store(a.Generation())
	h.authorities = append(h.authorities, x)
	return x
}

// known is the authority that stands for a, nil before it is made.
func (h *hub) known(a Authenticator) *authority {
	for _, x := range h.authorities {
		if x.Authenticator == a {
			return x
		}
	}
	return nil
}

// RightsChanged applies changed answers of the Authenticators to all sessions
// at once, also of clients that are away, and ends connections of users that
// are no more, or have another password, of tokens whose key is gone, and of
// client certificates that were revoked (0x98). It returns when that is done.
func (b *Broker) RightsChanged() {
	b.hub.notice()
	b.endStranded()
}

func (b *Broker) endStranded() {
	for _, e := range b.hub.strandedEndpoints() {
		e.Kick(mqtt.AdministrativeAction)
	}
}

// lost reports whether what proved an identity is no more.
func (l *listener) lost(who *Identity) bool {
	a, ok := l.auth.Authenticator.(interface {
		Lost(who *Identity, listener string) bool
	})
	return ok && a.Lost(who, l.name)
}

// revoked reports whether what proved an endpoint below MQTT is no more.
func revoked(e endpoint) bool {
	r, ok := e.(interface{ Revoked() bool })
	return ok && r.Revoked()
}

// strandedEndpoints are the connections of users whose proof is lost.
func (h *hub) strandedEndpoints() (all []endpoint) {
	r := &h.registry
	r.Lock()
	defer r.Unlock()
	for _, cl := range r.clients {
		if cl.endpoint != nil && cl.door != nil && (cl.door.lost(cl.who) || revoked(cl.endpoint)) {
			all = append(all, cl.endpoint)
		}
	}
	return all
}

// notice reviews the sessions if rights have changed.
func (h *hub) notice() {
	for _, a := range h.authorities {
		old, now := a.seen.Load(), a.Generation()
		if old != now && a.seen.CompareAndSwap(old, now) {
			h.reviewAll(a)
		}
	}
}

func (h *hub) reviewAll(a *authority) {
	var all []admitted
	r := &h.registry
	r.Lock()
	for _, cl := range r.clients {
		if cl.door != nil && cl.door.auth == a {
			all = append(all, admitted{cl.door, cl.who, cl.peer})
		}
	}
	r.Unlock()
	for _, x := range all {
		x.review()
	}
	h.log.Info("rights changed", "sessions", len(all))
}

// admitted is a session with the identity its rights are those of.
type admitted struct {
	door *listener
	who  *Identity
	peer *conn.Peer
}

// maySubscribe asks for one Topic Filter, shared or not.
func (x admitted) maySubscribe(s *mqtt.Subscription) Decision {
	_, filter, _ := topic.Share(s.Filter)
	return x.door.auth.Authorize(&Access{
		Identity: x.who, ClientID: x.peer.ClientID(), Listener: x.door.name, Action: Subscribe, Topic: filter, QoS: s.QoS,
	})
}

// mayReceive returns the question for each message; it is asked under the
// peer's lock.
func (x admitted) mayReceive() func(topic string) bool {
	a := &Access{Identity: x.who, ClientID: x.peer.ClientID(), Listener: x.door.name, Action: Receive}
	return func(topic string) bool {
		a.Topic = topic
		if x.door.auth.Authorize(a).Code.Failed() {
			x.door.receiveRefused.Add(1)
			return false
		}
		return true
	}
}

// review holds a session to the rights of today.
func (x admitted) review() {
	if x.door.auth.open {
		return
	}
	h, each := x.door.hub, false
	for _, s := range x.peer.Subscriptions() {
		d := x.maySubscribe(&s)
		switch {
		case d.Code.Failed():
			if x.peer.Unsubscribed(s.Filter) {
				h.router.Unsubscribe(x.peer, s.Filter, x.peer.Durable())
				h.passOn(x.peer.TakeShared(s.Filter, false))
				h.log.Warn("subscription ended", "client_id", x.peer.ClientID(), "topic", s.Filter, "reason", d.Code.String())
			}
			continue
		case d.MaxQoS < s.QoS:
			s.QoS, s.RetainHandling = d.MaxQoS, mqtt.DoNotSendRetained
			h.subscribe(time.Now(), x.peer, s)
		}
		each = each || d.Each
	}
	// Two functions: each keeps its own question.
	purge := x.mayReceive()
	if each {
		x.peer.Gate(x.mayReceive(), purge)
	} else {
		x.peer.Gate(nil, purge)
	}
}
