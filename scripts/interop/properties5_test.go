package interop

import (
	"reflect"
	"slices"
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
		User:            paho.UserProperties{{Key: "k", Value: "1"}, {Key: "k", Value: "2"}, {Key: "other", Value: "ö"}},
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
	p.User = byKey(p.User)
	if !reflect.DeepEqual(&p, want) {
		t.Errorf("properties %+v, want %+v", p, *want)
	}
}

// Properties of a message pass between every two clients that speak 5.0.
func TestProperties(t *testing.T) {
	b := start(t)
	for _, from := range clients5() {
		t.Run(from.name, func(t *testing.T) {
			for _, to := range clients5() {
				t.Run("to "+to.name, func(t *testing.T) { propertiesBetween(t, b, from, to) })
			}
		})
	}
}

func propertiesBetween(t *testing.T, b *broker, from, to client) {
	m := message{topic: "sensor/json", payload: `{"t":21.5}`, properties: allProperties()}
	pub := from.dial(t, b, dialOptions{id: "publisher"})
	t.Run("MQTT-3.3.2-17 forwarded unaltered", func(t *testing.T) {
		sub := to.dial(t, b, dialOptions{id: "subscriber"})
		sub.mustSubscribe(t, "sensor/#", 2)
		for qos := range byte(3) {
			m.qos = qos
			pub.mustPublish(t, m)
			wantProperties(t, sub.expect(t, m), m.properties)
		}
		sub.disconnect()
	})
	t.Run("MQTT-3.3.2-6 retained with the message", func(t *testing.T) {
		m.retain = true
		pub.mustPublish(t, m)
		sub := to.dial(t, b, dialOptions{id: "late"})
		sub.mustSubscribe(t, "sensor/#", 2)
		wantProperties(t, sub.expect(t, m), m.properties)
		pub.mustPublish(t, message{topic: m.topic, qos: 1, retain: true})
	})
	t.Run("queued with the message", func(t *testing.T) {
		m.topic, m.retain = "queued/json", false
		sub := to.dial(t, b, dialOptions{id: "sleeper", keep: true})
		sub.mustSubscribe(t, "queued/#", 2)
		sub.disconnect()
		pub.mustPublish(t, m)
		sub = to.dial(t, b, dialOptions{id: "sleeper", keep: true})
		wantProperties(t, sub.expect(t, m), m.properties)
		sub.disconnect()
	})
	t.Run("dropped on the way to 3.1.1", func(t *testing.T) {
		m.topic = "old/json"
		sub := dial311(t, b, dialOptions{id: "old"})
		sub.mustSubscribe(t, "old/#", 2)
		pub.mustPublish(t, m)
		sub.expect(t, message{topic: m.topic, payload: m.payload, qos: m.qos})
	})
}

// byKey keeps the order of values of one key and no other: MQTT.js has no more.
// That dunlin keeps all of it is TestUserPropertiesInOrder.
func byKey(user paho.UserProperties) paho.UserProperties {
	slices.SortStableFunc(user, func(a, b paho.UserProperty) int { return strings.Compare(a.Key, b.Key) })
	return user
}

func TestUserPropertiesInOrder(t *testing.T) {
	b := start(t)
	sub, pub := dial50(t, b, dialOptions{id: "subscriber"}), dial50(t, b, dialOptions{id: "publisher"})
	sub.mustSubscribe(t, "ordered", 1)
	user := paho.UserProperties{{Key: "k", Value: "1"}, {Key: "other", Value: "ö"}, {Key: "k", Value: "2"}, {Key: "a", Value: ""}}
	m := message{topic: "ordered", payload: "x", qos: 1, properties: &paho.PublishProperties{User: user}}
	pub.mustPublish(t, m)
	if got := sub.expect(t, m).properties.User; !slices.Equal(got, user) {
		t.Errorf("MQTT-3.3.2-18 User Properties %v, want %v", got, user)
	}
}

func TestRequestResponse(t *testing.T) {
	each5(t, func(t *testing.T, b *broker, v client) {
		asker := v.dial(t, b, dialOptions{id: "asker"})
		answerer := v.dial(t, b, dialOptions{id: "answerer"})
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
	})
}

func TestTopicAliasFromClient(t *testing.T) {
	b := start(t)
	pub := dial50(t, b, dialOptions{id: "publisher"})
	sub := dial50(t, b, dialOptions{id: "subscriber"})
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
		Properties: &paho.ConnectProperties{TopicAliasMaximum: new(uint16(allowed))}}, dialOptions{})
	sub.mustSubscribe(t, "+/+", 1)
	pub := dial50(t, b, dialOptions{id: "publisher"})
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
	first := dial50(t, b, dialOptions{id: ""})
	second := dial50(t, b, dialOptions{id: ""})
	if first.id == "" || first.id == second.id {
		t.Errorf("MQTT-3.2.2-16 assigned %q and %q", first.id, second.id)
	}
}
