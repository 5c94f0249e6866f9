package broker_test

import (
	"fmt"
	"math/bits"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// A new subscriber gets every retained message, however many there are and
// however small its queue is.
func TestManyRetained(t *testing.T) {
	const many = 3000
	for _, qos := range []mqtt.QoS{0, 1, 2} {
		t.Run(fmt.Sprintf("MQTT-3.3.1-8 %d retained messages at QoS %d, a queue of 100", many, qos), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := brokertest.New(t, func(o *broker.Options) { o.Limits.QueueMessages = 100 })
				retain(t, b, many, qos)
				c := b.Client(mqtt.V311)
				c.Connect("cid=n")
				c.Send(fmt.Sprintf("SUBSCRIBE id=1 f=r/#@%d", qos))
				seen := map[string]bool{}
				for len(seen) < many {
					line := c.Receive()
					topic := word(line, "topic=")
					if topic == "" {
						continue // SUBACK, PUBREL
					}
					if seen[topic] || !strings.Contains(line, "retain") {
						t.Fatalf("after %d: %s", len(seen), line)
					}
					seen[topic] = true
					switch id := word(line, "id="); qos {
					case 1:
						c.Send("PUBACK id=" + id)
					case 2:
						c.Send("PUBREC id=" + id)
						c.Send("PUBCOMP id=" + id)
					}
				}
			})
		})
	}
}

func retain(t *testing.T, b *brokertest.Broker, n int, qos mqtt.QoS) {
	t.Helper()
	p := attach(t, b, broker.ClientOptions{ID: "p"})
	for i := range n {
		publish(t, p, mqtt.Message{Topic: fmt.Sprintf("r/%d", i), Payload: []byte("old"), QoS: qos, Retain: true})
	}
}

func word(line, key string) string {
	_, rest, ok := strings.Cut(line, key)
	if !ok {
		return ""
	}
	value, _, _ := strings.Cut(rest, " ")
	return value
}

// What changes while retained messages are on their way: the newer value is
// the last one that a subscriber sees, and an Unsubscribe ends them.
func TestRetainedWhileDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 1000
		b := brokertest.New(t, func(o *broker.Options) { o.Limits.QueueMessages = 100 })
		retain(t, b, many, 1)
		p := attach(t, b, broker.ClientOptions{ID: "p"})
		c := attach(t, b, broker.ClientOptions{ID: "c"})
		if err := c.Subscribe(t.Context(), mqtt.Subscription{Filter: "r/#", QoS: 1}); err != nil {
			t.Fatal(err)
		}
		publish(t, p, mqtt.Message{Topic: "r/900", Payload: []byte("new"), QoS: 1, Retain: true})
		publish(t, p, mqtt.Message{Topic: "r/901", QoS: 1, Retain: true})
		last := map[string]string{}
		for range many {
			m := next(t, c)
			last[m.Topic] = string(m.Payload)
		}
		if len(last) != many || last["r/900"] != "new" || last["r/901"] != "" || last["r/999"] != "old" {
			t.Errorf("%d topics, r/900 %q, r/901 %q, r/999 %q", len(last), last["r/900"], last["r/901"], last["r/999"])
		}
		n := b.Client(mqtt.V5)
		n.Connect("cid=n rm=1")
		n.Send("SUBSCRIBE id=1 f=r/#@1")
		n.Send("UNSUBSCRIBE id=2 f=r/#")
		got := 0
		for line := n.Receive(); !strings.HasPrefix(line, "UNSUBACK"); line = n.Receive() {
			got++
		}
		n.Send("PINGREQ")
		for line := n.Receive(); !strings.HasPrefix(line, "PINGRESP"); line = n.Receive() {
			if id := word(line, "id="); id != "" {
				n.Send("PUBACK id=" + id)
			}
			got++
		}
		if got > 100 {
			t.Errorf("%d packets after UNSUBSCRIBE", got)
		}
	})
}

// Pointers to retained messages are bounded, too: what would need more is
// refused and changes nothing.
func TestRetainedBacklogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, func(o *broker.Options) { o.Limits.QueueSize = 1250 * bits.UintSize / 8 })
		retain(t, b, 1000, 1)
		c := b.Client(mqtt.V5)
		c.Connect("cid=c rm=1")
		c.Send("SUBSCRIBE id=1 f=r/#@1")
		for line := c.Receive(); !strings.HasPrefix(line, "SUBACK"); {
			line = c.Receive()
		}
		c.Send("SUBSCRIBE id=2 f=+/#@1")
		line := c.Receive()
		for !strings.HasPrefix(line, "SUBACK") {
			line = c.Receive()
		}
		if !strings.Contains(line, "97") {
			t.Errorf("%s, want 0x97", line)
		}
		if n := b.Stats().Subscriptions; n != 1 {
			t.Errorf("%d subscriptions, want 1", n)
		}
	})
}
