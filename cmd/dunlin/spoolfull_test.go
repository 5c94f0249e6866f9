//go:build linux

package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge/cloudtest"
	"github.com/dunlin-mqtt/dunlin/bridge/freeport"
	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// A spool that is full gives up its oldest entries, bounded in bytes, and
// counts them; alarms have room of their own. What is left arrives.
func TestB18SpoolFull(t *testing.T) {
	address := freeport.Address(t) // the server upstream is away
	_, g, _ := startGateway(t, fmt.Sprintf(`
node: full
mqtt: {listeners: [{bind: "127.0.0.1:0", anonymous: true}]}
bridges:
  cloud:
    servers: ["mqtt://%s"]
    status_topic: ""
    out: [{from: "log/#", qos: 1}, {from: "alarm/#", lane: alarm}]
    spool: {max_size: 128KiB}
`, address), deps{retryMax: time.Second})
	c, err := g.broker.Attach(broker.ClientOptions{ID: "tester"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	publish := func(topic, payload string) {
		t.Helper()
		if err := c.Publish(t.Context(), mqtt.Message{Topic: topic, Payload: []byte(payload), QoS: 1}); err != nil {
			t.Fatal(err)
		}
	}
	publish("alarm/fire", "!")
	const messages = 1000
	for i := range messages {
		publish("log/a", fmt.Sprintf("%d %s", i, strings.Repeat("x", 500)))
	}
	b := g.bridges[0]
	balanced := func() {
		t.Helper()
		q := b.Stats().Queue
		if q.Accepted != messages+1 || q.Accepted != q.Removed+q.Dropped+uint64(q.Messages) || q.Dropped != q.Drops.Total() {
			t.Fatalf("the accounts do not balance: %+v", q)
		}
	}
	balanced()
	q := b.Stats().Queue
	if q.Bytes > 128<<10 || q.Drops[mqtt.DropFull] == 0 || q.Drops[mqtt.DropFull] != q.Dropped {
		t.Errorf("%d bytes wait, drops %v", q.Bytes, q.Drops)
	}
	cloud := cloudAt(t, address)
	if !cloudtest.WaitFor(time.Minute, func() bool { balanced(); return b.Stats().Queue.Messages == 0 }) {
		t.Fatalf("%+v", b.Stats())
	}
	balanced()
	got := cloud.Messages()
	if len(got) != q.Messages || got[0].Topic != "alarm/fire" || !strings.HasPrefix(string(got[len(got)-1].Payload), "999 ") {
		t.Errorf("%d messages arrived, %d waited; the first is of %s", len(got), q.Messages, got[0].Topic)
	}
	for i, m := range got[1:] {
		if want := fmt.Sprint(messages - len(got) + 1 + i); !strings.HasPrefix(string(m.Payload), want+" ") {
			t.Fatalf("message %d is %.5s, want %s", i, m.Payload, want)
		}
	}
}

// What the last value of a topic is, and that it has none any more, is known
// upstream again after a full spool has lost it; nothing else is sent twice.
func TestRetainedMessagesThatAFullSpoolLostAreSentAgain(t *testing.T) {
	cloud, address := upstreamCloud(t)
	cloud.Set(func(f *cloudtest.Faults) { f.Refuse = true })
	_, g, _ := startGateway(t, fmt.Sprintf(`
node: full
mqtt: {listeners: [{bind: "127.0.0.1:0", anonymous: true}]}
bridges: {cloud: {servers: ["mqtt://%s"], status_topic: "", out: [{from: "log/#"}], spool: {max_size: 128KiB}}}
`, address), deps{retryMax: 100 * time.Millisecond})
	c, err := g.broker.Attach(broker.ClientOptions{ID: "tester"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	publish := func(topic, payload string) {
		t.Helper()
		if err := c.Publish(t.Context(), mqtt.Message{Topic: topic, Payload: []byte(payload), QoS: 1, Retain: topic != "log/bulk"}); err != nil {
			t.Fatal(err)
		}
	}
	for _, topic := range []string{"log/gone", "log/kept"} { // as it was before the outage
		cloud.Publish(mqtt.Message{Topic: topic, Payload: []byte("old"), Retain: true})
	}
	publish("log/gone", "old")
	publish("log/gone", "")
	publish("log/kept", "new")
	for i := range 500 {
		publish("log/bulk", fmt.Sprintf("%d %s", i, strings.Repeat("x", 500)))
	}
	publish("log/late", "there")
	if n := g.bridges[0].Stats().Queue.Drops[mqtt.DropFull]; n < 3 {
		t.Fatalf("only %d messages gave way", n)
	}
	cloud.Set(func(f *cloudtest.Faults) { f.Refuse = false })
	kept := func(topic string) string {
		m, _ := cloud.Retained(topic)
		return string(m.Payload)
	}
	if !cloudtest.WaitFor(time.Minute, func() bool { return kept("log/kept") == "new" && kept("log/gone") == "" }) {
		t.Errorf("upstream log/kept is %q and log/gone %q", kept("log/kept"), kept("log/gone"))
	}
	times := map[string]int{}
	for _, m := range cloud.Messages() {
		times[m.Topic]++
	}
	if times["log/kept"] != 1 || times["log/late"] != 1 || times["log/gone"] != 1 {
		t.Errorf("sent: %v", times)
	}
}
