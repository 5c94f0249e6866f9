package bridge

import (
	"fmt"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

func TestOwed(t *testing.T) {
	bubble(t, "topics whose retained message may be lost are sent again, but for those sent since and those not retained upstream", func(t *testing.T) {
		r := start(t, newServer(t, always(plan{})), func(o *Options) {
			o.Out = append([]Route{{From: "out/plain", Retain: StripRetain}}, o.Out...)
		})
		after(time.Second)
		r.Pause()
		for _, name := range []string{"out/lost", "out/since", "out/plain"} {
			m := mqtt.Message{Topic: name, Payload: []byte("now"), QoS: 1, Retain: true}
			r.q.retain(m)
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
			for _, name := range []string{"out/a", "out/both/a"} { // before the first connection, which looks
				o.Queues[Live].(*fakeQueue).retain(mqtt.Message{Topic: name, Payload: []byte("now"), QoS: 1, Retain: true})
			}
		})
		after(time.Minute)
		want(t, "to a new one", r.s.topics(), "[up/a]")
		r.s.kill()
		after(time.Minute)
		want(t, "again", r.s.topics(), "[up/a up/a]")
	})
	bubble(t, "what was given up is not sent again because it is retained", func(t *testing.T) {
		s := newServer(t, always(plan{forget: true, publish: func(_ int, p *packet.View) verdict {
			return map[string]verdict{"up/refused": {code: mqtt.NotAuthorized}, "up/closes": {kill: true}}[string(p.Publish.Topic)]
		}}))
		r := start(t, s, withDead(t), func(o *Options) {
			o.Out = append([]Route{{From: "out/large", To: "up/large", MaxSize: 2}}, o.Out...)
		})
		for _, name := range []string{"out/refused", "out/closes", "out/large", "out/good"} {
			m := mqtt.Message{Topic: name, Payload: []byte("now"), QoS: 1, Retain: true}
			r.q.retain(m)
			r.q.add(m)
		}
		after(time.Hour)
		for range 3 {
			r.s.kill()
			after(10 * time.Minute)
		}
		want(t, "dead", r.Stats().Dead, 3)
		want(t, "state", r.Stats().State, Up)
		r.q.add(mqtt.Message{Topic: "out/large", Payload: []byte("ok"), QoS: 1, Retain: true})
		after(time.Minute)
		r.q.retain(mqtt.Message{Topic: "out/large", Payload: []byte("ok"), QoS: 1, Retain: true})
		r.s.kill()
		after(10 * time.Minute)
		n := 0
		for _, topic := range r.s.topics() {
			if topic == "up/large" {
				n++
			}
		}
		want(t, "sent once it is better, and again", n, 2)
	})
	bubble(t, "what is sent after a newer message was given up is not taken for it", func(t *testing.T) {
		var held *mqtt.Message
		r := start(t, newServer(t, always(plan{})), func(o *Options) {
			o.Held = func(string) *mqtt.Message { return held }
		})
		after(time.Second)
		for _, lost := range []bool{false, true} {
			r.Pause()
			held = &mqtt.Message{Topic: "out/a", Payload: []byte("old"), QoS: 1, Retain: true}
			r.q.retain(*held)
			r.q.add(*held)
			if lost {
				held = &mqtt.Message{Topic: "out/a", Payload: []byte("new"), QoS: 1, Retain: true}
				r.q.retain(*held)
			}
			if err := r.q.Drop(t.Context(), r.q.add(*held), mqtt.DropSampled); err != nil {
				t.Fatal(err)
			}
			r.s.kill() // the next connection looks what is missing
			after(time.Minute)
			r.Resume()
			after(time.Minute)
		}
		all := []string{}
		for _, p := range r.s.publishes() {
			all = append(all, p.payload)
		}
		want(t, "sent", all, "[old old new]")
	})
	for _, crowded := range []bool{false, true} {
		bubble(t, fmt.Sprintf("a process that begins with what waits owes what the one before may have given up: %v", crowded), func(t *testing.T) {
			held := map[string]*mqtt.Message{}
			r := start(t, newServer(t, always(plan{present: true})), func(o *Options) {
				o.Crowded[Live] = crowded
				o.Held = func(topic string) *mqtt.Message { return held[topic] }
				q := o.Queues[Live].(*fakeQueue)
				for _, name := range []string{"out/lost", "out/waits"} {
					held[name] = &mqtt.Message{Topic: name, Payload: []byte("now"), QoS: 1, Retain: true}
					q.retain(*held[name])
				}
				q.add(*held["out/waits"])
			})
			after(time.Minute)
			want(t, "sent", r.s.topics(), map[bool]string{false: "[up/waits]", true: "[up/waits up/lost]"}[crowded])
		})
	}
	bubble(t, "a message that a newer one replaced owes nothing", func(t *testing.T) {
		r := start(t, newServer(t, always(plan{})))
		after(time.Second)
		r.q.retain(mqtt.Message{Topic: "out/a", Payload: []byte("now"), QoS: 1, Retain: true})
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
