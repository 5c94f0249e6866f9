package packet

import (
	"bytes"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Message returns an owned copy of a PUBLISH received at now. Its Topic is
// that of the packet: the caller resolves a Topic Alias and sets Publisher.
func (p *View) Message(now time.Time) mqtt.Message {
	m := mqtt.Message{
		Topic:      string(p.Publish.Topic),
		Payload:    bytes.Clone(p.Publish.Payload),
		Properties: p.Properties.owned(),
		QoS:        p.Publish.QoS,
		Retain:     p.Publish.Retain,
	}
	if p.Properties.Has&HasMessageExpiry != 0 {
		m.Expires = now.Add(time.Duration(p.Properties.MessageExpiry) * time.Second)
	}
	return m
}

// Will returns an owned copy of a CONNECT's Will Message, nil when it has
// none. The message's Publisher is the Client Identifier of the packet.
func (p *View) Will() *mqtt.Will {
	c := &p.Connect
	if !c.HasWill {
		return nil
	}
	w := &mqtt.Will{Message: mqtt.Message{
		Topic:      string(c.WillTopic),
		Payload:    bytes.Clone(c.WillPayload),
		Properties: c.Will.owned(),
		QoS:        c.WillQoS,
		Retain:     c.WillRetain,
		Publisher:  string(c.ClientID),
	}}
	if c.Will.Has&HasWillDelay != 0 {
		w.Delay = time.Duration(c.Will.WillDelay) * time.Second
	}
	if c.Will.Has&HasMessageExpiry != 0 {
		// An interval of 0 was sent; 0 in mqtt.Will would mean none.
		w.ExpiryInterval = max(time.Duration(c.Will.MessageExpiry)*time.Second, 1)
	}
	return w
}

// owned copies the properties that travel with a message, nil when there are
// none.
func (p *Properties) owned() *mqtt.Properties {
	if p.Has&(messageProperties&^HasMessageExpiry) == 0 {
		return nil
	}
	m := &mqtt.Properties{
		PayloadFormat:   p.PayloadFormat,
		HasFormat:       p.Has&HasPayloadFormat != 0,
		HasType:         p.Has&HasContentType != 0,
		ContentType:     string(p.ContentType),
		ResponseTopic:   string(p.ResponseTopic),
		CorrelationData: bytes.Clone(p.CorrelationData),
	}
	if len(p.User) > 0 {
		m.User = make([]mqtt.UserProperty, len(p.User))
		for i, u := range p.User {
			m.User[i] = mqtt.UserProperty{Name: string(u.Name), Value: string(u.Value)}
		}
	}
	return m
}
