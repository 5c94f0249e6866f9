package packet

import (
	"strings"
	"unicode/utf8"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// ValidMessage checks a message that did not come from Decode, so that what
// AppendPublish makes of it is well-formed: strings of at most 65535 bytes of
// valid UTF-8, a Topic Name and Response Topic without wildcards, a QoS, and
// a size the protocol can express. The error is an *mqtt.Error.
func ValidMessage(m *mqtt.Message) error {
	if err := validTopic(m.Topic, "Topic Name"); err != nil {
		return err
	}
	if !m.QoS.Valid() {
		return mqtt.Errorf(mqtt.QoSNotSupported, "MQTT-3.3.1-4", "QoS %d", m.QoS)
	}
	if p := m.Properties; p != nil {
		if err := validProperties(p); err != nil {
			return err
		}
	}
	// What one delivery may add: identifier, alias, expiry, identifiers of
	// overlapping subscriptions.
	if n := m.Size(); n > maxRemaining-64*1024 {
		return mqtt.Errorf(mqtt.PacketTooLarge, "MQTT-2.1.4", "message of %d bytes", n)
	}
	return nil
}

func validProperties(p *mqtt.Properties) error {
	if p.HasFormat && p.PayloadFormat > 1 {
		return mqtt.Errorf(mqtt.PayloadFormatInvalid, "MQTT-3.3.2.3.2", "Payload Format Indicator %d", p.PayloadFormat)
	}
	if err := validText(p.ContentType, "Content Type"); err != nil {
		return err
	}
	if p.ResponseTopic != "" {
		if err := validTopic(p.ResponseTopic, "Response Topic"); err != nil {
			return err
		}
	}
	if len(p.CorrelationData) > 65535 {
		return mqtt.Errorf(mqtt.MalformedPacket, "MQTT-1.5.6", "Correlation Data longer than 65535 bytes")
	}
	for _, u := range p.User {
		if err := validText(u.Name, "User Property"); err != nil {
			return err
		}
		if err := validText(u.Value, "User Property"); err != nil {
			return err
		}
	}
	return nil
}

func validTopic(s, field string) error {
	if s == "" {
		return mqtt.Errorf(mqtt.TopicNameInvalid, "MQTT-4.7.3-1", "empty %s", field)
	}
	if strings.ContainsAny(s, "+#") {
		return mqtt.Errorf(mqtt.TopicNameInvalid, "MQTT-4.7.0-1", "wildcard in the %s", field)
	}
	return validText(s, field)
}

func validText(s, field string) error {
	switch {
	case len(s) > 65535:
		return mqtt.Errorf(mqtt.MalformedPacket, "MQTT-1.5.4", "%s longer than 65535 bytes", field)
	case !utf8.ValidString(s):
		return mqtt.Errorf(mqtt.MalformedPacket, "MQTT-1.5.4-1", "%s is not well-formed UTF-8", field)
	case strings.IndexByte(s, 0) >= 0:
		return mqtt.Errorf(mqtt.MalformedPacket, "MQTT-1.5.4-2", "%s contains U+0000", field)
	}
	return nil
}
