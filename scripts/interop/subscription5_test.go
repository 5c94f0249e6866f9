package interop

import (
	"slices"
	"strconv"
	"testing"

	"github.com/eclipse/paho.golang/paho"
)

func TestSubscriptionIdentifier(t *testing.T) {
	each5(t, func(t *testing.T, b *broker, v client) {
		sub := v.dial(t, b, dialOptions{id: "subscriber"})
		pub := v.dial(t, b, dialOptions{id: "publisher"})
		filters := map[string]int{"one/#": 1, "two/+": 268435455, "none": 0}
		for filter, id := range filters {
			sub.mustSubscribeWith(t, subscription{filter: filter, qos: 1, identifier: id})
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
			sub.mustSubscribeWith(t, subscription{filter: "one/#", identifier: 7})
			pub.mustPublish(t, message{topic: "one/c", payload: "x", qos: 1})
			if got := identifier(sub.expect(t, message{topic: "one/c", payload: "x"})); got != 7 {
				t.Errorf("Subscription Identifier %d, want 7", got)
			}
			sub.nothing(t)
		})
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
	each5(t, func(t *testing.T, b *broker, v client) {
		self := v.dial(t, b, dialOptions{id: "self"})
		other := v.dial(t, b, dialOptions{id: "other"})
		self.mustSubscribeWith(t, subscription{filter: "room/+", qos: 1, noLocal: true})
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
	})
}

func TestRetainAsPublished(t *testing.T) {
	each5(t, func(t *testing.T, b *broker, v client) {
		sub := v.dial(t, b, dialOptions{id: "subscriber"})
		sub.mustSubscribeWith(t, subscription{filter: "kept", qos: 1, retainAsPublished: true})
		for _, retain := range []bool{true, false} {
			t.Run("MQTT-3.3.1-13 RETAIN "+strconv.FormatBool(retain), func(t *testing.T) {
				m := message{topic: "kept", payload: "x", qos: 1, retain: retain}
				sub.mustPublish(t, m)
				sub.expect(t, m)
			})
		}
	})
}

func TestRetainHandling(t *testing.T) {
	each5(t, func(t *testing.T, b *broker, v client) {
		pub := v.dial(t, b, dialOptions{id: "publisher"})
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
				sub := v.dial(t, b, dialOptions{id: "subscriber"})
				defer sub.disconnect()
				for _, comes := range []bool{c.first, c.second} {
					sub.mustSubscribeWith(t, subscription{filter: "kept", qos: 1, retainHandling: c.handling})
					if comes {
						sub.expect(t, m)
					}
					sub.nothing(t)
				}
			})
		}
	})
}

func TestSharedSubscription(t *testing.T) {
	eachVersion(t, func(t *testing.T, b *broker, v client) {
		const n = 100
		workers := make([]*peer, 2)
		for i := range workers {
			workers[i] = v.dial(t, b, dialOptions{id: "worker-" + strconv.Itoa(i)})
			workers[i].mustSubscribe(t, "$share/crew/jobs/#", 1)
		}
		all := v.dial(t, b, dialOptions{id: "all"})
		all.mustSubscribe(t, "jobs/#", 1)
		pub := v.dial(t, b, dialOptions{id: "publisher"})
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
	})
}

func TestDisconnectWithWill(t *testing.T) {
	const withWill = 0x04
	b := start(t)
	watch := dial50(t, b, dialOptions{id: "watch"})
	watch.mustSubscribe(t, "status", 1)
	user := paho.UserProperties{{Key: "why", Value: "asked"}, {Key: "at", Value: "noon"}, {Key: "why", Value: "again"}}
	_, c := connect5(t, b, &paho.Connect{ClientID: "device", CleanStart: true, KeepAlive: 30,
		WillMessage: &paho.WillMessage{Topic: "status", Payload: []byte("offline"), QoS: 1},
		// Of the properties of a will, this client sends only these.
		WillProperties: &paho.WillProperties{User: user},
	}, dialOptions{})
	if err := c.Disconnect(&paho.Disconnect{ReasonCode: withWill}); err != nil {
		t.Fatal(err)
	}
	got := watch.expect(t, message{topic: "status", payload: "offline", qos: 1}).properties
	if got == nil || !slices.Equal(got.User, user) {
		t.Errorf("MQTT-3.1.3-10 the will came with %+v, want User Properties %v", got, user)
	}
}
