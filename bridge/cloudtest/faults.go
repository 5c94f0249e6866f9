package cloudtest

import (
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Faults are what goes wrong. The zero value is a good server. They can be
// changed at any time and count for connections that are already there.
type Faults struct {
	Refuse    bool          // a connection is closed before its first byte is read
	BlackHole bool          // everything is read and nothing answered
	HalfOpen  bool          // as BlackHole, but only for established connections
	Flap      time.Duration // a connection is closed so long after its CONNACK; 0: never
	NoPing    bool          // PINGREQ is not answered

	Connack     mqtt.ReasonCode // refuses CONNECT
	SessionLost bool            // at every CONNECT
	// What CONNACK announces, from 5.0 on; zero values announce nothing.
	ReceiveMaximum uint16
	PacketSize     uint32
	MaximumQoS     *mqtt.QoS
	NoRetain       bool
	KeepAlive      uint16
	Reference      string // Server Reference, with Connack or a Goodbye

	DropAcks bool          // messages are taken, PUBACK, PUBREC and PUBCOMP are not sent
	AckDelay time.Duration // before each acknowledgement
	SwapAcks bool          // each second acknowledgement overtakes the one before it

	// Publish decides about each PUBLISH, Release about each PUBREL; nil takes
	// all. They are called one at a time.
	Publish func(Message) Verdict
	Release func(id uint16) Verdict
}

// Verdict is an answer to one packet. The zero value is the right answer.
type Verdict struct {
	Code    mqtt.ReasonCode // of PUBACK or PUBREC; a failure takes nothing
	Ignore  bool            // take nothing, answer nothing
	Cut     bool            // close before taking the packet
	CutLate bool            // take it, then close without an answer
	Goodbye mqtt.ReasonCode // DISCONNECT with this code before taking it; 3.x: close
}

// Message is a PUBLISH that the server has seen.
type Message struct {
	mqtt.Message
	Client string // Client Identifier of the sender
	ID     uint16
	Dup    bool
	At     time.Time
	Conn   int // the how manieth connection brought it, from 1
}

// Connect is a CONNECT that the server has seen.
type Connect struct {
	Conn               int // the number of the connection
	At                 time.Time
	Version            mqtt.Version
	ClientID           string
	Username, Password string
	Bridge             bool // the bridge bit of 3.x
	Clean              bool // Clean Start, or Clean Session
	KeepAlive          uint16
	Will               *mqtt.Will
}
