package packet

import "math/bits"

// kind is the type of a property's value, section 1.5.
type kind byte

const (
	none kind = iota
	oneByte
	twoByte
	fourByte
	varByte
	binaryData
	text
	pair
)

// fixed is the size of a kind's value without its variable part.
func (k kind) fixed() int {
	switch k {
	case oneByte:
		return 1
	case twoByte, binaryData, text:
		return 2
	case fourByte, pair:
		return 4
	}
	return 0
}

// property is one row of table 2-4 of the specification.
type property struct {
	id   byte
	kind kind
	name string
}

// describe returns the row of one property.
func describe(h Has) property {
	switch h {
	case HasPayloadFormat:
		return property{1, oneByte, "Payload Format Indicator"}
	case HasMessageExpiry:
		return property{2, fourByte, "Message Expiry Interval"}
	case HasContentType:
		return property{3, text, "Content Type"}
	case HasResponseTopic:
		return property{8, text, "Response Topic"}
	case HasCorrelationData:
		return property{9, binaryData, "Correlation Data"}
	case HasSubscriptionIdentifier:
		return property{11, varByte, "Subscription Identifier"}
	case HasSessionExpiry:
		return property{17, fourByte, "Session Expiry Interval"}
	case HasAssignedClientID:
		return property{18, text, "Assigned Client Identifier"}
	case HasServerKeepAlive:
		return property{19, twoByte, "Server Keep Alive"}
	case HasAuthMethod:
		return property{21, text, "Authentication Method"}
	case HasAuthData:
		return property{22, binaryData, "Authentication Data"}
	case HasRequestProblem:
		return property{23, oneByte, "Request Problem Information"}
	case HasWillDelay:
		return property{24, fourByte, "Will Delay Interval"}
	case HasRequestResponse:
		return property{25, oneByte, "Request Response Information"}
	}
	return describeMore(h)
}

func describeMore(h Has) property {
	switch h {
	case HasResponseInformation:
		return property{26, text, "Response Information"}
	case HasServerReference:
		return property{28, text, "Server Reference"}
	case HasReasonString:
		return property{31, text, "Reason String"}
	case HasReceiveMaximum:
		return property{33, twoByte, "Receive Maximum"}
	case HasTopicAliasMaximum:
		return property{34, twoByte, "Topic Alias Maximum"}
	case HasTopicAlias:
		return property{35, twoByte, "Topic Alias"}
	case HasMaximumQoS:
		return property{36, oneByte, "Maximum QoS"}
	case HasRetainAvailable:
		return property{37, oneByte, "Retain Available"}
	case HasUser:
		return property{38, pair, "User Property"}
	case HasMaximumPacketSize:
		return property{39, fourByte, "Maximum Packet Size"}
	case HasWildcardAvailable:
		return property{40, oneByte, "Wildcard Subscription Available"}
	case HasSubIDAvailable:
		return property{41, oneByte, "Subscription Identifier Available"}
	case HasSharedAvailable:
		return property{42, oneByte, "Shared Subscription Available"}
	}
	return property{}
}

// identified returns the property with identifier id, 0 when there is none.
func identified(id byte) Has {
	// One bit a property in the order of their identifiers.
	const known = 1<<1 | 1<<2 | 1<<3 | 1<<8 | 1<<9 | 1<<11 | 1<<17 | 1<<18 | 1<<19 |
		1<<21 | 1<<22 | 1<<23 | 1<<24 | 1<<25 | 1<<26 | 1<<28 | 1<<31 | 1<<33 | 1<<34 |
		1<<35 | 1<<36 | 1<<37 | 1<<38 | 1<<39 | 1<<40 | 1<<41 | 1<<42
	if id > 42 || uint64(known)>>id&1 == 0 {
		return 0
	}
	return 1 << bits.OnesCount64(known&(1<<id-1))
}

// The properties each packet may have, section 2.2.2.2. willProperties are
// those of the CONNECT payload.
const (
	messageProperties = HasPayloadFormat | HasMessageExpiry | HasContentType |
		HasResponseTopic | HasCorrelationData | HasUser
	willProperties    = messageProperties | HasWillDelay
	publishProperties = messageProperties | HasSubscriptionIdentifier | HasTopicAlias
	connectProperties = HasSessionExpiry | HasAuthMethod | HasAuthData | HasRequestProblem |
		HasRequestResponse | HasReceiveMaximum | HasTopicAliasMaximum | HasUser |
		HasMaximumPacketSize
	connackProperties = HasSessionExpiry | HasAssignedClientID | HasServerKeepAlive |
		HasAuthMethod | HasAuthData | HasResponseInformation | HasServerReference |
		HasReasonString | HasReceiveMaximum | HasTopicAliasMaximum | HasMaximumQoS |
		HasRetainAvailable | HasUser | HasMaximumPacketSize | HasWildcardAvailable |
		HasSubIDAvailable | HasSharedAvailable
	ackProperties         = HasReasonString | HasUser
	subscribeProperties   = HasSubscriptionIdentifier | HasUser
	unsubscribeProperties = HasUser
	disconnectProperties  = HasSessionExpiry | HasServerReference | HasReasonString | HasUser
	authProperties        = HasAuthMethod | HasAuthData | HasReasonString | HasUser
)

// allowed returns the properties a packet of type t may have.
func allowed(t Type) Has {
	switch t {
	case CONNECT:
		return connectProperties
	case CONNACK:
		return connackProperties
	case PUBLISH:
		return publishProperties
	case PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK:
		return ackProperties
	case SUBSCRIBE:
		return subscribeProperties
	case UNSUBSCRIBE:
		return unsubscribeProperties
	case DISCONNECT:
		return disconnectProperties
	case AUTH:
		return authProperties
	}
	return 0
}
