package conn

import (
	"math"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/auth"
	"github.com/dunlin-mqtt/dunlin/broker/internal/session"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// Request is a CONNECT, owned.
type Request struct {
	Version           mqtt.Version
	ClientID          string
	CleanStart        bool
	KeepAlive         uint16 // seconds
	Username          string
	HasUsername       bool
	Password          []byte
	HasPassword       bool
	Will              *mqtt.Will
	SessionExpiry     time.Duration
	ReceiveMaximum    uint16
	TopicAliasMaximum uint16
	MaximumPacketSize uint32 // 0: no limit
	RequestProblem    bool
	Bridge            bool

	expiryLimit uint32 // seconds; DISCONNECT may not ask for more
}

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
	a, err := c.cfg.Server.Connect(c, r)
	if err != nil {
		return err
	}
	c.peer, c.identity, c.recorded = a.Peer, a.Identity, a.Recorded
	c.log = c.log.With("client_id", a.Peer.id)
	r.expiryLimit = expirySeconds(a.ExpiryMax)
	if r.Version == mqtt.V5 {
		c.maxIn = int(c.cfg.Limits.ReceiveMaximum)
		if n := min(r.TopicAliasMaximum, c.cfg.Limits.TopicAliasMaximum); n > 0 {
			c.sentAliases = make(map[string]uint16, n)
		}
	}
	c.silence = time.Duration(a.KeepAlive) * time.Second * 3 / 2
	if err := c.arm(now); err != nil {
		return err
	}
	c.connack(&a)
	c.log.Info("client connected", "version", r.Version.String(), "user", a.Identity.User, "session_present", a.SessionPresent)
	return nil
}

// newRequest checks what Decode cannot know and copies what is kept.
func (c *Conn) newRequest() (*Request, error) {
	k, p := &c.view.Connect, &c.view.Properties
	r := &Request{
		Version: k.Version, ClientID: string(k.ClientID), CleanStart: k.CleanStart, KeepAlive: k.KeepAlive,
		Username: string(k.Username), HasUsername: k.HasUsername, Password: append([]byte(nil), k.Password...), HasPassword: k.HasPassword,
		ReceiveMaximum: math.MaxUint16, RequestProblem: true, Bridge: k.Bridge,
	}
	if r.Version == mqtt.V5 {
		r.fromProperties(p)
	} else if !r.CleanStart {
		r.SessionExpiry = session.NeverExpires
	}
	c.know(r)
	if p.Has&packet.HasAuthMethod != 0 {
		return nil, mqtt.Errorf(mqtt.BadAuthenticationMethod, "MQTT-4.12.0-1", "Authentication Method not supported")
	}
	if k.HasWill {
		if err := topic.ValidNameBytes(k.WillTopic); err != nil {
			return nil, err
		}
		r.Will = c.view.Will()
		if code := c.fits(r.Will.Message.Topic); code.Failed() {
			return nil, mqtt.Errorf(code, "", "will topic beyond the limits")
		}
	}
	return r, nil
}

// know publishes the request to the writer: from here on a refusal is worded
// for this version.
func (c *Conn) know(r *Request) {
	c.w.Lock()
	defer c.w.Unlock()
	c.request = r
}

func (r *Request) fromProperties(p *packet.Properties) {
	if p.Has&packet.HasSessionExpiry != 0 {
		r.SessionExpiry = expiry(p.SessionExpiry)
	}
	if p.Has&packet.HasReceiveMaximum != 0 {
		r.ReceiveMaximum = p.ReceiveMaximum
	}
	if p.Has&packet.HasRequestProblem != 0 {
		r.RequestProblem = p.RequestProblem != 0
	}
	r.TopicAliasMaximum, r.MaximumPacketSize = p.TopicAliasMaximum, p.MaximumPacketSize
}

// connack parks the CONNACK of an accepted connection; messages follow it.
func (c *Conn) connack(a *Accepted) {
	v := packet.View{Type: packet.CONNACK, SessionPresent: a.SessionPresent}
	r, l := c.request, &c.cfg.Limits
	if r.Version == mqtt.V5 {
		p := &v.Properties
		p.Has = packet.HasReceiveMaximum | packet.HasMaximumPacketSize | packet.HasTopicAliasMaximum
		p.ReceiveMaximum, p.MaximumPacketSize, p.TopicAliasMaximum = l.ReceiveMaximum, l.PacketSize, l.TopicAliasMaximum
		if a.ClientID != r.ClientID { // [MQTT-3.2.2-16]
			p.Has |= packet.HasAssignedClientID
			p.AssignedClientID = []byte(a.ClientID)
		}
		if a.SessionExpiry != r.SessionExpiry {
			p.Has |= packet.HasSessionExpiry
			p.SessionExpiry = expirySeconds(a.SessionExpiry)
		}
		if a.KeepAlive != r.KeepAlive { // [MQTT-3.2.2-21]
			p.Has |= packet.HasServerKeepAlive
			p.ServerKeepAlive = a.KeepAlive
		}
	}
	c.reply(&v, reply{opens: true})
}

// expiry turns a Session Expiry Interval of the wire into a duration.
func expiry(s uint32) time.Duration {
	if s == math.MaxUint32 {
		return session.NeverExpires
	}
	return time.Duration(s) * time.Second
}

func expirySeconds(d time.Duration) uint32 {
	if d >= math.MaxUint32*time.Second {
		return math.MaxUint32
	}
	return uint32(d / time.Second)
}
