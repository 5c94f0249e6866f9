package bridge

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge/cloudtest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// pairOfServers are two clouds, first and second in the list.
func pairOfServers(t *testing.T) (first, second *cloudtest.Cloud, dial func(context.Context, string) (net.Conn, error)) {
	t.Helper()
	var c [2]*cloudtest.Cloud
	for i := range c {
		var err error
		if c[i], err = cloudtest.New(cloudtest.Options{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c[i].Close)
	}
	return c[0], c[1], func(ctx context.Context, server string) (net.Conn, error) {
		if strings.HasPrefix(server, "first") {
			if c[0].Down() {
				return nil, &net.OpError{Op: "dial", Err: fmt.Errorf("connection refused")}
			}
			return c[0].Dial(ctx, server)
		}
		return c[1].Dial(ctx, server)
	}
}

func TestServersInOrder(t *testing.T) {
	servers := func(dial func(context.Context, string) (net.Conn, error)) func(*Options) {
		return func(o *Options) {
			o.Servers, o.Dial, o.StatusTopic = []string{"mqtt://first", "mqtt://second"}, dial, "gw/status"
		}
	}
	bubble(t, "the second is used while the first is away, and left when it is back", func(t *testing.T) {
		first, second, dial := pairOfServers(t)
		first.Set(func(f *cloudtest.Faults) { f.Refuse = true })
		r := against(t, second, servers(dial))
		r.put("out/a", "1", 2)
		after(time.Second)
		want(t, "second has", len(second.Messages()), 2) // and the status
		want(t, "server", r.Stats().Server, "second:1883")
		after(time.Hour)
		want(t, "connects while the first is away", r.Stats().Connects, 1)
		first.Set(func(f *cloudtest.Faults) { f.Refuse = false })
		for i := range 100 {
			r.put("out/a", fmt.Sprint(i), mqtt.QoS(1+i%2))
			after(time.Second)
		}
		after(failbackMin)
		want(t, "server", r.Stats().Server, "first:1883")
		want(t, "arrived", len(first.Messages())+len(second.Messages()), 103) // with two of "online"
		want(t, "connects", r.Stats().Connects, 2)
		here, _ := first.Retained("gw/status")
		left, _ := second.Retained("gw/status")
		want(t, "status at the first, and at the second", string(here.Payload)+" "+string(left.Payload), "online offline")
		r.stop()
	})
	bubble(t, "credentials are renewed at the server in use, whose status does not flicker", func(t *testing.T) {
		first, second, dial := pairOfServers(t)
		first.Set(func(f *cloudtest.Faults) { f.Refuse = true })
		asked := 0
		counting := func(ctx context.Context, server string) (net.Conn, error) {
			if strings.HasPrefix(server, "first") {
				asked++
			}
			return dial(ctx, server)
		}
		r := against(t, second, servers(counting), func(o *Options) {
			o.Signer = func(_ string, now time.Time) (string, time.Time, error) { return "x", now.Add(50 * time.Second), nil }
		})
		after(time.Second)
		before := asked
		after(45 * time.Second) // less than failbackMin
		want(t, "connects", r.Stats().Connects, 2)
		want(t, "attempts at the first", asked-before, 0)
		for _, m := range second.Messages() {
			want(t, "status", string(m.Payload), "online")
		}
		r.stop()
	})
	bubble(t, "a first server that takes connections and refuses CONNECT is asked less and less", func(t *testing.T) {
		first, second, dial := pairOfServers(t)
		first.Set(func(f *cloudtest.Faults) { f.Connack = mqtt.ServerBusy })
		r := against(t, second, servers(dial))
		after(10 * time.Hour)
		if n := len(first.Connects()); n < 5 || n > 30 {
			t.Errorf("asked %d times in ten hours", n)
		}
		want(t, "state", r.Stats().State, Up)
		r.stop()
	})
	bubble(t, "a first server that takes connections and does no good is left for the second, and asked less and less", func(t *testing.T) {
		for name, fault := range map[string]cloudtest.Faults{
			"flaps":               {Flap: 2 * time.Second},
			"never acknowledges":  {DropAcks: true},
			"half open":           {HalfOpen: true},
			"sends everybody off": {Publish: func(cloudtest.Message) cloudtest.Verdict { return cloudtest.Verdict{Goodbye: mqtt.ServerBusy} }},
		} {
			first, second, dial := pairOfServers(t)
			first.Set(func(f *cloudtest.Faults) { *f = fault })
			r := against(t, second, servers(dial))
			began := time.Now()
			for i := 0; time.Since(began) < 10*time.Hour; i++ {
				r.put("out/a", fmt.Sprint(i), 1)
				after(10 * time.Second)
			}
			if n := len(first.Connects()); n < 5 || n > 120 {
				t.Errorf("%s: asked %d times in ten hours", name, n)
			}
			if n := len(second.Messages()); n < 1800 {
				t.Errorf("%s: %d messages of 3600 arrived there", name, n)
			}
			first.Set(func(f *cloudtest.Faults) { *f = cloudtest.Faults{} })
			after(2 * failbackMax)
			want(t, name+": server when the first is well", r.Stats().Server, "first:1883")
			want(t, name+": waiting", r.Stats().Queue.Messages, 0)
			want(t, name+": dead", r.Stats().Dead, 0)
			r.stop()
		}
	})
	bubble(t, "who waits for a person does not hold up another server", func(t *testing.T) {
		first, second, dial := pairOfServers(t)
		first.Set(func(f *cloudtest.Faults) { f.Connack = mqtt.NotAuthorized })
		second.Set(func(f *cloudtest.Faults) { f.Refuse = true })
		r := against(t, second, servers(dial))
		after(backoffSlowBase - time.Second)
		want(t, "class", r.Stats().Class, ClassTCP)
		if n := r.Stats().Attempts; n < 5 {
			t.Errorf("%d attempts in 5 minutes", n)
		}
		want(t, "asked with a password that is refused", len(first.Connects()), 1)
		if why := r.Stats().Reason; !strings.Contains(why, "Not authorized") {
			t.Errorf("the reason is %q", why)
		}
		second.Set(func(f *cloudtest.Faults) { f.Refuse = false })
		after(backoffCap)
		want(t, "server", r.Stats().Server, "second:1883")
		r.stop()
	})
}

func TestReconnect(t *testing.T) {
	bubble(t, "a link that is up is made anew at once, and nothing is lost or sent twice", func(t *testing.T) {
		r := cloud(t, cloudtest.Options{}, func(o *Options) { o.StatusTopic = "gw/status" })
		r.put("out/a", "1", 1)
		after(time.Second)
		r.Reconnect()
		r.put("out/a", "2", 1)
		after(time.Second)
		want(t, "connects", r.Stats().Connects, 2)
		want(t, "state", r.Stats().State, Up)
		got := map[string]int{}
		for _, m := range r.c.Messages() {
			got[string(m.Payload)]++
		}
		want(t, "arrived", fmt.Sprint(got), "map[1:1 2:1 online:2]")
		after(time.Hour)
		want(t, "connects an hour later", r.Stats().Connects, 2)
		r.stop()
	})
	bubble(t, "a bridge that waits tries again at once, and stays up", func(t *testing.T) {
		r := cloud(t, cloudtest.Options{Faults: cloudtest.Faults{Connack: mqtt.NotAuthorized}})
		after(3 * time.Second)
		want(t, "attempts", r.Stats().Attempts, 1)
		r.Reconnect()
		after(time.Second)
		want(t, "attempts at a server that still refuses", r.Stats().Attempts, 2)
		r.c.Set(func(f *cloudtest.Faults) { f.Connack = mqtt.Success })
		r.Reconnect()
		r.Reconnect()
		after(time.Second)
		want(t, "state", r.Stats().State, Up)
		want(t, "connects", r.Stats().Connects, 1)
		r.stop()
	})
}
