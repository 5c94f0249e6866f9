package interop

import (
	"slices"
	"strconv"
	"testing"

	"github.com/eclipse/paho.golang/paho"
)

func (p *peer) mustSubscribeWith(t *testing.T, o paho.SubscribeOptions, properties *paho.SubscribeProperties) {
	t.Helper()
	granted, err := p.link.(link5).subscribeWith(o, properties)
	if err != nil || granted != o.QoS {
		t.Fatalf("%s subscribes to %s: %#x, %v", p.id, o.Topic, granted, err)
	}
}

func TestSubscriptionIdentifier(t *testing.T) {
	b := start(t)
	sub, _ := client5(t, b, "subscriber")
	pub, _ := client5(t, b, "publisher")
	filters := map[string]int{"one/#": 1, "two/+": 268435455, "none": 0}
	for filter, id := range filters {
		var properties *paho.SubscribeProperties
		if id != 0 {
			properties = &paho.SubscribeProperties{SubscriptionIdentifier: new(id)}
		}
		sub.mustSubscribeWith(t, paho.SubscribeOptions{Topic: filter, QoS: 1}, properties)
	}
	for topic, want := range map[string]int{"one/a/b": 1, "two/a": 268435455, "none": 0} {
		t.Run("MQTT-3.3.4-3 "+topic, func(t *testing.T) {
			m := message{topic: topic, payload: "x", qos: 1}
			pub.mustPublish(t, m)
			if got := identifier(sub.expect(t, m)); got != want {
				t.Errorf("Subscription Identifier %d, want %d", got, want)
			}
		})
	}
	t.Run("MQTT-3.8.4-3 a new subscription replaces it", func(t *testing.T) {
		sub.mustSubscribeWith(t, paho.SubscribeOptions{Topic: "one/#", QoS: 0}, &paho.SubscribeProperties{SubscriptionIdentifier: new(7)})
		pub.mustPublish(t, message{topic: "one/c", payload: "x", qos: 1})
		if got := identifier(sub.expect(t, message{topic: "one/c", payload: "x"})); got != 7 {
			t.Errorf("Subscription Identifier %d, want 7", got)
		}
		sub.nothing(t)
	})
}

// identifier is the Subscription Identifier of a message, 0 for none.
func identifier(m message) int {
	if m.properties == nil || m.properties.SubscriptionIdentifier == nil {
		return 0
	}
	return *m.properties.SubscriptionIdentifier
}

func TestNoLocal(t *testing.T) {
	b := start(t)
	self, _ := client5(t, b, "self")
	other, _ := client5(t, b, "other")
	self.mustSubscribeWith(t, paho.SubscribeOptions{Topic: "room/+", QoS: 1, NoLocal: true}, nil)
	other.mustSubscribe(t, "room/+", 1)
	t.Run("MQTT-3.8.3-3 own messages do not come back", func(t *testing.T) {
		m := message{topic: "room/own", payload: "x", qos: 1}
		self.mustPublish(t, m)
		other.expect(t, m)
		self.nothing(t)
	})
	t.Run("those of others do", func(t *testing.T) {
		m := message{topic: "room/other", payload: "y", qos: 1}
		other.mustPublish(t, m)
		self.expect(t, m)
	})
}

func TestRetainAsPublished(t *testing.T) {
	b := start(t)
	sub, _ := client5(t, b, "subscriber")
	sub.mustSubscribeWith(t, paho.SubscribeOptions{Topic: "kept", QoS: 1, RetainAsPublished: true}, nil)
	for _, retain := range []bool{true, false} {
		t.Run("MQTT-3.3.1-13 RETAIN "+strconv.FormatBool(retain), func(t *testing.T) {
			m := message{topic: "kept", payload: "x", qos: 1, retain: retain}
			sub.mustPublish(t, m)
			sub.expect(t, m)
		})
	}
}

func TestRetainHandling(t *testing.T) {
	b := start(t)
	pub, _ := client5(t, b, "publisher")
	m := message{topic: "kept", payload: "x", qos: 1, retain: true}
	pub.mustPublish(t, m)
	for _, c := range []struct {
		name          string
		handling      byte
		first, second bool
	}{
		{"MQTT-3.3.1-9 0 sends with every SUBSCRIBE", 0, true, true},
		{"MQTT-3.3.1-10 1 sends with a new subscription", 1, true, false},
		{"MQTT-3.3.1-11 2 never sends", 2, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			sub, _ := client5(t, b, "subscriber")
			defer sub.disconnect()
			for _, comes := range []bool{c.first, c.second} {
				sub.mustSubscribeWith(t, paho.SubscribeOptions{Topic: "kept", QoS: 1, RetainHandling: c.handling}, nil)
				if comes {
					sub.expect(t, m)
				}
				sub.nothing(t)
			}
		})
	}
}

func TestSharedSubscription(t *testing.T) {
	const n = 100
	b := start(t)
	workers := make([]*peer, 2)
	for i := range workers {
		workers[i], _ = client5(t, b, "worker-"+strconv.Itoa(i))
		workers[i].mustSubscribe(t, "$share/crew/jobs/#", 1)
	}
	all, _ := client5(t, b, "all")
	all.mustSubscribe(t, "jobs/#", 1)
	pub, _ := client5(t, b, "publisher")
	if err := pub.link.stream("jobs/next", n, 1); err != nil {
		t.Fatal(err)
	}
	t.Run("4.8.2 one of the group gets each message", func(t *testing.T) {
		done := map[string]string{}
		for _, w := range workers {
			w.nothingAfter(t, func(m message) {
				if who, twice := done[m.payload]; twice {
					t.Errorf("%s went to %s and %s", m.payload, who, w.id)
				}
				done[m.payload] = w.id
			})
		}
		if len(done) != n {
			t.Errorf("%d of %d messages arrived", len(done), n)
		}
	})
	t.Run("4.8.2 others get all", func(t *testing.T) {
		for i := range n {
			all.expect(t, message{topic: "jobs/next", payload: strconv.Itoa(i), qos: 1})
		}
	})
	t.Run("4.8.2 who remains gets all", func(t *testing.T) {
		workers[0].leave(t, b)
		if err := pub.link.stream("jobs/more", n, 1); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			workers[1].expect(t, message{topic: "jobs/more", payload: strconv.Itoa(i), qos: 1})
		}
	})
}

func TestDisconnectWithWill(t *testing.T) {
	const withWill = 0x04
	b := start(t)
	watch, _ := client5(t, b, "watch")
	watch.mustSubscribe(t, "status", 1)
	user := paho.UserProperties{{Key: "why", Value: "asked"}, {Key: "at", Value: "noon"}, {Key: "why", Value: "again"}}
	_, c := connect5(t, b, &paho.Connect{ClientID: "device", CleanStart: true, KeepAlive: 30,
		WillMessage: &paho.WillMessage{Topic: "status", Payload: []byte("offline"), QoS: 1},
		// Of the properties of a will, this client sends only these.
		WillProperties: &paho.WillProperties{User: user},
	}, false)
	if err := c.Disconnect(&paho.Disconnect{ReasonCode: withWill}); err != nil {
		t.Fatal(err)
	}
	got := watch.expect(t, message{topic: "status", payload: "offline", qos: 1}).properties
	if got == nil || !slices.Equal(got.User, user) {
		t.Errorf("MQTT-3.1.3-10 the will came with %+v, want User Properties %v", got, user)
	}
}
