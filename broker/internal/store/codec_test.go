package store

import (
	"reflect"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

func encodedMessage(m *mqtt.Message) []byte {
	var c codec
	c.message(m)
	return c.dst
}

func TestMessageCodecKeepsWhatIsEmpty(t *testing.T) {
	for name, p := range map[string]*mqtt.Properties{
		"none":                                 nil,
		"nothing in them":                      {},
		"MQTT-3.3.2-20 an empty Content Type":  {HasType: true},
		"MQTT-3.3.2-16 empty Correlation Data": {CorrelationData: []byte{}},
		"all":                                  {HasFormat: true, PayloadFormat: 1, HasType: true, ContentType: "t", ResponseTopic: "r", CorrelationData: []byte("c"), User: []mqtt.UserProperty{{Name: "a"}}},
	} {
		t.Run(name, func(t *testing.T) {
			var got *mqtt.Message
			c := reader(encodedMessage(&mqtt.Message{Topic: "a", Properties: p}), nil)
			if c.shared(&got); !reflect.DeepEqual(got.Properties, p) {
				t.Errorf("got %+v, want %+v", got.Properties, p)
			}
		})
	}
}

func TestWillCodec(t *testing.T) {
	message := mqtt.Will{Message: mqtt.Message{Topic: "w"}, Delay: 1, ExpiryInterval: 2}
	for name, w := range map[string]*Will{
		"none":                                   nil,
		"of this process, or of an older writer": {Will: message},
		"of nobody in particular":                {Will: message, Listener: ":1883"},
		"of a user":                              {Will: message, User: "u", Listener: ":1883"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := decodeRecord(WillSet, appendRecord(nil, &Record{Kind: WillSet, ClientID: "c", Will: w}))
			if err != nil || r.ClientID != "c" || !reflect.DeepEqual(r.Will, w) {
				t.Errorf("got %+v, %v", r, err)
			}
		})
	}
}
