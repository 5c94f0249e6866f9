package packet

import "github.com/dunlin-mqtt/dunlin/broker/mqtt"

// Type is the MQTT Control Packet type, the high four bits of the first byte.
type Type byte

// The MQTT Control Packet types [MQTT-2.1.2].
const (
	CONNECT     Type = 1
	CONNACK     Type = 2
	PUBLISH     Type = 3
	PUBACK      Type = 4
	PUBREC      Type = 5
	PUBREL      Type = 6
	PUBCOMP     Type = 7
	SUBSCRIBE   Type = 8
	SUBACK      Type = 9
	UNSUBSCRIBE Type = 10
	UNSUBACK    Type = 11
	PINGREQ     Type = 12
	PINGRESP    Type = 13
	DISCONNECT  Type = 14
	AUTH        Type = 15
)

// View is one decoded control packet. Every []byte in it borrows the buffer
// given to Decode and is valid only as long as that buffer is; its slices of
// structs are reused by the next Decode into the same View. Nothing here is
// kept by reference beyond one packet.
type View struct {
	Type Type
	// ID is the Packet Identifier of PUBLISH (QoS > 0), PUBACK, PUBREC,
	// PUBREL, PUBCOMP, SUBSCRIBE, SUBACK, UNSUBSCRIBE and UNSUBACK.
	ID uint16
	// Reason is the Reason Code of CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP,
	// DISCONNECT and AUTH. CONNACK return codes of 3.1 and 3.1.1 are
	// translated.
	Reason     mqtt.ReasonCode
	Properties Properties

	Connect        Connect           // CONNECT
	SessionPresent bool              // CONNACK
	Publish        Publish           // PUBLISH
	Filters        []Filter          // SUBSCRIBE, UNSUBSCRIBE
	Reasons        []mqtt.ReasonCode // SUBACK, UNSUBACK
}

// Connect is the variable header and payload of CONNECT.
type Connect struct {
	Version     mqtt.Version
	Bridge      bool   // bit 7 of the 3.1 / 3.1.1 protocol level, mosquitto's bridge mark
	CleanStart  bool   // Clean Session in 3.1 and 3.1.1
	KeepAlive   uint16 // seconds; 0 turns it off
	ClientID    []byte // may be empty; whether that is admitted is no question of form
	HasWill     bool
	WillQoS     mqtt.QoS
	WillRetain  bool
	WillTopic   []byte
	WillPayload []byte
	Will        Properties // Will Properties, MQTT 5.0
	HasUsername bool
	Username    []byte
	HasPassword bool
	Password    []byte
}

// Publish is the variable header and payload of PUBLISH; the Packet
// Identifier and Properties are in the View.
type Publish struct {
	Topic   []byte // empty when only a Topic Alias names it
	Payload []byte
	QoS     mqtt.QoS
	Dup     bool
	Retain  bool
}

// Filter is one Topic Filter of SUBSCRIBE with its Subscription Options, or
// of UNSUBSCRIBE (options zero).
type Filter struct {
	Filter            []byte
	QoS               mqtt.QoS
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    mqtt.RetainHandling
}

// Properties are all properties of MQTT 5.0. Has tells which were present; a
// zero value with its bit set was sent as zero.
type Properties struct {
	Has                     Has
	PayloadFormat           byte
	MessageExpiry           uint32 // s
	ContentType             []byte
	ResponseTopic           []byte
	CorrelationData         []byte
	SubscriptionIdentifiers []uint32 // PUBLISH: any number; SUBSCRIBE: one
	SessionExpiry           uint32   // s; 0xFFFFFFFF never
	AssignedClientID        []byte
	ServerKeepAlive         uint16 // s
	AuthMethod              []byte
	AuthData                []byte
	RequestProblem          byte
	WillDelay               uint32 // s
	RequestResponse         byte
	ResponseInformation     []byte
	ServerReference         []byte
	ReasonString            []byte
	ReceiveMaximum          uint16
	TopicAliasMaximum       uint16
	TopicAlias              uint16
	MaximumQoS              mqtt.QoS
	RetainAvailable         byte
	User                    []UserProperty
	MaximumPacketSize       uint32
	WildcardAvailable       byte
	SubIDAvailable          byte
	SharedAvailable         byte
}

// UserProperty is one borrowed User Property.
type UserProperty struct{ Name, Value []byte }

// Has is a set of properties, one bit each.
type Has uint32

// The properties of MQTT 5.0, section 2.2.2.2.
const (
	HasPayloadFormat Has = 1 << iota
	HasMessageExpiry
	HasContentType
	HasResponseTopic
	HasCorrelationData
	HasSubscriptionIdentifier
	HasSessionExpiry
	HasAssignedClientID
	HasServerKeepAlive
	HasAuthMethod
	HasAuthData
	HasRequestProblem
	HasWillDelay
	HasRequestResponse
	HasResponseInformation
	HasServerReference
	HasReasonString
	HasReceiveMaximum
	HasTopicAliasMaximum
	HasTopicAlias
	HasMaximumQoS
	HasRetainAvailable
	HasUser
	HasMaximumPacketSize
	HasWildcardAvailable
	HasSubIDAvailable
	HasSharedAvailable
)
