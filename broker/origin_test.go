package broker_test

import (
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// A QoS 2 message of another server is published once, also across the end of
// the process between its record and PUBREC.
func TestPublishFrom(t *testing.T) {
	dir := t.TempDir()
	b := brokertest.New(t, onDisk(dir))
	q, err := b.AttachQueue(broker.QueueOptions{Name: "q", Filters: []mqtt.Subscription{{Filter: "#", QoS: 2}}})
	if err != nil {
		t.Fatal(err)
	}
	from := func(c *broker.Client, id uint16, topic string, again bool) {
		t.Helper()
		got, err := c.PublishFrom(t.Context(), mqtt.Message{Topic: topic, QoS: 2}, mqtt.Origin{Session: "cloud", ID: id})
		if err != nil || got != again {
			t.Errorf("PublishFrom %d: again %v, %v", id, got, err)
		}
	}
	release := func(c *broker.Client, id uint16, known bool) {
		t.Helper()
		got, err := c.Release(t.Context(), mqtt.Origin{Session: "cloud", ID: id})
		if err != nil || got != known {
			t.Errorf("Release %d: known %v, %v", id, got, err)
		}
	}
	messages := func(q *broker.Queue, want int) {
		t.Helper()
		if s := q.Stats(); s.Messages != want {
			t.Errorf("%d messages were queued, want %d", s.Messages, want)
		}
	}
	c := attach(t, b, broker.ClientOptions{ID: "bridge:cloud"})
	from(c, 7, "a", false)
	from(c, 7, "a", true) // MQTT-4.3.3-10
	from(c, 8, "b", false)
	release(c, 8, true)
	release(c, 8, false)
	from(c, 8, "c", false) // another message
	release(c, 8, true)
	messages(q, 3)
	dir = kill(t, dir)
	b.Stop()

	b = brokertest.New(t, onDisk(dir))
	if q, err = b.AttachQueue(broker.QueueOptions{Name: "q", Filters: []mqtt.Subscription{{Filter: "#", QoS: 2}}}); err != nil {
		t.Fatal(err)
	}
	c = attach(t, b, broker.ClientOptions{ID: "bridge:cloud"})
	from(c, 7, "a", true)
	from(c, 8, "d", false)
	messages(q, 4)
	if err := c.Forget(t.Context(), "cloud"); err != nil { // the other server has lost the session
		t.Fatal(err)
	}
	from(c, 7, "e", false)
	messages(q, 5)
	b.Stop()

	b = brokertest.New(t, onDisk(dir))
	c = attach(t, b, broker.ClientOptions{ID: "bridge:cloud"})
	from(c, 7, "e", true)
	from(c, 8, "f", false)
}
