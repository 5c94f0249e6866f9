package broker_test

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

func withSys(o *broker.Options) { o.SysInterval, o.Version = 10*time.Second, "1.2.3" }

// sysValues takes all that has come for a subscriber of $SYS/#.
func sysValues(t *testing.T, c *brokertest.Client) map[string]string {
	t.Helper()
	synctest.Wait()
	values := make(map[string]string)
	for {
		p := c.Pending()
		if p == "" {
			return values
		}
		if p == "SUBACK id=1 rcs=0x02" { // retained messages may come before it
			continue
		}
		rest, ok := strings.CutPrefix(p, "PUBLISH topic=")
		if !ok {
			t.Fatalf("received %s", p)
		}
		name, rest, _ := strings.Cut(rest, " payload=")
		value, _, _ := strings.Cut(rest, " qos=")
		values[strings.Trim(name, `"`)] = strings.Trim(value, `"`)
	}
}

func subscribeSys(c *brokertest.Client) {
	c.Connect("cid=watcher")
	c.Send("SUBSCRIBE id=1 f=$SYS/#@2")
}

func TestSysTellsANewSubscriberEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, withSys, func(o *broker.Options) { o.Limits.RetainedMessages = 1 })
		c := b.Client(mqtt.V311)
		c.Connect("cid=device clean=0")
		c.Send("PUBLISH topic=a payload=12345 qos=1 id=1 retain=1") // the only one that may be retained
		c.Send("SUBSCRIBE id=2 f=$share/g/x@1")
		c.Send("SUBSCRIBE id=3 f=#@1")
		synctest.Wait()
		c.Close()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		w := b.Client(mqtt.V311)
		subscribeSys(w)
		got := sysValues(t, w)
		for name, want := range map[string]string{
			"broker/version": "dunlin version 1.2.3", "broker/uptime": "10 seconds",
			"broker/clients/total": "1", "broker/clients/maximum": "1", "broker/clients/connected": "0", "broker/clients/active": "0",
			"broker/clients/disconnected": "1", "broker/clients/inactive": "1", "broker/clients/expired": "0",
			"broker/messages/received": "4", "broker/publish/messages/received": "1", "broker/publish/bytes/received": "5",
			"broker/publish/messages/sent": "1", "broker/publish/bytes/sent": "5", "broker/publish/messages/dropped": "0",
			"broker/subscriptions/count": "1", "broker/shared_subscriptions/count": "1", "broker/connections/socket/count": "0",
			"broker/packet/out/count": "1", "dunlin/listener/memory/accepted": "1", "dunlin/retained/refused": "0",
		} {
			if got["$SYS/"+name] != want {
				t.Errorf("$SYS/%s = %q, want %q", name, got["$SYS/"+name], want)
			}
		}
		if n, _ := strconv.Atoi(got["$SYS/broker/retained messages/count"]); n != len(got)+1 {
			t.Errorf("retained messages/count = %d with %d values of $SYS and one more", n, len(got))
		}
	})
}

func TestSysPublishesWhatChangedAtEachTickOfTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(3 * time.Second) // not on the tick
		b := brokertest.New(t, withSys)
		w := b.Client(mqtt.V5)
		synctest.Wait()
		subscribeSys(w)
		first := sysValues(t, w)
		if len(first) < 60 {
			t.Fatalf("only %d values", len(first))
		}
		time.Sleep(7 * time.Second)
		second := sysValues(t, w)
		if second["$SYS/broker/uptime"] != "7 seconds" {
			t.Errorf("the first tick came with uptime %q, want 7 seconds: aligned to the clock", second["$SYS/broker/uptime"])
		}
		for name, value := range second {
			if first[name] == value {
				t.Errorf("%s was published again without a change", name)
			}
		}
		if _, ok := second["$SYS/broker/version"]; ok {
			t.Error("the version was published again")
		}
		time.Sleep(10*time.Second - 1)
		if early := sysValues(t, w); len(early) != 0 {
			t.Errorf("between two ticks: %v", early)
		}
	})
}

func TestSysIsForThoseWhoAskForIt(t *testing.T) {
	t.Run("MQTT-4.7.2-1 wildcards do not match $SYS", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := brokertest.New(t, withSys)
			q, err := b.AttachQueue(broker.QueueOptions{Name: "cloud", Filters: []mqtt.Subscription{{Filter: "#", QoS: 1}}})
			if err != nil {
				t.Fatal(err)
			}
			c := b.Client(mqtt.V5)
			c.Connect("cid=c")
			c.Send("SUBSCRIBE id=1 f=#@0 f=+/broker/uptime@0")
			c.Expect("SUBACK id=1 rcs=0x00,0x00")
			time.Sleep(time.Minute)
			synctest.Wait()
			if p := c.Pending(); p != "" {
				t.Errorf("received %s", p)
			}
			if s := q.Stats(); s.Accepted != 0 {
				t.Errorf("a queue of # took %d messages", s.Accepted)
			}
			if s := b.Stats(); s.Published != 0 || s.Retained != 0 {
				t.Errorf("counted as the clients' own: %d published, %d retained", s.Published, s.Retained)
			}
		})
	})
	t.Run("off", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := brokertest.New(t)
			w := b.Client(mqtt.V5)
			subscribeSys(w)
			time.Sleep(time.Minute)
			if got := sysValues(t, w); len(got) != 0 {
				t.Errorf("received %v", got)
			}
		})
	})
}

// A publisher of one message a second: the averages are those of mosquitto's
// formula.
func TestSysLoadIsMosquittosAverage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t, withSys)
		w := b.Client(mqtt.V5)
		subscribeSys(w)
		got := sysValues(t, w)
		c := b.Client(mqtt.V5)
		c.Connect("cid=c")
		time.Sleep(time.Second / 2)
		for range 120 {
			c.Send("PUBLISH topic=t payload=x qos=0")
			time.Sleep(time.Second)
		}
		for name, value := range sysValues(t, w) {
			got[name] = value
		}
		for span, minutes := range map[string]float64{"1min": 1, "5min": 5, "15min": 15} {
			want := strconv.FormatFloat(60*(1-math.Exp(-2/minutes)), 'f', 2, 64)
			if value := got["$SYS/broker/load/publish/received/"+span]; value != want {
				t.Errorf("load/publish/received/%s = %q, want %s", span, value, want)
			}
		}
	})
}
