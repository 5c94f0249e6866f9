package interop

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// Every QoS of the publisher with every QoS of the subscription, from every
// version to every version.
func TestEveryQoSBetweenAllVersions(t *testing.T) {
	b := start(t)
	for _, from := range clients() {
		t.Run(from.name, func(t *testing.T) {
			pub := from.dial(t, b, dialOptions{id: "publisher"})
			for _, to := range clients() {
				t.Run("MQTT-3.8.4-8 to "+to.name, func(t *testing.T) { everyQoS(t, b, pub, to) })
			}
		})
	}
}

func everyQoS(t *testing.T, b *broker, pub *peer, to client) {
	for granted := range byte(3) {
		sub := to.dial(t, b, dialOptions{id: fmt.Sprintf("subscriber-%d", granted)})
		sub.mustSubscribe(t, "matrix/+", granted)
		for qos := range byte(3) {
			m := message{topic: "matrix/" + strconv.Itoa(int(qos)), payload: "21.5 °C", qos: qos}
			pub.mustPublish(t, m)
			m.qos = min(qos, granted)
			sub.expect(t, m)
		}
		sub.nothing(t)
		sub.disconnect()
	}
}

func TestThousandMessages(t *testing.T) {
	const n = 1000
	eachVersion(t, func(t *testing.T, b *broker, v client) {
		for _, qos := range []byte{1, 2} {
			t.Run(fmt.Sprintf("MQTT-4.6.0-5 QoS %d", qos), func(t *testing.T) {
				pub, sub := v.dial(t, b, dialOptions{id: "publisher"}), v.dial(t, b, dialOptions{id: "subscriber"})
				sub.mustSubscribe(t, "count", qos)
				if err := pub.stream("count", n, qos); err != nil {
					t.Fatal(err)
				}
				for i := range n {
					sub.expect(t, message{topic: "count", payload: strconv.Itoa(i), qos: qos})
				}
				sub.nothing(t)
			})
		}
	})
}

func TestLargePayload(t *testing.T) {
	eachVersion(t, func(t *testing.T, b *broker, v client) {
		pub, sub := v.dial(t, b, dialOptions{id: "publisher"}), v.dial(t, b, dialOptions{id: "subscriber"})
		sub.mustSubscribe(t, "large/#", 2)
		for qos := range byte(3) {
			m := message{topic: "large/picture", payload: strings.Repeat("0123456789abcdef", 1<<20/16), qos: qos}
			pub.mustPublish(t, m)
			sub.expect(t, m)
		}
	})
}

func TestEmptyPayload(t *testing.T) {
	eachVersion(t, func(t *testing.T, b *broker, v client) {
		p := v.dial(t, b, dialOptions{id: "both"})
		p.mustSubscribe(t, "button/#", 1)
		m := message{topic: "button/pressed", qos: 1}
		p.mustPublish(t, m)
		p.expect(t, m)
	})
}

func TestUnsubscribe(t *testing.T) {
	eachVersion(t, func(t *testing.T, b *broker, v client) {
		t.Run("MQTT-3.10.4-2 no message after UNSUBACK", func(t *testing.T) {
			pub, sub := v.dial(t, b, dialOptions{id: "publisher"}), v.dial(t, b, dialOptions{id: "subscriber"})
			sub.mustSubscribe(t, "news/+", 1)
			sub.mustSubscribe(t, "weather", 1)
			pub.mustPublish(t, message{topic: "news/a", payload: "1", qos: 1})
			sub.expect(t, message{topic: "news/a", payload: "1", qos: 1})
			if err := sub.unsubscribe("news/+"); err != nil {
				t.Fatal(err)
			}
			pub.mustPublish(t, message{topic: "news/a", payload: "2", qos: 1})
			pub.mustPublish(t, message{topic: "weather", payload: "3", qos: 1})
			sub.expect(t, message{topic: "weather", payload: "3", qos: 1})
			sub.nothing(t)
		})
	})
}

func TestRetained(t *testing.T) {
	eachVersion(t, func(t *testing.T, b *broker, v client) {
		pub, live := v.dial(t, b, dialOptions{id: "publisher"}), v.dial(t, b, dialOptions{id: "live"})
		live.mustSubscribe(t, "room/#", 2)
		set := message{topic: "room/light", payload: "on", qos: 1, retain: true}
		late := func(t *testing.T, want ...message) {
			t.Helper()
			sub := v.dial(t, b, dialOptions{id: "late"})
			defer sub.disconnect()
			sub.mustSubscribe(t, "room/+", 2)
			for _, m := range want {
				sub.expect(t, m)
			}
			sub.nothing(t)
		}
		t.Run("MQTT-3.3.1-12 RETAIN is 0 for those who are subscribed already", func(t *testing.T) {
			pub.mustPublish(t, set)
			live.expect(t, message{topic: set.topic, payload: set.payload, qos: 1})
		})
		t.Run("MQTT-3.3.1-5 the last one is kept for new subscriptions", func(t *testing.T) {
			late(t, set)
			set.payload, set.qos = "off", 2
			pub.mustPublish(t, set)
			late(t, set)
		})
		t.Run("MQTT-3.3.1-8 a message without RETAIN replaces nothing", func(t *testing.T) {
			pub.mustPublish(t, message{topic: set.topic, payload: "dimmed", qos: 1})
			late(t, set)
		})
		t.Run("MQTT-3.3.1-6 an empty payload clears it", func(t *testing.T) {
			pub.mustPublish(t, message{topic: set.topic, qos: 1, retain: true})
			late(t)
		})
	})
}
