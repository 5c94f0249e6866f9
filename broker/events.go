package broker

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/conn"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// A storm of clients makes no storm of events: this many at once, this many a
// second after that. What is beyond is counted.
const (
	eventBurst = 1000
	eventRate  = 200 // a second
)

// ClientEvent is something that a network client did, or that happened to it.
type ClientEvent struct {
	ClientID string // as CONNECT has it when nobody was let in
	What     string // connected, disconnected, refused, subscribed, unsubscribed or denied
	Text     string // about it: the reason, the filter
}

// events tells what network clients do: Options.OnClient of all of it, and with
// publishes everybody who subscribes to $SYS/dunlin/clients/{id}/connected,
// disconnected, subscribed and unsubscribed, as JSON with QoS 0. A nil *events
// tells nobody.
type events struct {
	hub       *hub
	publishes bool
	tell      func(ClientEvent) // nil: nobody

	budget struct {
		sync.Mutex
		left    float64
		at      time.Time
		dropped uint64
	}
}

// event is the payload. What does not apply is left out.
type event struct {
	Time     string `json:"ts"` // RFC 3339, milliseconds
	ClientID string `json:"client_id"`
	User     string `json:"user,omitempty"`
	Remote   string `json:"ip"`
	Listener string `json:"listener"`

	*arrival
	*departure
	*subscribing
}

// arrival is what an event of a new connection tells.
type arrival struct {
	Protocol       string `json:"protocol"` // 3.1, 3.1.1 or 5
	CleanStart     bool   `json:"clean_start"`
	SessionPresent bool   `json:"session_present"`
	KeepAlive      uint16 `json:"keep_alive"`     // seconds
	SessionExpiry  uint32 `json:"session_expiry"` // seconds; 4294967295 never
}

// departure is what the event of a connection's end tells.
type departure struct {
	Reason string          `json:"reason"`
	Code   mqtt.ReasonCode `json:"reason_code"`
}

// subscribing is what an event of a subscription tells; QoS is what was
// granted, and left out when it is over.
type subscribing struct {
	Filter string    `json:"filter"`
	QoS    *mqtt.QoS `json:"qos,omitempty"`
}

func (e *events) connected(c *conn.Conn, l *listener, a *conn.Accepted) {
	if e == nil {
		return
	}
	r := c.Request()
	text := "MQTT " + r.Version.String() + " from " + c.Transport().Remote
	if a.Identity != nil && a.Identity.User != "" {
		text += " as " + a.Identity.User
	}
	e.say(a.ClientID, "connected", text)
	e.publish(a.ClientID, "connected", c, a.Identity, l, event{arrival: &arrival{
		Protocol: r.Version.String(), CleanStart: r.CleanStart, SessionPresent: a.SessionPresent,
		KeepAlive: a.KeepAlive, SessionExpiry: conn.ExpirySeconds(a.SessionExpiry),
	}})
}

func (e *events) disconnected(c *conn.Conn, l *listener, end conn.End) {
	if e == nil {
		return
	}
	d := &departure{Reason: end.Reason.String(), Code: end.Reason}
	switch {
	case end.Normal:
		d.Reason = "Normal disconnection" // 0x00 has another name in other packets
	case end.Lost:
		d.Reason, d.Code = "connection lost", mqtt.UnspecifiedError
	}
	e.say(c.Peer().ClientID(), "disconnected", d.Reason)
	e.publish(c.Peer().ClientID(), "disconnected", c, c.Identity(), l, event{departure: d})
}

func (e *events) subscribed(c *conn.Conn, l *listener, filter string, qos mqtt.QoS) {
	if e == nil {
		return
	}
	e.say(c.Peer().ClientID(), "subscribed", filter+" with QoS "+string(rune('0'+qos)))
	e.publish(c.Peer().ClientID(), "subscribed", c, c.Identity(), l, event{subscribing: &subscribing{Filter: filter, QoS: &qos}})
}

func (e *events) unsubscribed(c *conn.Conn, l *listener, filter string) {
	if e == nil {
		return
	}
	e.say(c.Peer().ClientID(), "unsubscribed", filter)
	e.publish(c.Peer().ClientID(), "unsubscribed", c, c.Identity(), l, event{subscribing: &subscribing{Filter: filter}})
}

// refused is for a connection that ended without having been let in.
func (e *events) refused(c *conn.Conn) {
	if e == nil || c.Request() == nil || c.Request().ClientID == "" || !c.End().Reason.Failed() {
		return
	}
	e.say(c.Request().ClientID, "refused", c.End().Reason.String()+" from "+c.Transport().Remote)
}

// denied is for what the rights of a client do not cover.
func (e *events) denied(id, action, name string) {
	if e != nil {
		e.say(id, "denied", action+" "+name)
	}
}

func (e *events) say(id, what, text string) {
	if e.tell != nil {
		e.tell(ClientEvent{id, what, text})
	}
}

func (e *events) publish(id, what string, c *conn.Conn, who *Identity, l *listener, v event) {
	now := time.Now()
	if !e.publishes || !e.take(now) {
		return
	}
	v.Time, v.ClientID = now.UTC().Format("2006-01-02T15:04:05.000Z"), id
	v.Remote, v.Listener = c.Transport().Remote, l.name
	if who != nil {
		v.User = who.User
	}
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // nothing in it cannot be marshaled
	}
	m := mqtt.Message{Topic: "$SYS/dunlin/clients/" + TopicLevel(id) + "/" + what, Payload: text}
	e.hub.router.Publish(now, new(packet.Publication).Own(&m))
}

// take reports whether one more event may be published now.
func (e *events) take(now time.Time) bool {
	b := &e.budget
	b.Lock()
	defer b.Unlock()
	b.left = min(b.left+now.Sub(b.at).Seconds()*eventRate, eventBurst)
	b.at = now
	if b.left < 1 {
		b.dropped++
		return false
	}
	b.left--
	return true
}

// lost is how many events were beyond the rate.
func (e *events) lost() uint64 {
	if e == nil {
		return 0
	}
	e.budget.Lock()
	defer e.budget.Unlock()
	return e.budget.dropped
}
