package store

import (
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Kind says what a Record is about.
type Kind uint8

// The kinds of records.
const (
	// MessageQueued is a message kept for Destinations.
	MessageQueued Kind = iota + 1
	// RetainedSet is the retained message of its topic.
	RetainedSet
	// RetainedCleared removes the retained message of Message.Topic.
	RetainedCleared
	// SessionKept is a session with its Session Expiry Interval.
	SessionKept
	// SessionEnded removes a session with everything it held.
	SessionEnded
	// Subscribed adds or replaces a subscription of a session.
	Subscribed
	// Unsubscribed removes the subscription with Subscription.Filter.
	Unsubscribed
	// PacketReceived is a client-chosen Packet Identifier of a QoS 2 PUBLISH
	// whose message was routed.
	PacketReceived
	// PacketReleased ends the life of such an identifier.
	PacketReleased
	// DeliveryReceived is a server-chosen Packet Identifier whose PUBREC came.
	DeliveryReceived
	// DeliveryDone is a server-chosen Packet Identifier that was completed.
	DeliveryDone
)

// Record is one change of durable state. Fields that its Kind does not name
// are zero. Message is shared and immutable.
type Record struct {
	Kind         Kind
	ClientID     string
	PacketID     uint16
	Expiry       time.Duration // SessionKept: Session Expiry Interval; negative never ends
	Message      *mqtt.Message
	Destinations []string // MessageQueued: names of sessions and queues
	Subscription mqtt.Subscription
}
