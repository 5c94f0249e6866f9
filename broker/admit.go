package broker

import (
	"crypto/rand"
	"math"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/conn"
	"github.com/dunlin-mqtt/dunlin/broker/internal/session"
	"github.com/dunlin-mqtt/dunlin/broker/internal/store"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// Connect implements conn.Server.
func (l *listener) Connect(c *conn.Conn, r *conn.Request) (a conn.Accepted, err error) {
	if r.ClientID == "" && (r.Version == mqtt.V31 || r.Version == mqtt.V311 && !r.CleanStart) { // [MQTT311-3.1.3-8]
		return a, mqtt.Errorf(mqtt.ClientIdentifierNotValid, "MQTT311-3.1.3-8", "empty Client Identifier")
	}
	if a.Identity, err = l.identify(c, r); err != nil {
		return a, err
	}
	a.ClientID = r.ClientID
	if a.ClientID == "" { // [MQTT-3.1.3-6]
		a.ClientID = "auto-" + strings.ToLower(rand.Text())
	}
	if w := r.Will; w != nil {
		if err := l.mayPublish(a.ClientID, a.Identity, w.Message.Topic, w.Message.QoS, w.Message.Retain); err != nil {
			return a, mqtt.Errorf(mqtt.NotAuthorized, "", "the will may not be published to %.100q", w.Message.Topic)
		}
	}
	a.ExpiryMax = l.limits.SessionExpiryMax
	a.SessionExpiry = min(r.SessionExpiry, a.ExpiryMax)
	a.KeepAlive = l.keepAlive(r)
	got, err := l.attach(attachment{
		id: a.ClientID, owner: l.owner(a.Identity), door: l, who: a.Identity, remote: c.Transport().Remote,
		cleanStart: r.CleanStart, noWait: r.NoWait, limits: l.session, will: r.Will, endpoint: c,
		params: session.Params{
			Version: r.Version, ReceiveMaximum: min(r.ReceiveMaximum, l.limits.ReceiveMaximum),
			Expiry: a.SessionExpiry, AsBridge: r.Bridge,
		},
	})
	if err == nil && got.present {
		admitted{l, a.Identity, got.peer}.review()
	}
	a.Peer, a.SessionPresent, a.Recorded = got.peer, got.present, got.recorded
	if err == nil {
		l.events.connected(c, l, &a)
	}
	return a, err
}

// Reauthenticated implements conn.Server.
func (l *listener) Reauthenticated(c *conn.Conn) {
	l.proved(c.Peer().ClientID(), c, c.Identity())
}

// keepAlive caps the Keep Alive of 5.0 clients, which learn of it
// [MQTT-3.2.2-21]. Older clients cannot be told and keep theirs.
func (l *listener) keepAlive(r *conn.Request) uint16 {
	limit := uint16(min(l.limits.KeepAliveMax/time.Second, math.MaxUint16))
	if r.Version == mqtt.V5 && limit > 0 && (r.KeepAlive == 0 || r.KeepAlive > limit) {
		return limit
	}
	return r.KeepAlive
}

// Disconnect implements conn.Server.
func (l *listener) Disconnect(c *conn.Conn, e conn.End) {
	id := c.Peer().ClientID()
	l.detach(id, c, e)
	l.events.disconnected(c, l, e)
	switch e.Reason {
	case mqtt.DisconnectWithWill, mqtt.ServerShuttingDown, mqtt.AdministrativeAction:
		return
	}
	if !e.Normal && l.limits.Flapping > 0 && l.guard.Flap(time.Now(), id, l.limits.Flapping, l.limits.FlappingWindow) {
		l.log.Warn("banned for flapping", "client_id", id, "for", l.limits.FlappingWindow)
	}
}

// Admit implements conn.Router.
func (l *listener) Admit(c *conn.Conn, name string, qos mqtt.QoS, retain bool) *mqtt.Error {
	err := l.mayPublish(c.Peer().ClientID(), c.Identity(), name, qos, retain)
	if err != nil {
		how := name + " with QoS " + string(rune('0'+qos))
		if retain {
			how += ", retained"
		}
		l.events.denied(c.Peer().ClientID(), "publish to", how)
	}
	return err
}

// Refusals of PUBLISH by rights; made once.
var (
	errReserved     = mqtt.Errorf(mqtt.NotAuthorized, "MQTT-4.7.2-1", "topics that start with $ are the server's")
	errUnauthorized = mqtt.Errorf(mqtt.NotAuthorized, "", "not authorized to publish to this topic")
)

// mayPublish applies the rule that network clients do not publish to topics
// that start with $ (4.7.2), but for the state of their own connection, which
// mosquitto's bridges tell and have as their will, and the rights of the identity.
func (l *listener) mayPublish(id string, who *Identity, name string, qos mqtt.QoS, retain bool) *mqtt.Error {
	if own := strings.TrimPrefix(name, l.conn.TopicPrefix); strings.HasPrefix(own, "$") && own != "$SYS/broker/connection/"+id+"/state" {
		return errReserved
	}
	d := l.auth.Authorize(&Access{
		Identity: who, ClientID: id, Listener: l.name, Action: Publish, Topic: name, QoS: qos, Retain: retain,
	})
	switch {
	case d.Code == mqtt.NotAuthorized:
		return errUnauthorized
	case d.Code.Failed():
		return mqtt.Errorf(d.Code, "", "not authorized to publish like this")
	}
	return nil
}

// Publish implements conn.Router. That a message was routed but not retained
// can be told with QoS 1 only: PUBREC with a failure would end what QoS 2 began.
func (h *hub) Publish(now time.Time, p *packet.Publication) (code mqtt.ReasonCode, recorded bool) {
	r := h.router.Publish(now, p)
	m := p.Peek()
	switch {
	case r.NotRetained:
		h.notRetained(m)
		if m.QoS == mqtt.AtLeastOnce {
			return mqtt.QuotaExceeded, r.Recorded
		}
	case !r.Matched:
		return mqtt.NoMatchingSubscribers, r.Recorded
	}
	return mqtt.Success, r.Recorded
}

func (h *hub) notRetained(m *mqtt.Message) {
	h.log.Warn("not retained: mqtt.limits or memory have no room", "client_id", m.Publisher, "topic", m.Topic)
}

// Subscribe implements conn.Router.
func (l *listener) Subscribe(now time.Time, c *conn.Conn, s mqtt.Subscription) mqtt.ReasonCode {
	l.notice()
	x := admitted{l, c.Identity(), c.Peer()}
	d := x.maySubscribe(&s)
	if d.Code.Failed() {
		l.events.denied(c.Peer().ClientID(), "subscribe to", s.Filter)
		return d.Code
	}
	if d.Each {
		x.peer.Gate(x.mayReceive(), nil)
	}
	s.QoS = min(s.QoS, d.MaxQoS)
	code := l.subscribe(now, x.peer, s)
	if !code.Failed() {
		l.events.subscribed(c, l, s.Filter, s.QoS)
	}
	return code
}

// subscribe is for connections and in-process clients alike.
func (h *hub) subscribe(now time.Time, p *conn.Peer, s mqtt.Subscription) mqtt.ReasonCode {
	old, had := p.Subscription(s.Filter)
	existed, code := p.Subscribed(s)
	if code.Failed() || h.router.Subscribe(now, p, s, existed, p.Durable()) {
		return code
	}
	if p.Unsubscribed(s.Filter); had {
		p.Subscribed(old) // there was room for it before
	}
	return mqtt.QuotaExceeded
}

// Resume implements conn.Router.
func (h *hub) Resume(now time.Time, p *conn.Peer) bool {
	s, via, messages := p.Page()
	if len(messages) > 0 {
		h.router.Resume(now, p, s, via, messages)
	}
	return len(messages) > 0
}

// Unsubscribe implements conn.Router.
func (l *listener) Unsubscribe(c *conn.Conn, filter string) mqtt.ReasonCode {
	if !c.Peer().Unsubscribed(filter) {
		return mqtt.NoSubscriptionExisted
	}
	l.router.Unsubscribe(c.Peer(), filter, c.Peer().Durable())
	if _, _, shared := topic.Share(filter); shared {
		l.passOn(c.Peer().TakeShared(filter, false))
	}
	l.events.unsubscribed(c, l, filter)
	return mqtt.Success
}

// passOn gives what a member of a Shared Subscription left behind to the
// others. What finds nobody is gone, as it would be with the last subscriber.
func (h *hub) passOn(left []session.Unfinished) {
	for len(left) > 0 {
		filter := left[0].Share
		var messages []*mqtt.Message
		rest := left[:0:0]
		for _, u := range left {
			if u.Share == filter {
				messages = append(messages, u.Message)
			} else {
				rest = append(rest, u)
			}
		}
		if lost := h.router.Redeliver(time.Now(), filter, messages); lost > 0 {
			h.log.Debug("messages of a shared subscription found no other member", "topic", filter, "messages", lost)
		}
		left = rest
	}
}

// Persist implements conn.Router.
func (h *hub) Persist(p *conn.Peer, change session.Change, number uint64) {
	rec := store.Record{ClientID: p.ClientID(), Number: number}
	switch change {
	case session.PacketReceived:
		rec.Kind = store.PacketReceived
	case session.PacketReleased:
		rec.Kind = store.PacketReleased
	case session.DeliveryReceived:
		rec.Kind = store.DeliveryReceived
	case session.DeliveryDone:
		rec.Kind = store.DeliveryDone
	}
	h.router.Persist(rec)
}
