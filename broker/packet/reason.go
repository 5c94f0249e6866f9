package packet

import "github.com/dunlin-mqtt/dunlin/broker/mqtt"

// reason checks that packets of type t may carry the Reason Code r, section
// 2.4 of MQTT 5.0.
func (d *decoder) reason(t Type, r mqtt.ReasonCode) {
	if d.err != nil || hasReason(t, r) {
		return
	}
	d.protocol(reasonSpec(t), "Reason Code is not one of this packet type")
}

func hasReason(t Type, r mqtt.ReasonCode) bool {
	if r == mqtt.Success {
		return true
	}
	switch t {
	case CONNACK:
		return connackReason(r)
	case PUBACK, PUBREC:
		return r == mqtt.NoMatchingSubscribers || publishFailure(r)
	case PUBREL, PUBCOMP:
		return r == mqtt.PacketIdentifierNotFound
	case SUBACK:
		return r == mqtt.GrantedQoS1 || r == mqtt.GrantedQoS2 || subscribeFailure(r)
	case UNSUBACK:
		return r == mqtt.NoSubscriptionExisted || unsubscribeFailure(r)
	case DISCONNECT:
		return disconnectReason(r)
	case AUTH:
		return r == mqtt.ContinueAuthentication || r == mqtt.ReAuthenticate
	}
	return false
}

func connackReason(r mqtt.ReasonCode) bool {
	switch r {
	case mqtt.UnspecifiedError, mqtt.MalformedPacket, mqtt.ProtocolError,
		mqtt.ImplementationSpecificError, mqtt.UnsupportedProtocolVersion,
		mqtt.ClientIdentifierNotValid, mqtt.BadUserNameOrPassword, mqtt.NotAuthorized,
		mqtt.ServerUnavailable, mqtt.ServerBusy, mqtt.Banned, mqtt.BadAuthenticationMethod,
		mqtt.TopicNameInvalid, mqtt.PacketTooLarge, mqtt.QuotaExceeded,
		mqtt.PayloadFormatInvalid, mqtt.RetainNotSupported, mqtt.QoSNotSupported,
		mqtt.UseAnotherServer, mqtt.ServerMoved, mqtt.ConnectionRateExceeded:
		return true
	}
	return false
}

func publishFailure(r mqtt.ReasonCode) bool {
	switch r {
	case mqtt.UnspecifiedError, mqtt.ImplementationSpecificError, mqtt.NotAuthorized,
		mqtt.TopicNameInvalid, mqtt.PacketIdentifierInUse, mqtt.QuotaExceeded,
		mqtt.PayloadFormatInvalid:
		return true
	}
	return false
}

func unsubscribeFailure(r mqtt.ReasonCode) bool {
	switch r {
	case mqtt.UnspecifiedError, mqtt.ImplementationSpecificError, mqtt.NotAuthorized,
		mqtt.TopicFilterInvalid, mqtt.PacketIdentifierInUse:
		return true
	}
	return false
}

func subscribeFailure(r mqtt.ReasonCode) bool {
	switch r {
	case mqtt.QuotaExceeded, mqtt.SharedSubscriptionsNotSupported,
		mqtt.SubscriptionIdentifiersNotSupported, mqtt.WildcardSubscriptionsNotSupported:
		return true
	}
	return unsubscribeFailure(r)
}

func disconnectReason(r mqtt.ReasonCode) bool {
	switch r {
	case mqtt.DisconnectWithWill:
		return true
	case mqtt.PacketIdentifierInUse, mqtt.PacketIdentifierNotFound,
		mqtt.UnsupportedProtocolVersion, mqtt.ClientIdentifierNotValid,
		mqtt.BadUserNameOrPassword, mqtt.ServerUnavailable, mqtt.Banned:
		return false
	}
	return r >= mqtt.UnspecifiedError && r <= mqtt.WildcardSubscriptionsNotSupported
}

// reasonSpec is the statement that limits the Reason Codes of a packet type.
func reasonSpec(t Type) string {
	switch t {
	case CONNACK:
		return "MQTT-3.2.2-8"
	case PUBACK:
		return "MQTT-3.4.2-1"
	case PUBREC:
		return "MQTT-3.5.2-1"
	case PUBREL:
		return "MQTT-3.6.2-1"
	case PUBCOMP:
		return "MQTT-3.7.2-1"
	case SUBACK:
		return "MQTT-3.9.3-2"
	case UNSUBACK:
		return "MQTT-3.11.3-2"
	case DISCONNECT:
		return "MQTT-3.14.2-1"
	}
	return "MQTT-3.15.2-1"
}
