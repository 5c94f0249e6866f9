package packet

import "github.com/dunlin-mqtt/dunlin/broker/mqtt"

// FromClient checks that a decoded packet is one a Client may send: the type
// itself, and what in it only a Server may say. The error is an *mqtt.Error
// ProtocolError. Whether the packet fits the state of the connection (one
// CONNECT [MQTT-3.1.0-2], AUTH only with a method) is the session's question.
func (p *View) FromClient() error {
	switch p.Type {
	case CONNACK, SUBACK, UNSUBACK, PINGRESP:
		return wrongWay("MQTT-2.1.2", "packet only a Server sends")
	case PUBLISH:
		if p.Properties.Has&HasSubscriptionIdentifier != 0 {
			return wrongWay("MQTT-3.3.4-6", "Subscription Identifier in a PUBLISH of a Client")
		}
	case DISCONNECT:
		if p.Properties.Has&HasServerReference != 0 {
			return wrongWay("MQTT-3.14.2.2.5", "Server Reference in a DISCONNECT of a Client")
		}
		if !clientDisconnects(p.Reason) {
			return wrongWay("MQTT-3.14.2-1", "Reason Code only a Server sends")
		}
	case AUTH:
		if p.Reason == mqtt.Success {
			return wrongWay("MQTT-3.15.2-1", "Reason Code only a Server sends")
		}
	}
	return nil
}

// FromServer checks that a decoded packet is one a Server may send; it is
// FromClient for the other end.
func (p *View) FromServer() error {
	switch p.Type {
	case CONNECT, SUBSCRIBE, UNSUBSCRIBE, PINGREQ:
		return wrongWay("MQTT-2.1.2", "packet only a Client sends")
	case DISCONNECT:
		if p.Properties.Has&HasSessionExpiry != 0 {
			return wrongWay("MQTT-3.14.2-2", "Session Expiry Interval in a DISCONNECT of a Server")
		}
		if p.Reason == mqtt.DisconnectWithWill {
			return wrongWay("MQTT-3.14.2-1", "Reason Code only a Client sends")
		}
	case AUTH:
		if p.Reason == mqtt.ReAuthenticate {
			return wrongWay("MQTT-3.15.2-1", "Reason Code only a Client sends")
		}
	}
	return nil
}

func wrongWay(spec, msg string) error {
	return &mqtt.Error{Code: mqtt.ProtocolError, Spec: spec, Msg: msg}
}

// clientDisconnects reports whether a Client may close with r, table 3-10.
func clientDisconnects(r mqtt.ReasonCode) bool {
	switch r {
	case mqtt.NormalDisconnection, mqtt.DisconnectWithWill, mqtt.UnspecifiedError,
		mqtt.MalformedPacket, mqtt.ProtocolError, mqtt.ImplementationSpecificError,
		mqtt.BadAuthenticationMethod, mqtt.TopicNameInvalid, mqtt.ReceiveMaximumExceeded,
		mqtt.TopicAliasInvalid, mqtt.PacketTooLarge, mqtt.MessageRateTooHigh,
		mqtt.QuotaExceeded, mqtt.AdministrativeAction, mqtt.PayloadFormatInvalid:
		return true
	}
	return false
}
