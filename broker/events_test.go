package broker_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

func TestClientEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, func(o *broker.Options) { o.ClientEvents = true })
		in, err := b.Attach(broker.ClientOptions{ID: "events", CleanStart: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := in.Subscribe(t.Context(), mqtt.Subscription{Filter: "$SYS/dunlin/clients/+/+"}); err != nil {
			t.Fatal(err)
		}
		c := b.Client(mqtt.V5)
		c.Connect(`cid=a/b+c#d% user=alice clean=0 se=60 ka=30`)
		c.Send("SUBSCRIBE id=1 f=t/#@2")
		c.Send("UNSUBSCRIBE id=2 f=t/#")
		c.Send("UNSUBSCRIBE id=3 f=never")
		c.Send("DISCONNECT")
		lost := b.Client(mqtt.V311)
		synctest.Wait()
		lost.Connect("cid=lost")
		lost.Close()
		synctest.Wait()
		wrong := b.Client(mqtt.V31)
		wrong.Connect("cid=wrong")
		wrong.SendBytes([]byte{0, 0})
		synctest.Wait()
		const base = `$SYS/dunlin/clients/`
		const stamp = `{"ts":"2000-01-01T00:00:00.000Z",`
		const alice = stamp + `"client_id":"a/b+c#d%","user":"alice","ip":"pipe","listener":"memory",`
		for _, want := range []string{
			base + `a%2Fb%2Bc%23d%25/connected ` + alice + `"protocol":"5","clean_start":false,"session_present":false,"keep_alive":30,"session_expiry":60}`,
			base + `a%2Fb%2Bc%23d%25/subscribed ` + alice + `"filter":"t/#","qos":2}`,
			base + `a%2Fb%2Bc%23d%25/unsubscribed ` + alice + `"filter":"t/#"}`,
			base + `a%2Fb%2Bc%23d%25/disconnected ` + alice + `"reason":"Normal disconnection","reason_code":0}`,
			base + `lost/connected ` + stamp + `"client_id":"lost","ip":"pipe","listener":"memory","protocol":"3.1.1","clean_start":true,"session_present":false,"keep_alive":0,"session_expiry":0}`,
			base + `lost/disconnected ` + stamp + `"client_id":"lost","ip":"pipe","listener":"memory","reason":"connection lost","reason_code":128}`,
			base + `wrong/connected ` + stamp + `"client_id":"wrong","ip":"pipe","listener":"memory","protocol":"3.1","clean_start":true,"session_present":false,"keep_alive":0,"session_expiry":0}`,
			base + `wrong/disconnected ` + stamp + `"client_id":"wrong","ip":"pipe","listener":"memory","reason":"Malformed Packet","reason_code":129}`,
		} {
			m, err := in.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got := m.Topic + " " + string(m.Payload)
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if m.Retain {
				t.Error("an event is retained")
			}
		}
	})
}

func TestClientEventsAreBoundedInAStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, withSys, func(o *broker.Options) { o.ClientEvents = true })
		in, err := b.Attach(broker.ClientOptions{ID: "events", CleanStart: true, QueueMessages: 5000})
		if err != nil {
			t.Fatal(err)
		}
		if err := in.Subscribe(t.Context(), mqtt.Subscription{Filter: "$SYS/dunlin/clients/#"}); err != nil {
			t.Fatal(err)
		}
		for range 600 {
			c := b.Client(mqtt.V5)
			c.Connect("cid=c")
			c.Close()
			synctest.Wait()
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if s := b.Stats(); s.Waiting != 1000+2 { // and two values of events_dropped
			t.Errorf("%d events, want 1000", s.Waiting-2)
		}
		w := b.Client(mqtt.V5)
		subscribeSys(w)
		if n := sysValues(t, w)["$SYS/dunlin/clients/events_dropped"]; n != "200" {
			t.Errorf("events_dropped = %s, want 200", n)
		}
	})
}

func TestClientEventsAreOffByDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t)
		w := b.Client(mqtt.V5)
		subscribeSys(w)
		c := b.Client(mqtt.V5)
		c.Connect("cid=c")
		if got := sysValues(t, w); len(got) != 0 {
			t.Errorf("received %v", got)
		}
	})
}

func TestClientsAreDescribed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t)
		if _, err := b.Attach(broker.ClientOptions{ID: "gateway", CleanStart: true}); err != nil {
			t.Fatal(err)
		}
		c := b.Client(mqtt.V5)
		c.Connect("cid=c clean=0 se=3600 rm=1 ka=60")
		c.Send("SUBSCRIBE id=1 f=t@1")
		for i := range 3 {
			c.Send(fmt.Sprintf("PUBLISH topic=t payload=x qos=1 id=%d", i+2))
		}
		synctest.Wait()
		all := make(map[string]broker.ClientInfo)
		for info := range b.Clients {
			all[info.ClientID] = info
		}
		if len(all) != 2 || !all["gateway"].Local || !all["gateway"].Connected {
			t.Fatalf("clients %v", all)
		}
		got := all["c"]
		if got.Version != mqtt.V5 || !got.Connected || got.Local || got.Listener != "memory" || got.SessionExpiry != time.Hour ||
			got.KeepAlive != time.Minute || got.CleanStart || got.Subscriptions != 1 || got.Waiting != 3 || got.InFlight != 1 ||
			got.Accepted != 3 || got.Received.Publishes != 3 || got.Sent.Publishes != 1 || !got.Since.Equal(time.Now()) {
			t.Errorf("%+v", got)
		}
		time.Sleep(time.Minute)
		c.Close()
		synctest.Wait()
		got, ok := b.Broker.Client("c")
		if !ok || got.Connected || got.LastEnd != mqtt.UnspecifiedError || got.Waiting != 3 || !got.Since.Equal(time.Now()) {
			t.Errorf("away: %+v", got)
		}
		if _, ok := b.Broker.Client("nobody"); ok {
			t.Error("nobody is there")
		}
		for range b.Clients { // may be stopped
			break
		}
	})
}

// Who asks hears of every client what it did and what it may not do, also of
// one that is not let in; nothing is published for that.
func TestOnClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lock sync.Mutex
		var got []string
		auth := newForbidding("no/")
		auth.Users = map[string]string{"alice": "a"}
		b := brokertest.New(t, func(o *broker.Options) {
			o.Auth = auth
			o.OnClient = func(e broker.ClientEvent) {
				lock.Lock()
				got = append(got, e.ClientID+" "+e.What+": "+e.Text)
				lock.Unlock()
			}
		})
		c := b.Client(mqtt.V5)
		c.Connect("cid=c user=alice pass=a")
		c.Send("SUBSCRIBE id=1 f=yes/a@1 f=no/a@1")
		c.Send("PUBLISH topic=no/b payload=x")
		c.Send("PUBLISH id=9 topic=no/b payload=x qos=1 retain=1")
		c.Send("UNSUBSCRIBE id=2 f=yes/a")
		c.Send("DISCONNECT")
		synctest.Wait()
		b.Client(mqtt.V5).Send("CONNECT cid=stranger user=alice pass=wrong")
		synctest.Wait()
		want := []string{
			"c connected: MQTT 5 from pipe as alice", "c subscribed: yes/a with QoS 1", "c denied: subscribe to no/a", "c denied: publish to no/b with QoS 0", "c denied: publish to no/b with QoS 1, retained",
			"c unsubscribed: yes/a", "c disconnected: Normal disconnection", "stranger refused: Bad User Name or Password from pipe",
		}
		lock.Lock()
		defer lock.Unlock()
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}
