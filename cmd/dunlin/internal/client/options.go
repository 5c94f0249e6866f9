package client

import (
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// Options say whom to connect to and as whom.
type Options struct {
	Target  Target
	Version mqtt.Version
	// ClientID may be empty: the server then chooses one, except in MQTT 3.1,
	// where Connect makes a random one.
	ClientID   string
	CleanStart bool // Clean Session in 3.1 and 3.1.1
	// KeepAlive in seconds, 0 for none. The server may set another one.
	KeepAlive uint16
	Username  *string // nil: none
	Password  *string // nil: none
	Will      *Will   // nil: none
	// Properties of CONNECT; ignored before 5.0.
	Properties packet.Properties
	// MaxInflight bounds the unacknowledged QoS 1 and 2 publications; the
	// server's Receive Maximum may bound them further. 0 means 20.
	MaxInflight int
	// Ignore makes the reader acknowledge and drop incoming messages: for
	// clients that only publish and never call Next.
	Ignore bool
	// Timeout bounds dialing, TLS and the wait for CONNACK together. 0 means
	// 30 s.
	Timeout time.Duration
	// Trace, when not nil, is told of every packet, without payloads, from
	// several goroutines.
	Trace func(line string)
	// Published, when not nil, is told the outcome of every publication: at
	// once for QoS 0, with the acknowledgement for the others. It is called
	// from the reader or from Publish and must not block.
	Published func(Outcome)
}

// Will is the Will Message of CONNECT.
type Will struct {
	Topic      string
	Payload    []byte
	QoS        mqtt.QoS
	Retain     bool
	Properties packet.Properties // Will Properties, 5.0
}

// Outcome is how a publication ended.
type Outcome struct {
	ID     uint16 // Packet Identifier, 0 with QoS 0
	Reason mqtt.ReasonCode
	Text   string // the server's Reason String
}

// Publication is one Application Message to send.
type Publication struct {
	Topic      string // empty when Properties hold a Topic Alias that is known
	Payload    []byte
	QoS        mqtt.QoS
	Retain     bool
	Properties packet.Properties
}

// Message is one Application Message as it arrived.
type Message struct {
	Topic      string
	Payload    []byte
	QoS        mqtt.QoS
	Retain     bool
	Dup        bool
	ID         uint16            // Packet Identifier, 0 with QoS 0
	Properties packet.Properties // owned
}

const (
	defaultTimeout  = 30 * time.Second
	defaultInflight = 20
	// receiveMaximum is announced in CONNECT, as mosquitto's clients do.
	receiveMaximum = 20
)
