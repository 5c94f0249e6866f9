package conn

import (
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/session"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// frame delimits the first packet of b; 0 while it is not whole. What can be
// refused at the first byte is.
func (c *Conn) frame(b []byte) (int, error) {
	if c.peer == nil && len(b) > 0 {
		if err := c.early(packet.Type(b[0] >> 4)); err != nil {
			return 0, err
		}
	}
	n, err := packet.Frame(b, c.cfg.Limits.PacketSize)
	if err != nil {
		c.guess(b)
	}
	return n, err
}

// early says what may come before the connection is accepted: CONNECT, and
// behind it AUTH and DISCONNECT while it is authenticated.
func (c *Conn) early(t packet.Type) error {
	switch {
	case c.exchange == nil && t != packet.CONNECT:
		return mqtt.Errorf(mqtt.ProtocolError, "MQTT-3.1.0-1", "the first packet is not CONNECT")
	case c.exchange != nil && t != packet.AUTH && t != packet.DISCONNECT:
		return mqtt.Errorf(mqtt.ProtocolError, "MQTT-3.1.4-6", "packet type %d before CONNACK", t)
	}
	return nil
}

// guess finds the version of a CONNECT that cannot be decoded, so that the
// refusal has words [MQTT-3.1.4-1].
func (c *Conn) guess(b []byte) {
	if c.request != nil {
		return
	}
	if v := packet.ConnectVersion(b); v != 0 {
		c.know(&Request{Version: v, RequestProblem: true})
	}
}

// packet works off one whole packet.
func (c *Conn) packet(now time.Time, b []byte) error {
	c.in.Packets++
	c.scratch.packets++
	v := &c.view
	if err := packet.Decode(b, c.version(), v); err != nil {
		if c.peer != nil && packet.Type(b[0]>>4) == packet.CONNECT { // its own fault may be one that only CONNACK has a code for
			return mqtt.Errorf(mqtt.ProtocolError, "MQTT-3.1.0-2", "second CONNECT")
		}
		if version := v.Connect.Version; c.request == nil && version != 0 {
			c.know(&Request{Version: version}) // that of the answer, if its own is not known
		}
		c.guess(b)
		return err
	}
	c.asked = c.asked || v.Type != packet.PUBACK
	if v.Type == packet.CONNECT && c.peer == nil {
		return c.connect(now)
	}
	if err := v.FromClient(); err != nil {
		return err
	}
	if v.Type != packet.PUBLISH && tooManyUserProperties(&v.Properties) { // a PUBLISH is answered
		return errUserProperties
	}
	if v.Type == packet.AUTH {
		return c.auth(now)
	}
	if c.peer == nil { // DISCONNECT instead of AUTH
		return errEnd
	}
	if v.Type == packet.PUBLISH {
		return c.publish(now)
	}
	if v.Type == packet.DISCONNECT && v.Properties.Has&packet.HasSessionExpiry != 0 {
		v.Properties.SessionExpiry = min(v.Properties.SessionExpiry, c.request.expiryLimit)
	}
	return c.step(now)
}

// step asks the session and carries out the effects.
func (c *Conn) step(now time.Time) (err error) {
	if c.view.Type == packet.SUBSCRIBE {
		c.grant()
	}
	c.effects, err = c.peer.Step(now, &c.view, c.effects[:0])
	if err != nil {
		return err
	}
	code := mqtt.Success
	for i := range c.effects {
		e := &c.effects[i]
		switch e.Kind {
		case session.Route:
			var recorded bool
			code, recorded = c.cfg.Router.Publish(now, &c.publication)
			c.recorded = c.recorded || recorded
			if code.Failed() {
				c.why = "routed, but not retained: there is no room"
			}
		case session.Acknowledge:
			if code != mqtt.Success {
				e.Reason = code
			}
			if err := c.acknowledge(e.Type, e.ID, e.Reason, c.why); err != nil {
				return err
			}
			c.why = ""
		case session.Subscribe:
			code, err := c.subscribe(now, e)
			if err != nil {
				return err
			}
			if code.Failed() {
				c.tell(refusedFilter, "subscription refused", e.Subscription.Filter, c.why)
			}
			c.reasons = append(c.reasons, code)
		case session.Unsubscribe:
			c.reasons = append(c.reasons, c.unsubscribe(e))
		case session.Persist:
			c.cfg.Router.Persist(c.peer, e.Change, e.Number)
			c.recorded = true
		case session.Pong:
			c.pending.pongs++
		case session.Ready:
			c.pending.wake = true
		case session.End:
			c.end = End{Normal: e.Reason == mqtt.NormalDisconnection, Reason: e.Reason}
			return errEnd
		}
	}
	return nil
}

// publish judges a PUBLISH before the session sees it.
func (c *Conn) publish(now time.Time) error {
	c.in.Publishes++
	c.in.Payload += uint64(len(c.view.Publish.Payload))
	name, err := c.topicName()
	if err != nil {
		return err
	}
	p := &c.view.Publish
	if err := c.available(p); err != nil {
		return err
	}
	if p.QoS > mqtt.AtMostOnce {
		if n := c.unacked.Add(1); c.maxIn > 0 && n > c.maxIn {
			return mqtt.Errorf(mqtt.ReceiveMaximumExceeded, "MQTT-3.3.4-7", "more than %d PUBLISH without an acknowledgement", c.maxIn)
		}
	}
	c.count(now, len(p.Topic)+len(p.Payload))
	room := true
	if p.QoS == mqtt.ExactlyOnce {
		var again bool
		if room, again = c.peer.receives(session.ReceivedID(c.view.ID), min(int(c.cfg.Limits.ReceiveMaximum), alwaysReceived)); again {
			return c.resent(now, name)
		}
	}
	full, memo, no := c.judge(name)
	if no == nil && !room {
		no = errIdentifiers
	}
	if no != nil {
		return c.refuse(name, no)
	}
	if p.QoS > mqtt.AtMostOnce {
		size := len(full) + len(p.Payload)
		if c.view.Properties.Has != 0 {
			size += propertiesRoom
		}
		switch c.cfg.Barrier.Refuses(full, size) {
		case mqtt.ImplementationSpecificError:
			return c.refuse(name, errNotKept)
		case mqtt.QuotaExceeded:
			return c.refuse(name, errFull)
		}
	}
	if len(p.Payload) > smallInput && c.cfg.Memory.Level() >= 4 {
		return c.refuse(name, errShort)
	}
	c.insideTopic(&c.view.Properties)
	c.publication.Borrow(now, &c.view, full, c.peer.id)
	c.publication.Memo = memo
	if p.Retain {
		c.publication.User = c.identity.Name()
	}
	return c.step(now)
}

// alwaysReceived is how many QoS 2 messages a client may have open at most
// however short memory is: a thousand sessions with the Receive Maximum of
// 65,535 that somebody may configure would hold a gigabyte.
const alwaysReceived = 100

// resent answers a QoS 2 message that was taken before as it was then, whatever
// has changed: PUBREC with a failure would free its identifier at the client
// only, and the next message under it would be taken for this one
// [MQTT-4.3.3-10].
func (c *Conn) resent(now time.Time, name string) error {
	if c.cfg.Barrier.Refuses(c.cfg.TopicPrefix+name, 0) == mqtt.ImplementationSpecificError {
		return errNotKept
	}
	return c.step(now)
}

// propertiesRoom is what properties may need of a queue that rejects what it
// has no room for: counting them would decode them twice.
const propertiesRoom = 1 << 10

// topicName finds the Topic Name and keeps the Topic Alias mapping
// [MQTT-3.3.2-7], [MQTT-3.3.2-8].
func (c *Conn) topicName() (string, error) {
	v := &c.view
	alias := 0
	if v.Properties.Has&packet.HasTopicAlias != 0 {
		alias = int(v.Properties.TopicAlias)
		if alias == 0 || alias > int(c.cfg.Limits.TopicAliasMaximum) {
			return "", mqtt.Errorf(mqtt.TopicAliasInvalid, "MQTT-3.3.2-9", "Topic Alias %d beyond the maximum", alias)
		}
	}
	if len(v.Publish.Topic) == 0 {
		if alias == 0 {
			return "", mqtt.Errorf(mqtt.ProtocolError, "MQTT-3.3.2-1", "PUBLISH without a Topic Name and a Topic Alias")
		}
		if c.aliases == nil || (*c.aliases)[alias-1] == "" {
			return "", mqtt.Errorf(mqtt.ProtocolError, "MQTT-3.3.2-8", "Topic Alias %d was never set", alias)
		}
		return (*c.aliases)[alias-1], nil
	}
	name, known := c.topics.find(v.Publish.Topic)
	if !known {
		if err := topic.ValidNameBytes(v.Publish.Topic); err != nil {
			return "", err
		}
		name = c.remember(v.Publish.Topic)
	}
	if alias > 0 {
		if c.aliases == nil {
			aliases := make([]string, c.cfg.Limits.TopicAliasMaximum)
			c.aliases = &aliases
			c.holdNames(16 * len(aliases))
		}
		a := &(*c.aliases)[alias-1]
		c.holdNames(len(name) - len(*a))
		*a = name
	}
	return name, nil
}

// errNotKept says that the store cannot keep the promise of an acknowledgement.
var errNotKept = mqtt.Errorf(mqtt.ImplementationSpecificError, "", "the store cannot keep it: the disk has failed")

// errShort says that memory is too short for a message of this size.
var errShort = mqtt.Errorf(mqtt.QuotaExceeded, "", "memory is short: no large messages")

// errIdentifiers says that there is no room for another QoS 2 message.
var errIdentifiers = mqtt.Errorf(mqtt.QuotaExceeded, "", "memory is short: too many QoS 2 messages are not released")

// errFull says that a queue which rejects what it has no room for is full.
var errFull = mqtt.Errorf(mqtt.QuotaExceeded, "", "a queue that must not lose it is full")

// refuse answers a PUBLISH that is not routed. 3.1 and 3.1.1 have no way to
// say so: they get a plain acknowledgement (3.1.1, section 3.3.5). But an
// acknowledgement of what should have been kept would be a lie: they are closed
// instead, and send it again.
func (c *Conn) refuse(name string, e *mqtt.Error) error {
	c.tell(refusedMessage, "message refused", name, e.Msg)
	c.cfg.Counters.PublishRefused.Add(1)
	if (e == errNotKept || e == errFull || e == errIdentifiers || e == errShort && c.view.Publish.QoS > mqtt.AtMostOnce) && c.version() != mqtt.V5 {
		return e
	}
	code := e.Code
	if c.version() != mqtt.V5 {
		code = mqtt.Success
	}
	switch c.view.Publish.QoS {
	case mqtt.AtLeastOnce:
		return c.acknowledge(packet.PUBACK, c.view.ID, code, e.Msg)
	case mqtt.ExactlyOnce:
		return c.acknowledge(packet.PUBREC, c.view.ID, code, e.Msg)
	}
	return nil
}

// refusals are what was refused of a connection and told in the log: the first
// of each kind, for the client may repeat it for ever.
type refusals uint8

const (
	refusedFilter refusals = 1 << iota
	refusedMessage
)

func (c *Conn) tell(kind refusals, what, topic, why string) {
	if c.refused&kind != 0 {
		return
	}
	c.refused |= kind
	c.cfg.Log.Info(what, c.about("user", c.identity.User, "topic", topic, "err", why)...)
}
