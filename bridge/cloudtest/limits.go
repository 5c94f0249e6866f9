package cloudtest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
	"github.com/dunlin-mqtt/dunlin/broker/topic"
)

// Retain is what a service does with retained messages.
type Retain byte

// The ways.
const (
	RetainKept    Retain = iota
	RetainIgnored        // the flag is dropped
	RetainCloses         // the connection is closed
)

// Limits are what a service does not allow. Whoever goes beyond them is
// disconnected, without a reason before 5.0, and Violations has a line more.
// A zero field is no limit.
type Limits struct {
	Name        string
	Versions    []mqtt.Version
	NoBridgeBit bool
	ClientID    int // bytes
	// Login judges Client Identifier, User Name and Password; nil lets in all.
	Login        func(*Connect) bool
	KeepAliveMax uint16 // s; 0 as Keep Alive is above it
	Connects     int    // per second and Client Identifier
	// NoUserProperties refuses User Properties on CONNECT.
	NoUserProperties bool

	// What CONNACK of 5.0 announces.
	ReceiveMaximum   uint16
	PacketSize       uint32
	AnnounceQoS      bool
	AnnounceNoRetain bool

	NoQoS2        bool
	MaximumQoS    mqtt.QoS // used with NoQoS2
	Retain        Retain
	Payload       int // bytes
	TopicBytes    int
	TopicSlashes  int
	TopicFree     string   // prefix with two levels that do not count
	Topics        []string // filters that may be published to
	NackCloses    bool     // an acknowledgement with a failure ends the connection
	InflightBytes int

	Subscribe     []string // filters that may be subscribed to
	Filters       int      // in one SUBSCRIBE
	Subscriptions int      // of one client
	FilterLevels  int

	Messages, Bytes int  // per second and connection
	ThrottleAcks    bool // over the rate: 0x97 instead of a disconnect
}

// granted is the highest QoS of a subscription.
func (l *Limits) granted() mqtt.QoS {
	if l.NoQoS2 {
		return l.MaximumQoS
	}
	return mqtt.ExactlyOnce
}

// judgeConnect returns the code to refuse a CONNECT with, 0 for none.
func (l *Limits) judgeConnect(c *Cloud, v *packet.View, k *Connect) mqtt.ReasonCode {
	switch {
	case len(l.Versions) > 0 && !slices.Contains(l.Versions, k.Version):
		c.violate("CONNECT: MQTT %s", k.Version)
		return mqtt.UnsupportedProtocolVersion
	case k.Bridge && l.NoBridgeBit:
		c.violate("CONNECT: the bridge bit")
		return mqtt.UnsupportedProtocolVersion
	case l.ClientID > 0 && len(k.ClientID) > l.ClientID:
		c.violate("CONNECT: a Client Identifier of %d bytes", len(k.ClientID))
		return mqtt.ClientIdentifierNotValid
	case l.KeepAliveMax > 0 && (k.KeepAlive == 0 || k.KeepAlive > l.KeepAliveMax):
		c.violate("CONNECT: Keep Alive %d", k.KeepAlive)
		return mqtt.UnspecifiedError
	case l.NoUserProperties && v.Properties.Has&packet.HasUser != 0:
		c.violate("CONNECT: User Properties")
		return mqtt.ProtocolError
	case k.Will != nil && (k.Will.Message.QoS > l.granted() || k.Will.Message.Retain && l.Retain == RetainCloses || !l.mayPublish(k.Will.Message.Topic)):
		c.violate("CONNECT: a will for %q", k.Will.Message.Topic)
		return mqtt.NotAuthorized
	case l.Login != nil && !l.Login(k):
		c.violate("CONNECT: client %q, user %q", k.ClientID, k.Username)
		return mqtt.BadUserNameOrPassword
	case l.Connects > 0 && c.connectsWithin(k, time.Second) > l.Connects:
		c.violate("CONNECT: more than %d in a second", l.Connects)
		return mqtt.ConnectionRateExceeded
	}
	return mqtt.Success
}

func (c *Cloud) connectsWithin(k *Connect, d time.Duration) (n int) {
	for _, o := range c.Connects() {
		if o.ClientID == k.ClientID && k.At.Sub(o.At) < d {
			n++
		}
	}
	return n
}

// judgePublish says what is wrong with a message, "" if nothing is.
func (l *Limits) judgePublish(m *Message, size int) string {
	counted := m.Topic
	if l.TopicFree != "" && strings.HasPrefix(counted, l.TopicFree) {
		_, counted, _ = strings.Cut(counted[len(l.TopicFree):], "/")
	}
	switch {
	case m.QoS > l.granted():
		return fmt.Sprintf("QoS %d", m.QoS)
	case m.Retain && l.Retain == RetainCloses:
		return "retained"
	case l.Payload > 0 && len(m.Payload) > l.Payload:
		return fmt.Sprintf("%d bytes", len(m.Payload))
	case l.PacketSize > 0 && size > int(l.PacketSize):
		return fmt.Sprintf("a packet of %d bytes", size)
	case l.TopicBytes > 0 && len(counted) > l.TopicBytes:
		return fmt.Sprintf("a topic of %d bytes", len(counted))
	case l.TopicSlashes > 0 && strings.Count(counted, "/") > l.TopicSlashes:
		return fmt.Sprintf("a topic with %d slashes", strings.Count(counted, "/"))
	case !l.mayPublish(m.Topic):
		return "not a topic of this service"
	}
	return ""
}

func (l *Limits) mayPublish(name string) bool {
	return len(l.Topics) == 0 || slices.ContainsFunc(l.Topics, func(f string) bool { return topic.Match(f, name) })
}

// oversize is the code to disconnect with.
func (l *Limits) oversize(m *Message, size int) mqtt.ReasonCode {
	if l.Payload > 0 && len(m.Payload) > l.Payload || l.PacketSize > 0 && size > int(l.PacketSize) {
		return mqtt.PacketTooLarge
	}
	if m.QoS > l.granted() {
		return mqtt.QoSNotSupported
	}
	return mqtt.TopicNameInvalid
}

func (l *Limits) judgeSubscribe(n *conn, v *packet.View) string {
	n.c.mu.Lock()
	have := len(n.session.filters)
	n.c.mu.Unlock()
	switch {
	case l.Filters > 0 && len(v.Filters) > l.Filters:
		return fmt.Sprintf("%d filters in one packet", len(v.Filters))
	case l.Subscriptions > 0 && have+len(v.Filters) > l.Subscriptions:
		return fmt.Sprintf("%d subscriptions", have+len(v.Filters))
	}
	for _, f := range v.Filters {
		filter := string(f.Filter)
		if l.FilterLevels > 0 && strings.Count(filter, "/")+1 > l.FilterLevels {
			return fmt.Sprintf("filter %q has too many levels", filter)
		}
		if len(l.Subscribe) > 0 && !slices.Contains(l.Subscribe, filter) {
			return fmt.Sprintf("filter %q is none of this service", filter)
		}
	}
	return ""
}

// limiter is a token bucket of one second.
type limiter struct {
	limits          *Limits
	at              time.Time
	messages, bytes float64
}

func (r *limiter) allow(now time.Time, size int) bool {
	l := r.limits
	if r.at.IsZero() {
		r.messages, r.bytes = float64(l.Messages), float64(l.Bytes)
	} else {
		passed := now.Sub(r.at).Seconds()
		r.messages = min(r.messages+passed*float64(l.Messages), float64(l.Messages))
		r.bytes = min(r.bytes+passed*float64(l.Bytes), float64(l.Bytes))
	}
	r.at = now
	if l.Messages > 0 && r.messages < 1 || l.Bytes > 0 && r.bytes < float64(size) {
		return false
	}
	r.messages--
	r.bytes -= float64(size)
	return true
}
