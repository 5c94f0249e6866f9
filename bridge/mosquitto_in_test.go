package bridge_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge"
	"github.com/dunlin-mqtt/dunlin/bridge/bridgetest"
	"github.com/dunlin-mqtt/dunlin/bridge/cloudtest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// commanding starts a bridge with in routes alone and waits until it is up.
func commanding(t *testing.T, url, id string, v mqtt.Version, in ...bridge.Route) (*bridge.Bridge, chan mqtt.Message) {
	t.Helper()
	local := &bridge.TestLocal{Messages: make(chan mqtt.Message, 1000)}
	up := make(chan struct{}, 1)
	b, _ := running(t, bridge.Options{
		Name: id, Servers: []string{url}, ClientID: id, Local: local, Protocol: v, In: in, RetryMax: 100 * time.Millisecond,
		OnEvent: func(e bridge.Event) {
			if e.Kind == bridge.EventUp {
				select {
				case up <- struct{}{}:
				default:
				}
			}
		},
	})
	select {
	case <-up:
	case <-time.After(patience):
		t.Fatalf("%s is not up: %+v", id, b.Stats())
	}
	return b, local.Messages
}

// Of bridges that share an in route each message comes down one.
func TestMosquittoShared(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V5, mqtt.V311} {
		t.Run("MQTT-3.8.3-4 MQTT "+v.String(), func(t *testing.T) {
			m := bridgetest.Mosquitto(t)
			jobs := bridge.Route{From: "site/jobs/#", To: "jobs/#", Share: "gateways"}
			one := mqtt.AtLeastOnce
			jobs.QoS = &one
			_, left := commanding(t, m.URL(), "left", v, jobs)
			_, right := commanding(t, m.URL(), "right", v, jobs)
			q := bridge.NewTestQueue(t)
			running(t, bridge.Options{
				Name: "boss", Servers: []string{m.URL()}, ClientID: "boss", Out: []bridge.Route{{From: "site/#"}}, Queues: [bridge.LaneCount]bridge.Queue{q},
			})
			const jobsCount = 60
			for i := range jobsCount {
				q.Add(mqtt.Message{Topic: "site/jobs/a", Payload: []byte(fmt.Sprint(i)), QoS: 1})
			}
			q.WaitEmpty(t, patience)
			times := map[string]int{}
			var byLeft, byRight int
			for range jobsCount {
				var got mqtt.Message
				select {
				case got = <-left:
					byLeft++
				case got = <-right:
					byRight++
				case <-time.After(patience):
					t.Fatalf("%d jobs came", len(times))
				}
				if times[string(got.Payload)]++; got.Topic != "jobs/a" || times[string(got.Payload)] > 1 {
					t.Errorf("%s: %s, for the %d. time", got.Topic, got.Payload, times[string(got.Payload)])
				}
			}
			if byLeft == 0 || byRight == 0 {
				t.Errorf("%d went left, %d right", byLeft, byRight)
			}
		})
	}
}

// A message that two routes match is published once, although the server sends it
// once for each.
func TestMosquittoOverlap(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V5, mqtt.V311} {
		t.Run("MQTT-3.3.4-5 MQTT "+v.String(), func(t *testing.T) {
			m := bridgetest.Mosquitto(t)
			one := mqtt.AtLeastOnce
			_, came := commanding(t, m.URL(), "gw", v, bridge.Route{From: "site/+/on", To: "on/+", QoS: &one},
				bridge.Route{From: "site/lamp/+", To: "lamp/+", QoS: &one}, bridge.Route{From: "site/end", QoS: &one})
			q := bridge.NewTestQueue(t)
			running(t, bridge.Options{
				Name: "boss", Servers: []string{m.URL()}, ClientID: "boss", Out: []bridge.Route{{From: "site/#"}}, Queues: [bridge.LaneCount]bridge.Queue{q},
			})
			if !cloudtest.WaitFor(patience, func() bool { // the last of the routes is subscribed to
				q.Add(mqtt.Message{Topic: "site/end", Payload: []byte("not yet"), QoS: 1})
				return len(came) > 0
			}) {
				t.Fatal("nothing comes")
			}
			const times = 60
			for range times {
				q.Add(mqtt.Message{Topic: "site/lamp/on", Payload: []byte("toggle"), QoS: 1})
			}
			q.Add(mqtt.Message{Topic: "site/end", QoS: 1})
			got := map[string]int{}
			for ended := false; !ended; {
				select {
				case m := <-came:
					if got[m.Topic]++; m.Topic == "site/end" && len(m.Payload) == 0 {
						ended = true
					}
				case <-time.After(patience):
					t.Fatalf("came: %v", got)
				}
			}
			if got["on/lamp"] != times || len(got) != 2 {
				t.Errorf("came: %v, not %d of on/lamp", got, times)
			}
		})
	}
}

// A message that is too large to take does not keep the link from everything
// else, though a server of 3.1.1 cannot be told how large it may be.
func TestMosquittoHuge(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V5, mqtt.V311, mqtt.V31} {
		t.Run("MQTT "+v.String(), func(t *testing.T) {
			m := bridgetest.Mosquitto(t)
			b, came := commanding(t, m.URL(), "gw", v, bridge.Route{From: "site/cmd/#", To: "cmd/#"})
			q := bridge.NewTestQueue(t)
			running(t, bridge.Options{
				Name: "boss", Servers: []string{m.URL()}, ClientID: "boss", Out: []bridge.Route{{From: "site/#"}}, Queues: [bridge.LaneCount]bridge.Queue{q},
				InFlightBytes: 8 << 20,
			})
			for i := range 6 {
				q.Add(mqtt.Message{Topic: "site/cmd/huge", Payload: make([]byte, 300<<10), QoS: 1, Retain: true})
				q.Add(mqtt.Message{Topic: "site/cmd/a", Payload: []byte(fmt.Sprint(i)), QoS: 1})
			}
			got := map[string]bool{}
			for len(got) < 6 {
				select {
				case m := <-came:
					if m.Topic != "cmd/a" {
						t.Errorf("%s: %d bytes", m.Topic, len(m.Payload))
					}
					got[string(m.Payload)] = true
				case <-time.After(patience):
					t.Fatalf("%d messages come: %+v", len(got), b.Stats())
				}
			}
			// Some servers of 5.0 leave them out, as they are told to.
			if !cloudtest.WaitFor(patience, func() bool { return b.Stats().Rejected == 6 || v == mqtt.V5 }) || b.Stats().Connects != 1 {
				t.Errorf("%+v", b.Stats())
			}
		})
	}
}
