package client

import (
	"context"
	"errors"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// What a server may refuse to take, found before anything is sent.
var (
	ErrPayloadTooLarge  = errors.New("message payload is too large")
	ErrQoSNotSupported  = errors.New("message QoS not supported on broker, try a lower QoS")
	ErrRetainNotAllowed = errors.New("the broker does not support retained messages")
)

// maxRemaining is the largest Remaining Length [MQTT-1.5.5-1].
const maxRemaining = 268435455

// Publish sends p. With QoS 0 it returns when p is written. With QoS 1 and 2
// it blocks while the window is full; then p belongs to the Session and
// Publish returns nil, also when the connection breaks under it: the next
// Connect with the Session sends it again. The acknowledgement is reported to
// Options.Published.
func (c *Conn) Publish(ctx context.Context, p Publication) error {
	if err := c.permitted(&p); err != nil {
		return err
	}
	if p.QoS == mqtt.AtMostOnce {
		if err := c.write(publishView(&p, 0)); err != nil {
			return err
		}
		c.published(Outcome{})
		return nil
	}
	if err := c.acquire(ctx); err != nil {
		return err
	}
	c.write(c.session.add(p).view(false)) // a failure has ended the connection; p waits in the session
	return nil
}

func (c *Conn) permitted(p *Publication) error {
	switch {
	case p.QoS > c.maxQoS:
		return ErrQoSNotSupported
	case p.Retain && c.noRetain:
		return ErrRetainNotAllowed
	case len(p.Payload)+len(p.Topic) > maxRemaining-16:
		return ErrPayloadTooLarge
	}
	if c.maxPacket > 0 && packet.Size(c.opts.Version, publishView(p, 1)) > c.maxPacket {
		return ErrPayloadTooLarge // [MQTT-3.2.2-15]
	}
	return nil
}

// Flush waits until every publication has its final acknowledgement.
func (c *Conn) Flush(ctx context.Context) error {
	taken := 0
	defer func() {
		for range taken {
			<-c.window
		}
	}()
	for range cap(c.window) {
		if err := c.acquire(ctx); err != nil {
			return err
		}
		taken++
	}
	return nil
}

// Done is closed when the connection has ended; Err then says why.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err is the reason for the end of the connection, nil before it.
func (c *Conn) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// handleOutcome takes PUBACK, PUBREC and PUBCOMP.
func (c *Conn) handleOutcome(v *packet.View) error {
	if v.Type == packet.PUBREC && !v.Reason.Failed() {
		if !c.session.markReceived(v.ID) {
			return c.write(&packet.View{Type: packet.PUBREL, ID: v.ID, Reason: mqtt.PacketIdentifierNotFound})
		}
		return c.write(&packet.View{Type: packet.PUBREL, ID: v.ID})
	}
	if !c.session.done(v.ID) {
		return nil // an acknowledgement for nothing harms nobody
	}
	select {
	case <-c.window:
	default: // acknowledged before it was sent again
	}
	c.published(Outcome{ID: v.ID, Reason: v.Reason, Text: string(v.Properties.ReasonString)})
	return nil
}

func (c *Conn) published(o Outcome) {
	if c.opts.Published != nil {
		c.opts.Published(o)
	}
}
