package conn

import (
	"cmp"
	"math"
	"net"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/auth"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// Accepted is the server's answer to a Request.
type Accepted struct {
	Peer           *Peer
	SessionPresent bool
	Identity       *auth.Identity
	ClientID       string        // differs from the Request's when it was assigned
	SessionExpiry  time.Duration // granted
	ExpiryMax      time.Duration
	KeepAlive      uint16 // seconds to use; differs from the Request's when the server decides
	Recorded       bool   // the store holds a record of the session
}

// connect works off the first CONNECT.
func (c *Conn) connect(now time.Time) error {
	c.cfg.Counters.Connects.Add(1)
	r, err := c.newRequest()
	if err != nil {
		return err
	}
	if r.AuthMethod != "" {
		return c.authenticate(now)
	}
	return c.accept(now, r)
}

// shortMaximum is the Receive Maximum that new 5.0 clients get while memory is
// short.
const shortMaximum = 5

// accept asks the server and opens the connection.
func (c *Conn) accept(now time.Time, r *Request) error {
	// Who was ended before CONNECT was read must not take over a session, or
	// leave a will.
	if err, closing := c.cause(); closing {
		return cmp.Or(err, net.ErrClosed)
	}
	r.NoWait = c.loop != nil && !c.patient
	a, err := c.cfg.Server.Connect(c, r)
	if err == ErrWouldWait {
		c.away = func() error { return c.accept(now, r) }
		return nil
	}
	if err != nil {
		return err
	}
	c.peer, c.identity, c.recorded = a.Peer, a.Identity, a.Recorded
	r.Password = nil
	c.pace = newPace(now, &c.cfg.Limits)
	r.expiryLimit = ExpirySeconds(a.ExpiryMax)
	if r.Version == mqtt.V5 {
		if c.maxIn = int32(c.cfg.Limits.ReceiveMaximum); c.cfg.Memory.Level() >= 2 {
			c.maxIn = min(c.maxIn, shortMaximum)
		}
		if n := min(r.TopicAliasMaximum, c.cfg.Limits.TopicAliasMaximum); n > 0 {
			c.sentAliases = make(map[string]uint16, n)
		}
	}
	c.last = now
	c.silence = time.Duration(float64(a.KeepAlive) * c.cfg.Limits.KeepAliveFactor * float64(time.Second))
	if err := c.arm(now); err != nil {
		return err
	}
	if err := c.connack(&a); err != nil {
		return err
	}
	c.cfg.Log.Info("client connected", c.about("version", r.Version.String(), "user", a.Identity.User, "session_present", a.SessionPresent)...)
	return nil
}

// connack parks the CONNACK of an accepted connection; messages follow it.
func (c *Conn) connack(a *Accepted) error {
	v := packet.View{Type: packet.CONNACK, SessionPresent: a.SessionPresent}
	if c.request.Version == mqtt.V5 {
		c.announceLimits(&v.Properties)
		c.announceFeatures(&v.Properties)
		c.answer(&v.Properties, a)
	}
	return c.reply(&v, reply{opens: true})
}

// announceLimits says what differs from what 5.0 takes for granted.
func (c *Conn) announceLimits(p *packet.Properties) {
	l := &c.cfg.Limits
	p.Has |= packet.HasMaximumPacketSize
	p.MaximumPacketSize = l.PacketSize
	if c.maxIn < math.MaxUint16 {
		p.Has |= packet.HasReceiveMaximum
		p.ReceiveMaximum = uint16(c.maxIn)
	}
	if l.TopicAliasMaximum > 0 {
		p.Has |= packet.HasTopicAliasMaximum
		p.TopicAliasMaximum = l.TopicAliasMaximum
	}
}

// announceFeatures says what is switched off.
func (c *Conn) announceFeatures(p *packet.Properties) {
	f := &c.cfg.Features
	if f.MaxQoS < mqtt.ExactlyOnce { // [MQTT-3.2.2-9]
		p.Has |= packet.HasMaximumQoS
		p.MaximumQoS = f.MaxQoS
	}
	off := func(available bool, h packet.Has) {
		if !available {
			p.Has |= h // and its value is 0
		}
	}
	off(f.Retain, packet.HasRetainAvailable)
	off(f.Wildcard, packet.HasWildcardAvailable)
	off(f.Shared, packet.HasSharedAvailable)
	off(f.SubscriptionIdentifiers, packet.HasSubIDAvailable)
}

// answer says where the server decided otherwise than asked.
func (c *Conn) answer(p *packet.Properties, a *Accepted) {
	r := c.request
	if a.ClientID != r.ClientID { // [MQTT-3.2.2-16]
		p.Has |= packet.HasAssignedClientID
		p.AssignedClientID = []byte(a.ClientID)
	}
	if a.SessionExpiry != r.SessionExpiry {
		p.Has |= packet.HasSessionExpiry
		p.SessionExpiry = ExpirySeconds(a.SessionExpiry)
	}
	if a.KeepAlive != r.KeepAlive { // [MQTT-3.2.2-21]
		p.Has |= packet.HasServerKeepAlive
		p.ServerKeepAlive = a.KeepAlive
	}
	if x := c.exchange; x != nil {
		c.proof(p, x.outcome)
		c.exchange = nil
	}
	if r.RequestResponse && c.cfg.Features.ResponseInformation != "" { // [MQTT-3.1.2-28]
		p.Has |= packet.HasResponseInformation
		p.ResponseInformation = []byte(strings.ReplaceAll(c.cfg.Features.ResponseInformation, "{client}", a.ClientID))
	}
}
