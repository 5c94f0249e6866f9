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

// What one CONNECT may ask the server to hold, before it is known whose it is.
// A JSON Web Token is the longest password there is a use for.
const (
	maxClientID = 256  // bytes
	maxUsername = 256  // bytes
	maxPassword = 4096 // bytes
)

// What the User Properties of one PUBLISH or will may be; they are kept with
// the message and compared by nobody.
const (
	maxUserProperties     = 64
	maxUserPropertiesSize = 8 << 10 // bytes
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
	RequestResponse   bool
	AuthMethod        string // empty: none
	Bridge            bool
	// Identity is what an enhanced authentication proved; nil without one.
	Identity *auth.Identity

	NoWait      bool   // without a password; with one Connect may take its time
	expiryLimit uint32 // seconds; DISCONNECT may not ask for more
}

// newRequest checks what Decode cannot know and copies what is kept.
func (c *Conn) newRequest() (*Request, error) {
	k := &c.view.Connect
	r := &Request{Version: k.Version, RequestProblem: true, ReceiveMaximum: math.MaxUint16}
	if r.Version == mqtt.V5 {
		r.fromProperties(&c.view.Properties)
	} else if !k.CleanStart {
		r.SessionExpiry = session.NeverExpires
	}
	c.know(r)
	switch {
	case tooManyUserProperties(&c.view.Properties):
		return nil, errUserProperties
	case len(k.ClientID) > maxClientID:
		return nil, mqtt.Errorf(mqtt.ClientIdentifierNotValid, "MQTT-3.1.3-8", "Client Identifier longer than %d bytes", maxClientID)
	case len(k.Username) > maxUsername || len(k.Password) > maxPassword:
		return nil, mqtt.Errorf(mqtt.BadUserNameOrPassword, "", "User Name longer than %d or Password longer than %d bytes", maxUsername, maxPassword)
	}
	r.ClientID, r.CleanStart, r.KeepAlive, r.Bridge = string(k.ClientID), k.CleanStart, k.KeepAlive, k.Bridge
	r.Username, r.HasUsername = string(k.Username), k.HasUsername
	r.Password, r.HasPassword = append([]byte(nil), k.Password...), k.HasPassword
	if k.HasWill {
		if err := c.checkWill(k); err != nil {
			return nil, err
		}
		c.insideTopic(&k.Will)
		r.Will = c.view.Will()
		r.Will.Message.Topic = c.cfg.TopicPrefix + r.Will.Message.Topic
	}
	return r, nil
}

// checkWill holds a will to what is asked of a PUBLISH.
func (c *Conn) checkWill(k *packet.Connect) error {
	f := &c.cfg.Features
	if err := topic.ValidNameBytes(k.WillTopic); err != nil {
		return err
	}
	switch {
	case k.WillQoS > f.MaxQoS:
		return mqtt.Errorf(mqtt.QoSNotSupported, "MQTT-3.2.2-12", "Will QoS %d, Maximum QoS %d", k.WillQoS, f.MaxQoS)
	case k.WillRetain && !f.Retain:
		return mqtt.Errorf(mqtt.RetainNotSupported, "MQTT-3.2.2-13", "Will Retain, and retained messages are off")
	case tooManyUserProperties(&k.Will):
		return errUserProperties
	case f.CheckPayload && !payloadFits(&k.Will, k.WillPayload):
		return mqtt.Errorf(mqtt.PayloadFormatInvalid, "", "the Will Payload is not the UTF-8 it says it is")
	}
	if err := c.fits(string(k.WillTopic)); err != nil {
		return err
	}
	return nil
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
	r.RequestResponse = p.RequestResponse != 0
	r.TopicAliasMaximum = p.TopicAliasMaximum
	r.MaximumPacketSize = min(p.MaximumPacketSize, packet.MaxSize) // an int may have 32 bits
	r.AuthMethod = string(p.AuthMethod)
}

// expiry turns a Session Expiry Interval of the wire into a duration.
func expiry(s uint32) time.Duration {
	if s == math.MaxUint32 {
		return session.NeverExpires
	}
	return time.Duration(s) * time.Second
}

// ExpirySeconds is a Session Expiry Interval as packets carry it.
func ExpirySeconds(d time.Duration) uint32 {
	if d >= math.MaxUint32*time.Second {
		return math.MaxUint32
	}
	return uint32(d / time.Second)
}
