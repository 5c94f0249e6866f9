package packet

import "github.com/dunlin-mqtt/dunlin/broker/mqtt"

// number returns the value of a property whose kind is a number.
func (p *Properties) number(h Has) uint32 {
	switch h {
	case HasMessageExpiry:
		return p.MessageExpiry
	case HasSessionExpiry:
		return p.SessionExpiry
	case HasWillDelay:
		return p.WillDelay
	case HasMaximumPacketSize:
		return p.MaximumPacketSize
	case HasServerKeepAlive:
		return uint32(p.ServerKeepAlive)
	case HasReceiveMaximum:
		return uint32(p.ReceiveMaximum)
	case HasTopicAliasMaximum:
		return uint32(p.TopicAliasMaximum)
	case HasTopicAlias:
		return uint32(p.TopicAlias)
	case HasMaximumQoS:
		return uint32(p.MaximumQoS)
	}
	if b := p.octet(h); b != nil {
		return uint32(*b)
	}
	return 0
}

func (p *Properties) setNumber(h Has, v uint32) {
	switch h {
	case HasMessageExpiry:
		p.MessageExpiry = v
	case HasSessionExpiry:
		p.SessionExpiry = v
	case HasWillDelay:
		p.WillDelay = v
	case HasMaximumPacketSize:
		p.MaximumPacketSize = v
	case HasServerKeepAlive:
		p.ServerKeepAlive = uint16(v)
	case HasReceiveMaximum:
		p.ReceiveMaximum = uint16(v)
	case HasTopicAliasMaximum:
		p.TopicAliasMaximum = uint16(v)
	case HasTopicAlias:
		p.TopicAlias = uint16(v)
	case HasMaximumQoS:
		p.MaximumQoS = mqtt.QoS(v)
	default:
		if b := p.octet(h); b != nil {
			*b = byte(v)
		}
	}
}

// octet returns where a property with one byte of 0 or 1 is kept.
func (p *Properties) octet(h Has) *byte {
	switch h {
	case HasPayloadFormat:
		return &p.PayloadFormat
	case HasRequestProblem:
		return &p.RequestProblem
	case HasRequestResponse:
		return &p.RequestResponse
	case HasRetainAvailable:
		return &p.RetainAvailable
	case HasWildcardAvailable:
		return &p.WildcardAvailable
	case HasSubIDAvailable:
		return &p.SubIDAvailable
	case HasSharedAvailable:
		return &p.SharedAvailable
	}
	return nil
}

// octets returns where a string or binary property is kept.
func (p *Properties) octets(h Has) *[]byte {
	switch h {
	case HasContentType:
		return &p.ContentType
	case HasResponseTopic:
		return &p.ResponseTopic
	case HasCorrelationData:
		return &p.CorrelationData
	case HasAssignedClientID:
		return &p.AssignedClientID
	case HasAuthMethod:
		return &p.AuthMethod
	case HasAuthData:
		return &p.AuthData
	case HasResponseInformation:
		return &p.ResponseInformation
	case HasServerReference:
		return &p.ServerReference
	case HasReasonString:
		return &p.ReasonString
	}
	return nil
}
