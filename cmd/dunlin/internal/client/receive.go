package client

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// Event is something that arrived: a message, or the answer to Subscribe or
// Unsubscribe.
type Event struct {
	Message *Message // nil for an answer
	// ID is the Packet Identifier of the request that is answered.
	ID      uint16
	Reasons []mqtt.ReasonCode // one for each filter; empty for UNSUBACK before 5.0
	Unsub   bool              // UNSUBACK
}

// Next waits for the next event. Calling it acknowledges the message of the
// Next before. When the connection has ended it hands out what had arrived
// first, then the error.
func (c *Conn) Next(ctx context.Context) (Event, error) {
	if err := c.acknowledge(); err != nil && len(c.events) == 0 {
		return Event{}, err
	}
	select {
	case e := <-c.events:
		return c.handOut(e), nil
	default:
	}
	select {
	case e := <-c.events:
		return c.handOut(e), nil
	case <-ctx.Done():
		return Event{}, context.Cause(ctx)
	case <-c.done:
	}
	select { // it may have come with the end
	case e := <-c.events:
		return c.handOut(e), nil
	default:
		return Event{}, c.err
	}
}

func (c *Conn) handOut(e Event) Event {
	if e.Message != nil && e.Message.QoS > 0 {
		c.last = e.Message
	}
	if e.Message != nil && e.Message.QoS == mqtt.ExactlyOnce {
		c.session.release(e.Message.ID)
	}
	return e
}

func (c *Conn) acknowledge() error {
	m := c.last
	if m == nil {
		return nil
	}
	c.last = nil
	return c.confirm(m)
}

// confirm sends the packet that ends the delivery of m.
func (c *Conn) confirm(m *Message) error {
	t := packet.PUBACK
	if m.QoS == mqtt.ExactlyOnce {
		t = packet.PUBCOMP
	}
	return c.write(&packet.View{Type: t, ID: m.ID})
}

// read is the reader goroutine.
func (c *Conn) read() {
	var v packet.View
	for {
		err := c.readPacket(&v)
		if err == nil {
			c.traceReceived(&v)
			err = c.handle(&v)
		}
		if err != nil {
			c.refuse(err)
			c.fail(err)
			return
		}
	}
}

// refuse tells a 5.0 server what was wrong with its packet [MQTT-4.13.1-1].
func (c *Conn) refuse(err error) {
	var bad *mqtt.Error
	if errors.As(err, &bad) && c.opts.Version == mqtt.V5 {
		c.write(&packet.View{Type: packet.DISCONNECT, Reason: bad.Code}) // best effort: the connection ends anyway
	}
}

func (c *Conn) handle(v *packet.View) error {
	select {
	case <-c.closing:
		return nil // nothing may follow our DISCONNECT [MQTT-3.14.4-1]
	default:
	}
	if err := v.FromServer(); err != nil {
		return err
	}
	switch v.Type {
	case packet.PUBLISH:
		return c.handlePublish(v)
	case packet.PUBREL:
		if m := c.session.held(v.ID); m != nil {
			return c.deliver(Event{Message: m})
		}
		out := packet.View{Type: packet.PUBCOMP, ID: v.ID, Reason: mqtt.PacketIdentifierNotFound}
		return c.write(&out)
	case packet.PUBACK, packet.PUBREC, packet.PUBCOMP:
		return c.handleOutcome(v)
	case packet.SUBACK, packet.UNSUBACK:
		c.session.freeID(v.ID)
		return c.deliver(Event{ID: v.ID, Reasons: slices.Clone(v.Reasons), Unsub: v.Type == packet.UNSUBACK})
	case packet.PINGRESP:
		c.pinged.Store(false)
		return nil
	case packet.DISCONNECT:
		return &DisconnectedError{v.Reason, string(v.Properties.ReasonString)}
	}
	return mqtt.Errorf(mqtt.ProtocolError, "", "the server sent %s", typeName(v.Type))
}

func (c *Conn) handlePublish(v *packet.View) error {
	topic, err := c.topicOf(v)
	if err != nil {
		return err
	}
	m := &Message{
		Topic: topic, Payload: bytes.Clone(v.Publish.Payload), QoS: v.Publish.QoS,
		Retain: v.Publish.Retain, Dup: v.Publish.Dup, ID: v.ID, Properties: clone(&v.Properties),
	}
	if m.QoS == mqtt.ExactlyOnce {
		c.session.hold(m)
		return c.write(&packet.View{Type: packet.PUBREC, ID: m.ID})
	}
	return c.deliver(Event{Message: m})
}

// topicOf resolves a Topic Alias [MQTT-3.3.2-7].
func (c *Conn) topicOf(v *packet.View) (string, error) {
	p := &v.Properties
	if p.Has&packet.HasTopicAlias == 0 {
		return string(v.Publish.Topic), nil
	}
	if p.TopicAlias == 0 || p.TopicAlias > c.opts.Properties.TopicAliasMaximum {
		return "", mqtt.Errorf(mqtt.TopicAliasInvalid, "MQTT-3.1.2-26", "topic alias above the maximum")
	}
	if len(v.Publish.Topic) > 0 {
		if c.aliases == nil {
			c.aliases = make(map[uint16]string)
		}
		c.aliases[p.TopicAlias] = string(v.Publish.Topic)
	}
	topic, ok := c.aliases[p.TopicAlias]
	if !ok {
		return "", mqtt.Errorf(mqtt.ProtocolError, "MQTT-3.3.2-7", "unknown topic alias")
	}
	return topic, nil
}

// deliver passes an event to Next. It blocks while nobody calls Next: the
// server waits, not the memory.
func (c *Conn) deliver(e Event) error {
	if m := e.Message; m != nil && c.opts.Ignore {
		if m.QoS == mqtt.AtMostOnce {
			return nil
		}
		c.session.release(m.ID)
		return c.confirm(m)
	}
	c.delivering.Store(true)
	defer c.delivering.Store(false)
	select {
	case c.events <- e:
	case <-c.closing:
	case <-c.done:
	}
	return nil
}

// clone owns what v borrows.
func clone(p *packet.Properties) packet.Properties {
	o := *p
	o.ContentType = bytes.Clone(p.ContentType)
	o.ResponseTopic = bytes.Clone(p.ResponseTopic)
	o.CorrelationData = bytes.Clone(p.CorrelationData)
	o.SubscriptionIdentifiers = slices.Clone(p.SubscriptionIdentifiers)
	o.ReasonString = nil // not a property of PUBLISH
	o.User = make([]packet.UserProperty, len(p.User))
	for i, u := range p.User {
		o.User[i] = packet.UserProperty{Name: bytes.Clone(u.Name), Value: bytes.Clone(u.Value)}
	}
	return o
}
