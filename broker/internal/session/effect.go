package session

import (
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// Kind says what an Effect asks for.
type Kind uint8

// The kinds of effects, to be carried out in the order given.
const (
	// Route: the PUBLISH given to Step is an Application Message for the router.
	Route Kind = iota + 1
	// Acknowledge: send a packet of Type with ID and Reason, not before
	// everything earlier is durable. For SUBACK and UNSUBACK the reasons are
	// the outcomes of the preceding Subscribe and Unsubscribe effects.
	Acknowledge
	// Subscribe: Subscription is asked for, or refused already if Reason failed.
	Subscribe
	// Unsubscribe: the subscription with Subscription.Filter is to end.
	Unsubscribe
	// Persist: the change of durable state in Change and Number.
	Persist
	// Pong: answer a PINGREQ.
	Pong
	// Ready: the client made room; Next may have something.
	Ready
	// End: the client sent DISCONNECT with Reason.
	End
)

// Change says which durable state changed.
type Change uint8

// The changes; Number is a ReceivedID in the first two and a place in line in
// the others.
const (
	PacketReceived Change = iota + 1
	PacketReleased
	DeliveryReceived
	DeliveryDone
)

// Effect is one thing that must happen because of a packet.
type Effect struct {
	Kind         Kind
	Change       Change
	Type         packet.Type
	ID           uint16
	Number       uint64 // Persist
	Reason       mqtt.ReasonCode
	Subscription mqtt.Subscription
}

// seconds turns a Session Expiry Interval of the wire into a duration.
func seconds(s uint32) time.Duration {
	if s == 0xFFFFFFFF {
		return NeverExpires
	}
	return time.Duration(s) * time.Second
}
