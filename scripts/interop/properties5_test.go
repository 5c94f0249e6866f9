package interop

import (
	"reflect"
	"strings"
	"testing"

	"github.com/eclipse/paho.golang/paho"
)

func allProperties() *paho.PublishProperties {
	return &paho.PublishProperties{
		PayloadFormat:   new(byte(1)),
		MessageExpiry:   new(uint32(3600)),
		ContentType:     "application/json",
		ResponseTopic:   "reply/to",
		CorrelationData: []byte{0, 1, 0xFE, 0xFF},
		User:            paho.UserProperties{{Key: "k", Value: "1"}, {Key: "other", Value: "ö"}, {Key: "k", Value: "2"}},
	}
}

// wantProperties compares what a message carried with what was sent. The
// Message Expiry Interval may have counted down a little.
func wantProperties(t *testing.T, got message, want *paho.PublishProperties) {
	t.Helper()
	if got.properties == nil {
		t.Fatalf("%s without properties", got)
	}
	p := *got.properties
	const waited = uint32(patience / 1e9)
	if p.MessageExpiry == nil || *p.MessageExpiry > *want.MessageExpiry || *p.MessageExpiry < *want.MessageExpiry-waited {
		t.Errorf("MQTT-3.3.2-6 Message Expiry Interval %v, want about %d", p.MessageExpiry, *want.MessageExpiry)
	}
	p.MessageExpiry = want.MessageExpiry
	if !reflect.DeepEqual(&p, want) {
		t.Errorf("properties %+v, want %+v", p, *want)
	}
}

func TestProperties(t *testing.T) {
	b := start(t)
	m := message{topic: "sensor/json", payload: `{"t":21.5}`, properties: allProperties()}
	pub, _ := client5(t, b, "publisher")
	t.Run("MQTT-3.3.2-17 forwarded unaltered and in order", func(t *testing.T) {
		sub, _ := client5(t, b, "subscriber")
		sub.mustSubscribe(t, "sensor/#", 2)
		for qos := range byte(3) {
			m.qos = qos
			pub.mustPublish(t, m)
			wantProperties(t, sub.expect(t, m), m.properties)
		}
	})
	t.Run("MQTT-3.3.2-6 retained with the message", func(t *testing.T) {
		m.retain = true
		pub.mustPublish(t, m)
		sub, _ := client5(t, b, "late")
		sub.mustSubscribe(t, "sensor/#", 2)
		wantProperties(t, sub.expect(t, m), m.properties)
	})
	t.Run("queued with the message", func(t *testing.T) {
		m.topic, m.retain = "queued/json", false
		sub := dial50(t, b, dialOptions{id: "sleeper", keep: true})
		sub.mustSubscribe(t, "queued/#", 2)
		sub.disconnect()
		pub.mustPublish(t, m)
		sub = dial50(t, b, dialOptions{id: "sleeper", keep: true})
		wantProperties(t, sub.expect(t, m), m.properties)
	})
	t.Run("dropped on the way to 3.1.1", func(t *testing.T) {
		m.topic = "old/json"
		sub := dial311(t, b, dialOptions{id: "old"})
		sub.mustSubscribe(t, "old/#", 2)
		pub.mustPublish(t, m)
		sub.expect(t, message{topic: m.topic, payload: m.payload, qos: m.qos})
	})
}

func TestRequestResponse(t *testing.T) {
	b := start(t)
	asker, _ := client5(t, b, "asker")
	answerer, _ := client5(t, b, "answerer")
	answerer.mustSubscribe(t, "service/+", 1)
	asker.mustSubscribe(t, "answers/asker", 1)
	asker.mustPublish(t, message{topic: "service/double", payload: "21", qos: 1, properties: &paho.PublishProperties{
		ResponseTopic: "answers/asker", CorrelationData: []byte("request 7"),
	}})
	request := answerer.expect(t, message{topic: "service/double", payload: "21", qos: 1}).properties
	answerer.mustPublish(t, message{topic: request.ResponseTopic, payload: "42", qos: 1, properties: &paho.PublishProperties{
		CorrelationData: request.CorrelationData,
	}})
	answer := asker.expect(t, message{topic: "answers/asker", payload: "42", qos: 1})
	if got := string(answer.properties.CorrelationData); got != "request 7" {
		t.Errorf("MQTT-3.3.2-16 Correlation Data %q", got)
	}
}

func TestTopicAliasFromClient(t *testing.T) {
	b := start(t)
	pub, _ := client5(t, b, "publisher")
	sub, _ := client5(t, b, "subscriber")
	sub.mustSubscribe(t, "+/long/topic", 1)
	alias := func(n uint16) *paho.PublishProperties { return &paho.PublishProperties{TopicAlias: new(n)} }
	for _, step := range []struct {
		name, sent, want string
		alias            uint16
	}{
		{"MQTT-3.3.2-12 an alias is set", "a/long/topic", "a/long/topic", 1},
		{"another one", "b/long/topic", "b/long/topic", 10},
		{"the first is used", "", "a/long/topic", 1},
		{"the second is used", "", "b/long/topic", 10},
		{"the first is set anew", "c/long/topic", "c/long/topic", 1},
		{"and used", "", "c/long/topic", 1},
	} {
		t.Run(step.name, func(t *testing.T) {
			pub.mustPublish(t, message{topic: step.sent, payload: step.name, qos: 1, properties: alias(step.alias)})
			got := sub.expect(t, message{topic: step.want, payload: step.name, qos: 1})
			if got.properties != nil && got.properties.TopicAlias != nil {
				t.Error("MQTT-3.1.2-27 an alias towards a client that allows none")
			}
		})
	}
}

func TestTopicAliasFromBroker(t *testing.T) {
	const allowed = 2
	b := start(t)
	sub, _ := connect5(t, b, &paho.Connect{ClientID: "aliased", CleanStart: true, KeepAlive: 30,
		Properties: &paho.ConnectProperties{TopicAliasMaximum: new(uint16(allowed))}}, false)
	sub.mustSubscribe(t, "+/+", 1)
	pub, _ := client5(t, b, "publisher")
	known := map[uint16]string{}
	for range 3 {
		for _, topic := range []string{"first", "second", "third"} {
			topic += "/" + strings.Repeat("long", 10)
			pub.mustPublish(t, message{topic: topic, payload: topic, qos: 1})
			got := sub.next(t)
			if got.properties != nil && got.properties.TopicAlias != nil {
				n := *got.properties.TopicAlias
				if n == 0 || n > allowed {
					t.Fatalf("MQTT-3.1.2-26 Topic Alias %d, Maximum %d", n, allowed)
				}
				if got.topic != "" {
					known[n] = got.topic
				}
				got.topic = known[n]
			}
			if got.topic != topic || got.payload != topic {
				t.Fatalf("received %s, want topic and payload %s", got, topic)
			}
		}
	}
}

func TestAssignedClientIdentifier(t *testing.T) {
	b := start(t)
	first, _ := client5(t, b, "")
	second, _ := client5(t, b, "")
	if first.id == "" || first.id == second.id {
		t.Errorf("MQTT-3.2.2-16 assigned %q and %q", first.id, second.id)
	}
}
