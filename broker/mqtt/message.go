package mqtt

import (
	"sync/atomic"
	"time"
)

// Message is one Application Message, owned and immutable: whoever holds it
// may keep it, nobody may change its Payload or Properties. A Message is made
// only for what is kept or handed to another goroutine; bytes in flight are
// borrowed as packet.Publish.
type Message struct {
	Topic      string
	Payload    []byte
	Properties *Properties // nil when the message carries none
	// Expires is when the Message Expiry Interval has passed; zero means never
	// [MQTT-3.3.2-5].
	Expires time.Time
	QoS     QoS
	Retain  bool // the RETAIN flag as the publisher set it
	// Quota is the router's number of the user whose share of the room for
	// retained messages this one takes; 0: nobody's.
	Quota uint16
	// Publisher is the Client Identifier of the session that published the
	// message; No Local is decided by it [MQTT-3.8.3-3].
	Publisher string
	// holders counts who keeps the message; copies share it with what they
	// share. nil: everybody counts for themselves.
	holders *atomic.Int32
}

// Shareable lets Hold count everybody who keeps m or a copy of it, from now on.
func (m *Message) Shareable(holders *atomic.Int32) { m.holders = holders }

// Hold says that one more keeps m; it reports whether it is the only one, who
// has to account for its Footprint.
func (m *Message) Hold() bool { return m.holders == nil || m.holders.Add(1) == 1 }

// Release takes a Hold back and reports whether that was the last one.
func (m *Message) Release() bool { return m.holders == nil || m.holders.Add(-1) == 0 }

// What a message and its properties take beside their bytes.
const (
	messageSize    = 128
	propertiesSize = 144
	userSize       = 64
)

// Footprint is about what m takes of memory, in bytes.
func (m *Message) Footprint() int {
	n := messageSize + m.Size()
	if m.Properties != nil {
		n += propertiesSize + userSize*len(m.Properties.User)
	}
	return n
}

// Size is what the message counts against a quota in bytes: topic, payload
// and property strings.
func (m *Message) Size() int { return len(m.Topic) + len(m.Payload) + m.Properties.size() }

// Expired reports whether the Message Expiry Interval has passed at now.
func (m *Message) Expired(now time.Time) bool {
	return !m.Expires.IsZero() && !now.Before(m.Expires) && !m.undated(now)
}

// undated reports whether Expires was noted before the clock was set, and is
// not one that the clock which nobody sets can tell.
func (m *Message) undated(now time.Time) bool {
	return ClockSet(now) && !ClockSet(m.Expires) && m.Expires == m.Expires.Round(0)
}

// ClockSet reports whether t is after 2023: no clock that was ever set shows
// less.
func ClockSet(t time.Time) bool { return t.Unix() >= 1_704_067_200 }

// ExpirySeconds is the Message Expiry Interval to send at now: what is left, to
// the nearest second, 1 at least [MQTT-3.3.2-6]. Rounded up it could be more
// than was received, for now may be a little before the message came. ok is
// false when the message never expires.
func (m *Message) ExpirySeconds(now time.Time) (s uint32, ok bool) {
	if m.Expires.IsZero() || m.undated(now) {
		return 0, false
	}
	left := m.Expires.Sub(now)
	if left <= 0 {
		return 0, true
	}
	return uint32(max((left+time.Second/2)/time.Second, 1)), true
}

// Will is the Will Message of a Network Connection with its Will Delay
// Interval.
type Will struct {
	Message Message
	// Delay is the Will Delay Interval, in whole seconds on the wire
	// (0 to 4294967295 s); in-process clients may use finer values.
	Delay time.Duration
	// ExpiryInterval is the Message Expiry Interval of the Will Message,
	// counted from its publication; 0 means none.
	ExpiryInterval time.Duration
}
