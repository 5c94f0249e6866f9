package topic

import (
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// MaxLength is the longest Topic Name or Topic Filter in bytes
// [MQTT-4.7.3-3].
const MaxLength = 65535

// ValidName returns nil when s may be the Topic Name of a PUBLISH or a will,
// otherwise an *mqtt.Error TopicNameInvalid with the statement broken. Names
// that start with $ are valid; who may publish to them is not decided here.
func ValidName(s string) error {
	if err := validString(s, mqtt.TopicNameInvalid); err != nil {
		return err
	}
	if strings.IndexByte(s, '+') >= 0 || strings.IndexByte(s, '#') >= 0 {
		return mqtt.Errorf(mqtt.TopicNameInvalid, "MQTT-4.7.0-1", "wildcard in a Topic Name")
	}
	return nil
}

// ValidNameBytes is ValidName for borrowed bytes; it does not copy them.
func ValidNameBytes(b []byte) error {
	return ValidName(unsafe.String(unsafe.SliceData(b), len(b)))
}

// ValidFilter returns nil when s may be a Topic Filter of SUBSCRIBE or
// UNSUBSCRIBE, shared or not, otherwise an *mqtt.Error TopicFilterInvalid with
// the statement broken.
func ValidFilter(s string) error {
	if err := validString(s, mqtt.TopicFilterInvalid); err != nil {
		return err
	}
	if group, rest, shared := Share(s); shared {
		if err := validShare(s, group, rest); err != nil {
			return err
		}
		s = rest
	}
	return validWildcards(s)
}

func validString(s string, code mqtt.ReasonCode) error {
	switch {
	case s == "":
		return mqtt.Errorf(code, "MQTT-4.7.3-1", "empty topic")
	case len(s) > MaxLength:
		return mqtt.Errorf(code, "MQTT-4.7.3-3", "topic longer than %d bytes", MaxLength)
	case strings.IndexByte(s, 0) >= 0:
		return mqtt.Errorf(code, "MQTT-4.7.3-2", "U+0000 in a topic")
	case !utf8.ValidString(s):
		return mqtt.Errorf(code, "MQTT-1.5.4-1", "topic is not well-formed UTF-8")
	}
	return nil
}

func validWildcards(s string) error {
	for i := range len(s) {
		switch s[i] {
		case '#':
			if i != len(s)-1 || i > 0 && s[i-1] != '/' {
				return mqtt.Errorf(mqtt.TopicFilterInvalid, "MQTT-4.7.1-1", "# must be the whole last level")
			}
		case '+':
			if i > 0 && s[i-1] != '/' || i < len(s)-1 && s[i+1] != '/' {
				return mqtt.Errorf(mqtt.TopicFilterInvalid, "MQTT-4.7.1-2", "+ must be a whole level")
			}
		}
	}
	return nil
}
