package bridge

import (
	"fmt"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge/cloudtest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

func TestB22StormStopsOneRoute(t *testing.T) {
	s := newStorm(2)
	now := start2026
	for i := range 5 * stormLimit {
		payload := []byte(fmt.Sprint(i % 50))
		s.up("up/a", payload)
		now = now.Add(10 * time.Millisecond)
		refuse, stops := s.down(now, 0, "up/a", payload)
		if refuse != (i >= stormLimit-1) || stops != (i == stormLimit-1) {
			t.Fatalf("message %d: %v %v", i, refuse, stops)
		}
		if refuse, _ := s.down(now, 1, "cmd/a", payload); refuse {
			t.Fatal("another route is stopped")
		}
	}
	want(t, "stopped", s.stops(), 1)
	now = now.Add(stormStop)
	if refuse, _ := s.down(now, 0, "up/a", []byte("0")); refuse {
		t.Error("the route stays stopped")
	}
	// Echoes that are rare are no loop: a device answers its command.
	for range 5 * stormLimit {
		now = now.Add(time.Second)
		s.up("up/a", []byte("x"))
		if refuse, _ := s.down(now, 0, "up/a", []byte("x")); refuse {
			t.Fatal("rare echoes stop the route")
		}
	}
}

// Two bridges over a server of 3.1.1 that echoes everything, both ways "#".
func TestB22LoopBefore5IsStopped(t *testing.T) {
	bubble(t, "and the gateway says so", func(t *testing.T) {
		var storms []Event
		// Without the bridge bit it sends back what was published.
		r := cloud(t, cloudtest.Options{Limits: cloudtest.Limits{NoBridgeBit: true}}, speaking(mqtt.V311), func(o *Options) {
			o.Out, o.In = []Route{{From: "loop/#"}}, []Route{{From: "loop/#"}}
			o.OnEvent = func(e Event) {
				if e.Kind == EventStorm {
					storms = append(storms, e)
				}
			}
		})
		r.local.then = func(m mqtt.Message) { m.Publisher = "foreign"; r.q.add(m) } // a broker that knows nothing of us
		after(time.Minute)
		r.put("loop/a", "x", 1)
		after(30 * time.Second)
		if n := len(r.c.Seen()); n < stormLimit || n > 2*stormLimit {
			t.Errorf("%d messages went round", n)
		}
		if len(storms) != 1 || storms[0].Reason != "loop/#" || r.Stats().Storms != 1 {
			t.Errorf("events %+v, stats %d", storms, r.Stats().Storms)
		}
		r.stop()
	})
}

// D11: both sides hold the same retained messages after an outage, whatever was
// left out of the queue.
func TestRetainedIsTheSameAfterAnOutage(t *testing.T) {
	bubble(t, "the last value and the deletion arrive", func(t *testing.T) {
		routes := []Route{{From: "out/#", To: "up/#", Keep: Keep{What: KeepNone}}}
		in, err := NewIntake(Live, routes)
		if err != nil {
			t.Fatal(err)
		}
		srv := newServer(t, func(n int) plan { return plan{connack: map[bool]mqtt.ReasonCode{true: mqtt.ServerBusy}[n <= 3]} })
		r := start(t, srv, func(o *Options) { o.Out, o.Intakes[Live] = routes, in })
		publish := func(topic, payload string) {
			m := mqtt.Message{Topic: topic, Payload: []byte(payload), QoS: 1, Retain: true}
			r.q.retain(m)
			if keep, _ := in.Admit(time.Now(), &m); keep != nil {
				in.Queued(r.q.add(*keep), false)
			}
		}
		publish("out/a", "1")
		publish("out/a", "2")
		publish("out/b", "1")
		publish("out/b", "")
		want(t, "queued while down: what deletes", r.q.Stats().Messages, 1)
		after(time.Minute)
		upstream := map[string]string{"up/b": "of an earlier day"}
		for _, p := range srv.publishes() {
			if upstream[p.topic] = p.payload; !p.retain {
				t.Errorf("%+v is not retained", p)
			} else if p.payload == "" {
				delete(upstream, p.topic)
			}
		}
		want(t, "upstream", upstream, map[string]string{"up/a": "2"})
	})
}
