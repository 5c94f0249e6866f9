package broker_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
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

// A session of a user of one listener's own users file is that user's after a
// restart, too.
func TestOwnUsersKeepTheirSessions(t *testing.T) {
	hash, err := broker.HashForMosquitto([]byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	users := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(users, []byte("alice:"+hash+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	auth, err := broker.NewAuth(broker.AuthOptions{Listeners: map[string]broker.AuthListener{"memory": {UsersFile: users}}})
	if err != nil {
		t.Fatal(err)
	}
	own := func(o *broker.Options) { o.Auth, o.Listeners[0].OwnUsers = auth, true }
	dir := t.TempDir()
	b := brokertest.New(t, onDisk(dir), own)
	c := b.Client(mqtt.V5)
	c.Connect("cid=c user=alice pass=a se=1000")
	b.Stop()
	b = brokertest.New(t, onDisk(dir), own)
	c = b.Client(mqtt.V5)
	c.Connect("cid=c clean=0 user=alice pass=a se=1000 sp=1")
}

// Who comes through a proxy on this machine is not on this machine.
func TestClientsBehindALocalProxyAreOfTheNetwork(t *testing.T) {
	proxied, err := broker.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b, dial := dialTCP(t, func(o *broker.Options) {
		o.Listeners = append(o.Listeners, broker.ListenerOptions{Name: "proxied", Listener: proxied, Proxied: true})
	})
	local := dial(mqtt.V5)
	local.Connect("cid=c se=1000")
	nc, err := new(net.Dialer).DialContext(t.Context(), "tcp", proxied.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := brokertest.NewClient(t, nc, mqtt.V5)
	c.Send("CONNECT cid=c")
	c.Expect("CONNACK rc=0x85 ...")
	m := b.Client(mqtt.V5) // a listener in memory is no local one either
	m.Send("CONNECT cid=c")
	m.Expect("CONNACK rc=0x85 ...")
}
