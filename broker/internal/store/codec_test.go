package store

import (
	"reflect"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

func TestMessageCodecKeepsWhatIsEmpty(t *testing.T) {
	for name, p := range map[string]*mqtt.Properties{
		"none":                                 nil,
		"nothing in them":                      {},
		"MQTT-3.3.2-20 an empty Content Type":  {HasType: true},
		"MQTT-3.3.2-16 empty Correlation Data": {CorrelationData: []byte{}},
		"all":                                  {HasFormat: true, PayloadFormat: 1, HasType: true, ContentType: "t", ResponseTopic: "r", CorrelationData: []byte("c"), User: []mqtt.UserProperty{{Name: "a"}}},
	} {
		t.Run(name, func(t *testing.T) {
			f := fields{b: appendMessage(nil, &mqtt.Message{Topic: "a", Properties: p})}
			if got := f.message().Properties; !reflect.DeepEqual(got, p) {
				t.Errorf("got %+v, want %+v", got, p)
			}
		})
	}
}
