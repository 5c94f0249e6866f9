package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// RefusedError is a CONNACK that says no.
type RefusedError struct {
	Version mqtt.Version
	Reason  mqtt.ReasonCode
	Text    string // Reason String
}

// Error words the refusal as mosquitto's clients do for 3.1 and 3.1.1.
func (e *RefusedError) Error() string {
	if e.Version == mqtt.V5 {
		if e.Text != "" {
			return e.Reason.String() + " (" + e.Text + ")"
		}
		return e.Reason.String()
	}
	why := [...]string{
		1: "unacceptable protocol version", 2: "identifier rejected", 3: "broker unavailable",
		4: "bad user name or password", 5: "not authorised",
	}
	if code := e.Code(); code > 0 && code < len(why) {
		return "Connection Refused: " + why[code] + "."
	}
	return "Connection Refused: unknown reason."
}

// Code is the return code or Reason Code as it stood on the wire.
func (e *RefusedError) Code() int { return returnCode(e.Version, e.Reason) }

// Connect opens a Network Connection and a session on it. It blocks for at
// most Options.Timeout. Failures are *UnreachableError before the first
// packet and *RefusedError when the server says no.
//
// s carries state from connection to connection; unacknowledged publications
// in it are sent again [MQTT-4.4.0-1]. Nobody else may use s meanwhile.
func Connect(ctx context.Context, o Options, s *Session) (*Conn, error) {
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.ClientID == "" && o.Version == mqtt.V31 {
		o.ClientID = randomID() // 3.1 has no empty Client Identifier
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	raw, err := o.Target.dial(ctx)
	if err != nil {
		return nil, err
	}
	c, err := open(ctx, raw, o, s)
	if err != nil && ctx.Err() != nil {
		return nil, &UnreachableError{o.Target.Address, fmt.Errorf("no CONNACK: %w", context.Cause(ctx))}
	}
	return c, err
}

// open does all of Connect but the dialing.
func open(ctx context.Context, raw net.Conn, o Options, s *Session) (*Conn, error) {
	c := newConn(raw, o, s)
	stop := context.AfterFunc(ctx, func() { raw.SetDeadline(time.Unix(1, 0)) })
	err := c.handshake()
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		raw.Close()
		return nil, err
	}
	c.start()
	if err := c.resume(ctx); err != nil {
		c.abort(err)
		return nil, err
	}
	return c, nil
}

func (c *Conn) handshake() error {
	if err := c.write(c.connectView()); err != nil {
		return fmt.Errorf("send CONNECT: %w", err)
	}
	var v packet.View
	if err := c.readPacket(&v); err != nil {
		return fmt.Errorf("wait for CONNACK: %w", err)
	}
	switch {
	case v.Type == packet.AUTH:
		return errors.New("the server asks for enhanced authentication, which this client does not offer")
	case v.Type != packet.CONNACK:
		return fmt.Errorf("the server answered CONNECT with %s", typeName(v.Type))
	}
	if v.Properties.Has&packet.HasAssignedClientID != 0 {
		c.id = string(v.Properties.AssignedClientID)
	}
	c.traceReceived(&v)
	if v.Reason != mqtt.Success {
		return &RefusedError{Version: c.opts.Version, Reason: v.Reason, Text: string(v.Properties.ReasonString)}
	}
	if !v.SessionPresent {
		c.session.lost()
	}
	c.SessionPresent = v.SessionPresent
	c.adopt(&v.Properties)
	return nil
}

func (c *Conn) connectView() *packet.View {
	o := &c.opts
	v := &packet.View{Type: packet.CONNECT, Properties: o.Properties, Connect: packet.Connect{
		Version: o.Version, CleanStart: o.CleanStart, KeepAlive: o.KeepAlive, ClientID: []byte(o.ClientID),
	}}
	if v.Properties.Has&packet.HasReceiveMaximum == 0 {
		v.Properties.Has |= packet.HasReceiveMaximum
		v.Properties.ReceiveMaximum = receiveMaximum
	}
	p := &v.Connect
	if o.Username != nil {
		p.HasUsername, p.Username = true, []byte(*o.Username)
	}
	if o.Password != nil {
		p.HasPassword, p.Password = true, []byte(*o.Password)
	}
	if w := o.Will; w != nil {
		p.HasWill, p.WillTopic, p.WillPayload = true, []byte(w.Topic), w.Payload
		p.WillQoS, p.WillRetain, p.Will = w.QoS, w.Retain, w.Properties
	}
	return v
}

// adopt takes the limits that the server set in CONNACK.
func (c *Conn) adopt(p *packet.Properties) {
	window := c.opts.MaxInflight
	if window <= 0 {
		window = defaultInflight
	}
	if p.Has&packet.HasReceiveMaximum != 0 && int(p.ReceiveMaximum) < window {
		window = int(p.ReceiveMaximum)
	}
	c.window = make(chan struct{}, window)
	if p.Has&packet.HasServerKeepAlive != 0 {
		c.keepAlive = time.Duration(p.ServerKeepAlive) * time.Second
	}
	if p.Has&packet.HasMaximumPacketSize != 0 {
		c.maxPacket = int(p.MaximumPacketSize)
	}
	if p.Has&packet.HasMaximumQoS != 0 {
		c.maxQoS = p.MaximumQoS
	}
	c.noRetain = p.Has&packet.HasRetainAvailable != 0 && p.RetainAvailable == 0
}

// resume sends the unacknowledged publications of the session again, in
// their order [MQTT-4.6.0-1].
func (c *Conn) resume(ctx context.Context) error {
	for _, o := range c.session.pending() {
		if err := c.acquire(ctx); err != nil {
			return err
		}
		if err := c.write(o.view(c.SessionPresent)); err != nil {
			return err
		}
	}
	return nil
}

// randomID is a Client Identifier within the 23 bytes of MQTT 3.1.
func randomID() string { return "dunlin-" + rand.Text()[:16] }

// halfCloser is a connection whose sending side can be closed alone: TCP,
// TLS and Unix sockets.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}
