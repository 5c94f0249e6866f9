//go:build linux

package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge/cloudtest"
	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// After an outage in which the gateway was started anew, the server upstream
// holds the retained messages that are held here, however little of them was
// kept; and after it has lost them with the session, it has them again.
func TestRetainedIsTheSameUpstream(t *testing.T) {
	cloud, address := upstreamCloud(t)
	text := fmt.Sprintf(`
node: sides
data_dir: %s
mqtt: {listeners: [{bind: "127.0.0.1:0", anonymous: true}]}
bridges:
  cloud:
    servers: ["mqtt://%s"]
    status_topic: ""
    out:
      - {from: "last/#", while_offline: last-value}
      - {from: "mean/#", while_offline: {mean: 1h}}
      - {from: "tenth/#", while_offline: {every: 10}}
      - {from: "all/#"}
      - {from: "both/#"}
    in: [{from: "both/#"}]
`, t.TempDir(), address)
	const quick = 100 * time.Millisecond
	_, g, stop := startGateway(t, text, deps{retryMax: quick})
	held := func() map[string]string {
		all := map[string]string{}
		for _, m := range cloud.Messages() {
			if r, ok := cloud.Retained(m.Topic); ok {
				all[m.Topic] = string(r.Payload)
			}
		}
		return all
	}
	publish := func(m mqtt.Message) {
		t.Helper()
		c, err := g.broker.Attach(broker.ClientOptions{ID: "tester"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	retain := func(topic, payload string) {
		t.Helper()
		publish(mqtt.Message{Topic: topic, Payload: []byte(payload), QoS: 1, Retain: true})
	}
	until := func(what string, want map[string]string) {
		t.Helper()
		if !cloudtest.WaitFor(time.Minute, func() bool { return fmt.Sprint(held()) == fmt.Sprint(want) }) {
			t.Fatalf("%s: upstream holds %v, not %v", what, held(), want)
		}
	}
	topics := []string{"last/a", "mean/a", "tenth/a", "all/kept", "all/gone", "all/ends"}
	first := map[string]string{}
	for _, name := range topics {
		retain(name, "1")
		first[name] = "1"
	}
	until("before", first)

	cloud.Set(func(f *cloudtest.Faults) { f.Refuse = true })
	cloud.Kill()
	if !cloudtest.WaitFor(time.Minute, func() bool { return g.bridges[0].Stats().Class != "" }) {
		t.Fatal("the link is up")
	}
	ends := time.Now().Add(quick)
	publish(mqtt.Message{Topic: "all/ends", Payload: []byte("2"), QoS: 1, Retain: true, Expires: ends})
	retain("all/gone", "")
	for _, name := range []string{"last/a", "mean/a", "tenth/a"} {
		retain(name, "2")
		retain(name, "6")
		publish(mqtt.Message{Topic: name, Payload: []byte("10"), QoS: 1})
	}
	cloudtest.WaitFor(time.Minute, func() bool { return time.Now().After(ends) })
	stop()
	_, g, _ = startGateway(t, text, deps{retryMax: quick})
	cloud.Set(func(f *cloudtest.Faults) { f.Refuse = false })
	after := map[string]string{"last/a": "6", "mean/a": "6", "tenth/a": "6", "all/kept": "1"}
	until("after the outage", after)

	if !cloudtest.WaitFor(time.Minute, func() bool { return len(cloud.Filters("sides")) > 0 }) {
		t.Fatal("nothing is subscribed to")
	}
	retain("both/theirs", "older")
	after["both/theirs"] = "older"
	until("both", after)
	cloud.Set(func(f *cloudtest.Faults) { f.SessionLost = true })
	for name := range after {
		cloud.Publish(mqtt.Message{Topic: name, Retain: true})
	}
	cloud.Publish(mqtt.Message{Topic: "both/theirs", Payload: []byte("newer"), Retain: true})
	after["both/theirs"] = "newer"
	cloud.Kill()
	until("after the session was lost", after)
}

// What changed upstream while the gateway was away is known here, also of QoS 0,
// which no session keeps; what did not change is not published again.
func TestRetainedComesDownAfterAnOutage(t *testing.T) {
	for _, version := range []string{"5", "3.1.1"} {
		t.Run(version, func(t *testing.T) {
			far := upstream(t)
			text := fmt.Sprintf(`
node: sides
data_dir: %s
mqtt: {listeners: [{bind: "127.0.0.1:0", anonymous: true}]}
bridges: {far: {servers: [%q], protocol: %q, status_topic: "", in: [{from: "cmd/#"}]}}
`, t.TempDir(), far.URL(), version)
			tell := func(args ...string) {
				t.Helper()
				if r := mosquitto(t, "pub", "", append(append(port(far), "-r", "-t"), args...)...); r.code != 0 {
					t.Fatal(r.err)
				}
			}
			_, g, stop := startGateway(t, text, deps{})
			until := func(want map[string]string) {
				t.Helper()
				held := map[string]string{}
				if !cloudtest.WaitFor(time.Minute, func() bool {
					clear(held)
					all, _ := g.broker.Retained("cmd/#")
					for _, m := range all {
						held[m.Topic] = string(m.Payload)
					}
					return fmt.Sprint(held) == fmt.Sprint(want)
				}) {
					t.Fatalf("%v is held, not %v", held, want)
				}
			}
			for _, name := range []string{"cmd/same", "cmd/other", "cmd/gone"} {
				tell(name, "-m", "1")
			}
			until(map[string]string{"cmd/same": "1", "cmd/other": "1", "cmd/gone": "1"})
			stop()
			tell("cmd/other", "-m", "2")
			tell("cmd/new", "-m", "1")
			tell("cmd/gone", "-q", "1", "-n")
			_, g, _ = startGateway(t, text, deps{})
			until(map[string]string{"cmd/same": "1", "cmd/other": "2", "cmd/new": "1"})
			if !cloudtest.WaitFor(time.Minute, func() bool { // a message is counted behind its publishing
				s := g.bridges[0].Stats()
				return s.Duplicate == 1 && s.Received == 3
			}) {
				t.Errorf("%+v", g.bridges[0].Stats())
			}
		})
	}
}
