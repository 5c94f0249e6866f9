package conn

import (
	"context"
	"errors"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/auth"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// exchange is one enhanced authentication under way (4.12): of CONNECT while
// there is no peer, else a re-authentication.
type exchange struct {
	steps   auth.Exchange
	began   time.Time
	outcome []byte // Authentication Data of the last step, for CONNACK or AUTH
}

// authenticate starts the enhanced authentication that CONNECT asks for; until
// it is done only AUTH and DISCONNECT are taken.
func (c *Conn) authenticate(now time.Time) error {
	if err := c.begin(now); err != nil {
		return err
	}
	return c.challenge(now)
}

func (c *Conn) begin(now time.Time) error {
	steps := c.cfg.Server.Exchange(c, c.request)
	if steps == nil {
		return mqtt.Errorf(mqtt.BadAuthenticationMethod, "MQTT-4.12.0-1", "Authentication Method not supported")
	}
	c.exchange = &exchange{steps: steps, began: now}
	return nil
}

// auth works off AUTH.
func (c *Conn) auth(now time.Time) error {
	v, x := &c.view, c.exchange
	again := c.peer != nil && x == nil
	switch {
	case c.request.AuthMethod == "":
		return mqtt.Errorf(mqtt.ProtocolError, "MQTT-4.12.0-6", "AUTH without an Authentication Method in CONNECT")
	case string(v.Properties.AuthMethod) != c.request.AuthMethod && again:
		return mqtt.Errorf(mqtt.ProtocolError, "MQTT-4.12.1-1", "another Authentication Method than in CONNECT")
	case string(v.Properties.AuthMethod) != c.request.AuthMethod:
		return mqtt.Errorf(mqtt.ProtocolError, "MQTT-4.12.0-5", "another Authentication Method than in CONNECT")
	case again != (v.Reason == mqtt.ReAuthenticate):
		return mqtt.Errorf(mqtt.ProtocolError, "MQTT-3.15.2-1", "AUTH %s is not what comes next", v.Reason)
	case again:
		if err := c.begin(now); err != nil {
			return err
		}
	case now.Sub(x.began) > connectTimeout:
		return mqtt.Errorf(mqtt.NotAuthorized, "", "the authentication took too long")
	}
	return c.challenge(now)
}

// challenge gives the Authentication Data of this packet to the exchange and
// sends what it answers.
func (c *Conn) challenge(now time.Time) error {
	// The end of the wait is this deadline; what ends the connection earlier
	// finds it when the step returns.
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	data, done, id, err := c.exchange.steps.Step(ctx, c.view.Properties.AuthData)
	switch {
	case err != nil:
		c.exchange = nil
		if e := (*mqtt.Error)(nil); !errors.As(err, &e) {
			err = mqtt.Errorf(mqtt.NotAuthorized, "", "authentication: %v", err)
		}
		return err
	case !done: // [MQTT-4.12.0-2]
		return c.sayAuth(mqtt.ContinueAuthentication, data)
	case c.peer == nil:
		c.exchange.outcome = data
		c.request.Identity = &id
		return c.accept(now, c.request)
	}
	c.exchange = nil
	if id.User != c.identity.User {
		return mqtt.Errorf(mqtt.NotAuthorized, "MQTT-4.12.1-2", "re-authentication as somebody else")
	}
	c.identity = &id
	c.cfg.Server.Reauthenticated(c)
	return c.sayAuth(mqtt.Success, data)
}

func (c *Conn) sayAuth(code mqtt.ReasonCode, data []byte) error {
	v := packet.View{Type: packet.AUTH, Reason: code}
	c.proof(&v.Properties, data)
	return c.reply(&v, reply{})
}

// proof adds the method and its data to CONNACK or AUTH [MQTT-4.12.0-5].
func (c *Conn) proof(p *packet.Properties, data []byte) {
	p.Has |= packet.HasAuthMethod
	p.AuthMethod = []byte(c.request.AuthMethod)
	if data != nil {
		p.Has |= packet.HasAuthData
		p.AuthData = data
	}
}
