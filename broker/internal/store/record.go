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
	// DeliveryDone is a server-chosen Packet Identifier that was completed, or
	// the entries of a queue from From to Number.
	DeliveryDone
	// WillSet is the Will Message of a Network Connection that begins; nil
	// Will: it ended and the will is gone or was published.
	WillSet
	// MessageFrom is MessageQueued, with or without Destinations, of a message
	// that another server sent: Origin is the Packet Identifier that it has in
	// the session ClientID.
	MessageFrom
	// LineCut gives up the entries of a queue from From to Number.
	LineCut
	// ClockSet says that times of before were off.
	ClockSet
	// HandedOut is the last entry of a queue that was given to its consumer, as
	// Number, when the consumer has stopped; 0 when it begins.
	HandedOut
)

// Kinds that only checkpoints and spill files have.
const (
	bodyKept     Kind = iota + 100 // a message, under a number that entryKept names
	entryKept                      // one delivery
	lastKept                       // the last place in line given away
	entrySpilled                   // one delivery with its message, in a spill file
	runKept                        // a part of a line that is in a spill file
	spansKept                      // what of such parts is gone
	clockKept                      // ClockSet, for spill files
)

// Record is one change of durable state. Fields that its Kind does not name
// are zero. Message is shared and immutable.
type Record struct {
	Kind        Kind
	ClientID    string // of a session; of a queue its name behind U+0000
	From, Count uint64 // LineCut: the first that goes, and how many are there; From of DeliveryDone is 0 for one
	// Number is the Packet Identifier of PacketReceived and PacketReleased, the
	// delivery's place in line of DeliveryReceived, DeliveryDone and HandedOut.
	Number  uint64
	Owner   string        // SessionKept: who made the session
	Prefix  string        // SessionKept: what its client does not see of topics
	Expiry  time.Duration // SessionKept: Session Expiry Interval
	At      time.Time     // MessageQueued: when; RetainedSet, if it expires: when written, by the clock of Expires; SessionKept: when its client left, zero while it is there
	Sent    uint64        // SessionKept: how many messages the client had not acknowledged when it left
	Message *mqtt.Message
	// Origin of MessageQueued is the Packet Identifier of a QoS 2 message from
	// Message.Publisher: both become durable together, or neither.
	Origin       uint16
	Destinations []Destination // MessageQueued
	Subscription mqtt.Subscription
	Will         *Will // WillSet

	body     uint64 // entryKept: number of its bodyKept
	received bool   // entryKept
	run      *Run   // runKept
	spans    []span // spansKept; Number is the floor
	step     *step  // ClockSet
	class    Class  // PacketReceived: of its message
}

// Will is a Will Message with who left it.
type Will struct {
	mqtt.Will
	// User by Listener; both are empty for a client of this process, and in older
	// records.
	User, Listener string
}

// first is the first place in line of DeliveryDone and DeliveryReceived.
func (r *Record) first() uint64 {
	if r.From > 0 {
		return r.From
	}
	return r.Number
}

// Destination is one delivery of a message.
type Destination struct {
	Name string // of a session or a queue, as Record.ClientID
	// Number is the place in the destination's line, from 1. A session's Packet
	// Identifier follows from it, so that a restart resends under the same.
	Number      uint64
	QoS         mqtt.QoS
	Retain      bool
	Identifiers []uint32 // Subscription Identifiers
	Share       string   // Topic Filter of the Shared Subscription, "" for a plain one
}
