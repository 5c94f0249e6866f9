package broker_test

import (
	"context"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// endHow ends a process in one of two ways, and returns the data directory that
// it leaves.
var endHow = map[string]func(*testing.T, *brokertest.Broker, string) string{
	"stopped": func(_ *testing.T, b *brokertest.Broker, dir string) string { b.Stop(); return dir },
	"killed": func(t *testing.T, b *brokertest.Broker, dir string) string {
		p := attach(t, b, broker.ClientOptions{ID: "p"})
		publish(t, p, mqtt.Message{Topic: "x", QoS: 1, Retain: true, Payload: []byte("1")}) // a commit
		dir = kill(t, dir)
		b.Stop()
		return dir
	},
}

// A will with a delay waits over a restart: most clients are back at once.
func TestWillDelayOutlivesTheProcess(t *testing.T) {
	for how, end := range endHow {
		t.Run("MQTT-3.1.3-9 "+how, func(t *testing.T) {
			dir := t.TempDir()
			b := brokertest.New(t, onDisk(dir))
			for _, connect := range []string{
				"cid=back se=1000 will=w/back:lost wretain=1 wd=600",
				"cid=away se=1000 will=w/away:lost wretain=1 wd=1",
				"cid=none will=w/none:lost wretain=1 wd=600", // the session ends with the connection
			} {
				c := b.Client(mqtt.V5)
				c.Connect(connect)
			}
			b = brokertest.New(t, onDisk(end(t, b, dir)))
			c := attach(t, b, broker.ClientOptions{ID: "c"})
			if err := c.Subscribe(t.Context(), mqtt.Subscription{Filter: "w/#", QoS: 1}); err != nil {
				t.Fatal(err)
			}
			back := b.Client(mqtt.V5)
			back.Connect("cid=back clean=0 se=1000 sp=1")
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			got := map[string]bool{}
			for !got["w/away"] || !got["w/none"] {
				m, err := c.Next(ctx)
				if err != nil {
					t.Fatalf("only %v: %v", got, err)
				}
				got[m.Topic] = true
			}
			if got["w/back"] {
				t.Error("the will of a client that is back was published")
			}
		})
	}
}

// A will is published by the rights of the day, also the one of a process that
// is no more.
func TestWillsOfTheKilledAreJudged(t *testing.T) {
	for _, wait := range []string{"", " se=1000 wd=1"} {
		t.Run("will"+wait, func(t *testing.T) {
			dir := t.TempDir()
			auth := &brokertest.Auth{Users: map[string]string{"alice": "a", "bob": "b"}}
			with := func(o *broker.Options) { o.Auth = auth }
			b := brokertest.New(t, onDisk(dir), with)
			for _, user := range []string{"alice", "bob"} {
				c := b.Client(mqtt.V5)
				c.Connect("cid=" + user + " user=" + user + " pass=" + user[:1] + " will=w/" + user + ":lost wretain=1" + wait)
			}
			dir = endHow["killed"](t, b, dir)
			auth.May = func(a *broker.Access) broker.Decision {
				if a.Action == broker.Publish && a.Identity.User == "alice" && a.ClientID == "alice" && a.Listener == "memory" {
					return broker.Decision{Code: mqtt.NotAuthorized}
				}
				return broker.Decision{MaxQoS: mqtt.ExactlyOnce}
			}
			b = brokertest.New(t, onDisk(dir), with)
			c := attach(t, b, broker.ClientOptions{ID: "c"})
			if err := c.Subscribe(t.Context(), mqtt.Subscription{Filter: "w/#", QoS: 1}); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if m, err := c.Next(ctx); err != nil || m.Topic != "w/bob" {
				t.Errorf("%s was published, %v", m.Topic, err)
			}
			for b.Stats().WillsRefused == 0 && ctx.Err() == nil {
				time.Sleep(time.Millisecond)
			}
			if n := b.Stats().WillsRefused; n != 1 {
				t.Errorf("%d wills were refused", n)
			}
		})
	}
}
