package bridge

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

func TestTopicAliases(t *testing.T) {
	announces := func(n uint16) packet.Properties {
		return packet.Properties{Has: packet.HasTopicAliasMaximum, TopicAliasMaximum: n}
	}
	bubble(t, "MQTT-3.3.2-9 what comes often has one, on each connection anew, and every message its topic", func(t *testing.T) {
		kills := 0
		s := newServer(t, always(plan{props: announces(3), publish: func(n int, _ *packet.View) verdict {
			if n == 150 {
				kills++
				return verdict{kill: true}
			}
			return verdict{code: map[bool]mqtt.ReasonCode{true: mqtt.QuotaExceeded}[n == 40]}
		}}))
		r := start(t, s)
		var expected []string
		for i := range 400 {
			topic := fmt.Sprint("out/seldom/", i)
			if i%2 > 0 {
				topic = fmt.Sprint("out/often/", i%5)
			}
			expected = append(expected, fmt.Sprint("up", topic[3:], " ", i))
			r.put(topic, fmt.Sprint(i), mqtt.QoS(1+i/2%2)) // of QoS 0 a kill may take some
		}
		after(time.Hour)
		arrived := map[string]bool{}
		for _, p := range s.publishes() {
			arrived[p.topic+" "+p.payload] = true
		}
		for _, e := range expected {
			if !arrived[e] {
				t.Errorf("%s did not arrive", e)
			}
		}
		if len(arrived) != len(expected) || kills == 0 {
			t.Errorf("%d different messages, not %d; %d kills", len(arrived), len(expected), kills)
		}
	})
	bubble(t, "MQTT-3.2.2-18 a server that announces none gets none", func(t *testing.T) {
		r := start(t, newServer(t, always(plan{})))
		for i := range 5 * aliasMisses {
			r.put(fmt.Sprint("out/a/long/topic/", i), "1", 1)
		}
		after(time.Minute)
		want(t, "arrived", len(r.s.publishes()), 5*aliasMisses)
		want(t, "connects", r.Stats().Connects, 1)
	})
}

func TestAliasesGoToWhatComesOften(t *testing.T) {
	a := aliases{most: 2}
	given := 0
	send := func(topic string) bool {
		n, known := a.of(topic)
		if a.used(); n > 0 && !known {
			given++
		}
		return known
	}
	for i := range 100 {
		send(fmt.Sprint("seldom/", i))
	}
	want(t, "aliases given to topics that come once", given, 2+98/aliasMisses)
	a.of("never/sent") // it was too large
	known := 0
	for range 100 {
		if send("often/a") {
			known++
		}
	}
	if known < 100-2*aliasMisses || slices.Contains(a.topics, "never/sent") || len(a.numbers) != 2 {
		t.Errorf("known %d times of 100; %q", known, a.topics)
	}
	if n, _ := a.of("short"); n != 0 {
		t.Error("an alias longer than its topic")
	}
}
