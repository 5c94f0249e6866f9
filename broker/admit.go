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
	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// Connect implements conn.Server.
func (h *hub) Connect(c *conn.Conn, r *conn.Request) (a conn.Accepted, err error) {
	if r.ClientID == "" && (r.Version == mqtt.V31 || r.Version == mqtt.V311 && !r.CleanStart) { // [MQTT311-3.1.3-8]
		return a, mqtt.Errorf(mqtt.ClientIdentifierNotValid, "MQTT311-3.1.3-8", "empty Client Identifier")
	}
	a.User = r.Username
	if h.opts.Authenticate != nil {
		user, code := h.opts.Authenticate(ConnectInfo{
			ClientID: r.ClientID, Username: r.Username, HasUsername: r.HasUsername, Password: r.Password,
			Version: r.Version, Listener: r.Listener, Remote: r.Remote,
		})
		if code.Failed() {
			return a, mqtt.Errorf(code, "", "refused by authentication")
		}
		a.User = user
	}
	a.ClientID = r.ClientID
	if a.ClientID == "" { // [MQTT-3.1.3-6]
		a.ClientID = "auto-" + strings.ToLower(rand.Text())
	}
	if w := r.Will; w != nil {
		if code := h.mayWrite(a.ClientID, a.User, w.Message.Topic, w.Message.QoS, w.Message.Retain); code.Failed() {
			return a, mqtt.Errorf(mqtt.NotAuthorized, "", "the will may not be published")
		}
	}
	a.ExpiryMax = h.opts.Limits.SessionExpiryMax
	a.SessionExpiry = min(r.SessionExpiry, a.ExpiryMax)
	a.KeepAlive = h.keepAlive(r)
	got, err := h.attach(attachment{
		id: a.ClientID, cleanStart: r.CleanStart, limits: h.opts.Limits.session(), will: r.Will, endpoint: c,
		params: session.Params{
			Version: r.Version, ReceiveMaximum: min(r.ReceiveMaximum, h.opts.Limits.ReceiveMaximum),
			Expiry: a.SessionExpiry, AsBridge: r.Bridge,
		},
	})
	a.Peer, a.SessionPresent, a.Recorded = got.peer, got.present, got.recorded
	return a, err
}

// keepAlive caps the Keep Alive of 5.0 clients, which learn of it
// [MQTT-3.2.2-21]. Older clients cannot be told and keep theirs.
func (h *hub) keepAlive(r *conn.Request) uint16 {
	limit := uint16(min(h.opts.Limits.KeepAliveMax/time.Second, math.MaxUint16))
	if r.Version == mqtt.V5 && limit > 0 && (r.KeepAlive == 0 || r.KeepAlive > limit) {
		return limit
	}
	return r.KeepAlive
}

// Disconnect implements conn.Server.
func (h *hub) Disconnect(c *conn.Conn, e conn.End) { h.detach(c.Peer().ClientID(), c, e.Normal) }

// Admit implements conn.Router.
func (h *hub) Admit(c *conn.Conn, name string, qos mqtt.QoS, retain bool) mqtt.ReasonCode {
	return h.mayWrite(c.Peer().ClientID(), c.User(), name, qos, retain)
}

// mayWrite applies the rule that network clients do not publish to topics that
// start with $ (4.7.2), and the hook.
func (h *hub) mayWrite(id, user, name string, qos mqtt.QoS, retain bool) mqtt.ReasonCode {
	if strings.HasPrefix(name, "$") {
		return mqtt.NotAuthorized
	}
	if h.opts.Authorize == nil {
		return mqtt.Success
	}
	return h.opts.Authorize(Access{ClientID: id, User: user, Topic: name, Write: true, QoS: qos, Retain: retain})
}

// Publish implements conn.Router.
func (h *hub) Publish(now time.Time, m *mqtt.Message) (matched, recorded bool) {
	r := h.router.Publish(now, m)
	return r.Matched, r.Recorded
}

// Subscribe implements conn.Router.
func (h *hub) Subscribe(now time.Time, c *conn.Conn, s mqtt.Subscription) mqtt.ReasonCode {
	if h.opts.Authorize != nil {
		_, filter, shared := topic.Share(s.Filter)
		if !shared {
			filter = s.Filter
		}
		code := h.opts.Authorize(Access{ClientID: c.Peer().ClientID(), User: c.User(), Topic: filter, QoS: s.QoS})
		if code.Failed() {
			return code
		}
	}
	return h.subscribe(now, c.Peer(), s)
}

// subscribe is for connections and in-process clients alike.
func (h *hub) subscribe(now time.Time, p *conn.Peer, s mqtt.Subscription) mqtt.ReasonCode {
	existed, code := p.Subscribed(s)
	if !code.Failed() {
		h.router.Subscribe(now, p, s, existed, p.Durable())
	}
	return code
}

// Unsubscribe implements conn.Router.
func (h *hub) Unsubscribe(c *conn.Conn, filter string) mqtt.ReasonCode {
	if !c.Peer().Unsubscribed(filter) {
		return mqtt.NoSubscriptionExisted
	}
	h.router.Unsubscribe(c.Peer(), filter, c.Peer().Durable())
	return mqtt.Success
}

// Persist implements conn.Router.
func (h *hub) Persist(p *conn.Peer, change session.Change, id uint16) {
	rec := store.Record{ClientID: p.ClientID(), PacketID: id}
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
