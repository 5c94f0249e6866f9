package bridge

import (
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

func TestOwed(t *testing.T) {
	bubble(t, "topics whose retained message may be lost are sent again, but for those sent since and those not retained upstream", func(t *testing.T) {
		r := start(t, newServer(t, always(plan{})), func(o *Options) {
			o.Out = append([]Route{{From: "out/plain", Retain: StripRetain}}, o.Out...)
		})
		after(time.Second)
		r.Pause()
		r.q.retained = map[string]mqtt.Message{}
		for _, name := range []string{"out/lost", "out/since", "out/plain"} {
			m := mqtt.Message{Topic: name, Payload: []byte("now"), QoS: 1, Retain: true}
			r.q.retained[name] = m
			if seq := r.q.add(m); name != "out/since" {
				if err := r.q.Drop(t.Context(), seq, mqtt.DropFull); err != nil {
					t.Fatal(err)
				}
			}
		}
		r.s.kill() // the next connection looks what is missing
		after(time.Minute)
		r.Resume()
		after(time.Minute)
		want(t, "sent", r.s.topics(), "[up/since up/lost]")
		r.put("out/a", "more", 1)
		after(time.Minute)
		want(t, "nothing twice", r.s.topics(), "[up/since up/lost up/a]")
	})
	bubble(t, "a server that lost the session gets what is retained, but for what it may know better", func(t *testing.T) {
		s := newServer(t, func(n int) plan { return plan{forget: n > 1} })
		r := start(t, s, func(o *Options) {
			o.In = []Route{{From: "down/#", To: "out/both/#"}}
		})
		r.q.retained = map[string]mqtt.Message{}
		for _, name := range []string{"out/a", "out/both/a"} {
			r.q.retained[name] = mqtt.Message{Topic: name, Payload: []byte("now"), QoS: 1, Retain: true}
		}
		after(time.Minute)
		want(t, "to a new one", r.s.topics(), "[up/a]")
		r.s.kill()
		after(time.Minute)
		want(t, "again", r.s.topics(), "[up/a up/a]")
	})
	bubble(t, "a message that a newer one replaced owes nothing", func(t *testing.T) {
		r := start(t, newServer(t, always(plan{})))
		after(time.Second)
		r.q.retained = map[string]mqtt.Message{"out/a": {Topic: "out/a", QoS: 1, Retain: true}}
		r.Pause()
		if err := r.q.Drop(t.Context(), r.q.add(mqtt.Message{Topic: "out/a", QoS: 1}), mqtt.DropReplaced); err != nil {
			t.Fatal(err)
		}
		r.Resume()
		after(time.Minute)
		want(t, "sent", r.s.topics(), "[]")
	})
}

func (s *fakeServer) topics() []string {
	all := []string{}
	for _, p := range s.publishes() {
		all = append(all, p.topic)
	}
	return all
}
