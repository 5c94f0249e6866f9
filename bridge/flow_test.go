package bridge

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge/cloudtest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// busiest is the most PUBLISH packets that arrived within one second.
func busiest(all []cloudtest.Message) (most int) {
	first := 0
	for i, p := range all {
		for p.At.Sub(all[first].At) >= time.Second {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// B14 and the limits of AWS IoT Core: a backlog leaves at the pace that the
// server takes, and what is published meanwhile is not behind it.
func TestB14DrainKeepsTheLimitsAndLiveMessagesPass(t *testing.T) {
	backlog := 5000
	if n, err := strconv.Atoi(os.Getenv("DRAIN")); err == nil {
		backlog = n // 100000 in the long run
	}
	synctest.Test(t, func(t *testing.T) {
		history := newQueue(t)
		for i := range backlog {
			history.add(mqtt.Message{Topic: "log/a", Payload: []byte(strconv.Itoa(i)), QoS: 1})
		}
		aws := cloudtest.Options{Limits: cloudtest.AWS(), Faults: cloudtest.Faults{AckDelay: 80 * time.Millisecond}}
		r := cloud(t, aws, func(o *Options) {
			o.Out = []Route{{From: "log/#", Lane: History}, {From: "live/#"}}
			o.Queues[History], o.Profile, o.Username = history, profiled(t, "aws-iot"), "gw"
		})
		sent := map[string]time.Time{}
		for history.Stats().Messages > 0 {
			name := strconv.Itoa(len(sent))
			sent[name] = time.Now()
			r.put("live/a", name, 1)
			after(490 * time.Millisecond)
			if st := r.Stats(); st.Unaccounted() != 0 {
				t.Errorf("%d messages are nowhere: %+v", st.Unaccounted(), st.Queue)
			}
		}
		after(2 * time.Second)
		want(t, "throttled, violations", fmt.Sprint(r.c.Throttled(), r.c.Violations()), "0 []")
		all := r.c.Seen()
		if n := busiest(all); n > 100 {
			t.Errorf("%d messages in one second, the server takes 100", n)
		}
		var waits []time.Duration
		next := 0
		for _, p := range all {
			switch p.Topic {
			case "live/a":
				waits = append(waits, p.At.Sub(sent[string(p.Payload)]))
			case "log/a":
				if string(p.Payload) != strconv.Itoa(next) {
					t.Fatalf("history: %s arrived, %d is next", p.Payload, next)
				}
				next++
			}
		}
		slices.Sort(waits)
		p99 := waits[len(waits)*99/100]
		if len(waits) != len(sent) || p99 >= time.Second {
			t.Errorf("%d of %d live messages, p99 %v", len(waits), len(sent), p99)
		}
		took := all[len(all)-1].At.Sub(all[0].At)
		t.Logf("%d messages in %v, busiest second %d, live p99 %v, longest %v", len(all), took, busiest(all), p99, waits[len(waits)-1])
		if least := 80.0; float64(len(all))/took.Seconds() < least {
			t.Errorf("%d messages took %v, less than %v/s", len(all), took, least)
		}
		want(t, "refused by the server", r.Stats().Refused, 0)
		want(t, "connects", r.Stats().Connects, 1)
		r.stop()
	})
}

func TestB17ExpiryWhileQueued(t *testing.T) {
	bubble(t, "Message Expiry is what is left, and what waited longer is never sent", func(t *testing.T) {
		r := cloud(t, cloudtest.Options{Faults: cloudtest.Faults{Connack: mqtt.ServerBusy}}, func(o *Options) {
			o.Out = []Route{{From: "out/#", To: "up/#"}, {From: "old/#", TTL: 2 * time.Second}}
			o.RetryMax = 10 * time.Second
		})
		r.q.add(mqtt.Message{Topic: "out/a", Payload: []byte("short"), QoS: 1, Expires: time.Now().Add(time.Millisecond)})
		r.q.add(mqtt.Message{Topic: "out/a", Payload: []byte("long"), QoS: 1, Expires: time.Now().Add(time.Minute)})
		r.put("old/a", "by its route", 1)
		r.put("other/a", "of no route", 1)
		after(20 * time.Second)
		r.c.Set(func(f *cloudtest.Faults) { f.Connack = mqtt.Success })
		after(20 * time.Second)
		want(t, "sent", r.c.Payloads(), "[long]")
		m := r.c.Messages()[0]
		if e := m.Expires.Sub(m.At); e < 20*time.Second || e > 40*time.Second {
			t.Errorf("Message Expiry Interval %v after 20 s and more of a minute", e)
		}
		st := r.Stats()
		want(t, "expired", st.Expired, 2)
		want(t, "unrouted", st.Unrouted, 1)
		want(t, "left", st.Queue.Messages, 0)
		r.stop()
	})
}

func TestDailyBudget(t *testing.T) {
	file := t.TempDir() + "/day"
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, always(plan{}))
		alarms := newQueue(t)
		change := func(o *Options) {
			o.Out = append(o.Out, Route{From: "alarm/#", Lane: Alarm})
			o.Queues[Alarm] = alarms
			o.Pace, o.Usage = Pace{Daily: 10_000}, file
		}
		r := start(t, s, change)
		for range 200 {
			r.put("out/a", string(make([]byte, 500)), 1)
		}
		after(time.Second)
		want(t, "until it is empty, while nothing moves", r.Stats().Drain, time.Duration(0))
		after(time.Minute)
		sent := len(s.publishes())
		if today := r.Stats().Today; sent > 25 || today < 10_000 || today > 11_000 {
			t.Errorf("%d messages, %d bytes went out on a budget of 10000", sent, today)
		}
		want(t, "class while the rest waits", r.Stats().Class, ClassQuota)
		alarms.add(mqtt.Message{Topic: "alarm/fire", Payload: []byte("!"), QoS: 1})
		after(time.Second)
		want(t, "alarm passes", s.payloads()[len(s.payloads())-1], "!")
		r.stop()

		r = start(t, s, change) // the day goes on
		r.put("out/a", "x", 1)
		after(time.Minute)
		want(t, "after a restart", len(s.publishes()), sent+1)
		after(24 * time.Hour)
		if r.q.Stats().Messages != 0 {
			t.Error("the next day does not begin")
		}
	})
}

func TestB09QuotaExceeded(t *testing.T) {
	bubble(t, "a server that is full for a while gets everything later, in order, and slower", func(t *testing.T) {
		full := time.Now().Add(time.Minute)
		r := refusing(t, func(cloudtest.Message) (d cloudtest.Verdict) {
			if time.Now().Before(full) {
				d.Code = mqtt.QuotaExceeded
			}
			return d
		})
		var all []string
		for i := range 40 {
			r.put("out/a", strconv.Itoa(i), mqtt.QoS(1+i%2))
			all = append(all, strconv.Itoa(i))
		}
		after(59 * time.Second)
		st := r.Stats()
		if n := len(r.c.Seen()); n > 200 || st.State != Up || st.Class != ClassQuota || st.Queue.Messages != 40 {
			t.Errorf("%d packets in a minute to a server that is full; state %s, class %s, %d wait", n, st.State, st.Class, st.Queue.Messages)
		}
		after(10 * time.Minute)
		want(t, "delivered", r.c.Payloads(), all)
		want(t, "given up", r.Stats().Dead, 0)
		want(t, "connects", r.Stats().Connects, 1)
		want(t, "class in the end", r.Stats().Class, "")
		if n := r.pacer.mu.pace.catchup.full; n == 0 {
			t.Error("the pace does not know of it")
		}
		full = time.Now().Add(time.Millisecond)
		r.put("out/a", "once more", 1)
		after(2 * time.Second)
		want(t, "delivered after a first refusal", r.c.Payloads(), append(all, "once more"))
		r.stop()
	})
}

func TestB09NoRoomForRetained(t *testing.T) {
	bubble(t, "a server that has no room for more retained messages gets them without RETAIN, and what is behind them", func(t *testing.T) {
		var sent []string
		r := refusing(t, func(m cloudtest.Message) (d cloudtest.Verdict) {
			if sent = append(sent, fmt.Sprint(m.Topic, " ", m.Retain)); m.Retain && m.Topic != "up/old" {
				d.Code = mqtt.QuotaExceeded
			}
			return d
		})
		for i := range 10 {
			m := mqtt.Message{Topic: fmt.Sprintf("out/%d", i), Payload: []byte("x"), QoS: mqtt.QoS(1 + i%2), Retain: true}
			r.q.retain(m)
			r.q.add(m)
		}
		r.q.add(mqtt.Message{Topic: "out/old", Payload: []byte("x"), QoS: 1, Retain: true})
		r.put("out/live", "x", 1)
		after(2 * time.Minute)
		want(t, "left", r.q.Stats().Messages, 0)
		want(t, "delivered", len(r.c.Payloads()), 12)
		want(t, "given up", r.Stats().Dead, 0)
		if n := len(sent); n > 60 || !slices.Contains(sent, "up/old true") || slices.Contains(sent, "up/live true") {
			t.Errorf("%d sent: %q", n, sent)
		}
		sent = nil
		r.q.add(mqtt.Message{Topic: "out/3", Payload: []byte("y"), QoS: 1, Retain: true})
		after(time.Minute)
		want(t, "the next", sent, "[up/3 false]")
		r.stop()
	})
	bubble(t, "what a server had no room for is retained there once it has", func(t *testing.T) {
		var mu sync.Mutex
		var sent []string
		taken := func() []string { // since it was asked last
			mu.Lock()
			defer mu.Unlock()
			all := sent
			sent = nil
			return all
		}
		var room atomic.Bool
		r := refusing(t, func(m cloudtest.Message) (d cloudtest.Verdict) {
			mu.Lock()
			defer mu.Unlock()
			if sent = append(sent, fmt.Sprint(m.Topic, " ", m.Retain)); !room.Load() && m.Retain && len(m.Payload) > 0 {
				d.Code = mqtt.QuotaExceeded
			}
			return d
		})
		put := func(name, payload string) {
			m := mqtt.Message{Topic: name, Payload: []byte(payload), QoS: 1, Retain: true}
			r.q.retain(m)
			r.q.add(m)
		}
		for i := range 10 {
			put(fmt.Sprintf("out/%d", i), "old")
		}
		after(2 * time.Minute)
		taken()
		after(time.Hour)
		if all := taken(); len(all) < 5 || len(all) > 16 {
			t.Errorf("%d sent in an hour to a server without room: %q", len(all), all)
		}
		put("out/3", "new")
		put("out/4", "")
		after(time.Second)
		all := taken()
		want(t, "the last", all[len(all)-2:], "[up/3 false up/4 true]") // what deletes needs no room
		room.Store(true)
		after(roomAgain + time.Minute)
		for i := range 10 {
			m, kept := r.c.Retained(fmt.Sprintf("up/%d", i))
			if want := map[int]string{3: "new", 4: ""}[i]; want != "" && string(m.Payload) != want || kept == (i == 4) {
				t.Errorf("up/%d: retained %v, %q", i, kept, m.Payload)
			}
		}
		taken()
		after(time.Hour)
		want(t, "sent when all is there", taken(), "[]")
		r.stop()
	})
	bubble(t, "what is refused without RETAIN, too, goes on with it", func(t *testing.T) {
		full := time.Now().Add(time.Minute)
		r := refusing(t, func(cloudtest.Message) (d cloudtest.Verdict) {
			if time.Now().Before(full) {
				d.Code = mqtt.QuotaExceeded
			}
			return d
		})
		r.q.add(mqtt.Message{Topic: "out/a", Payload: []byte("x"), QoS: 1, Retain: true})
		after(10 * time.Minute)
		want(t, "delivered", len(r.c.Messages()), 1)
		r.stop()
	})
}

func TestB23ServerWithout(t *testing.T) {
	bubble(t, "QoS 2 and RETAIN: the QoS is lowered and the flag cleared, the message arrives", func(t *testing.T) {
		one := mqtt.AtLeastOnce
		limits := cloudtest.Limits{NoQoS2: true, MaximumQoS: 1, Retain: cloudtest.RetainCloses}
		r := cloud(t, cloudtest.Options{Limits: limits, Faults: cloudtest.Faults{MaximumQoS: &one, NoRetain: true}})
		r.q.add(mqtt.Message{Topic: "out/a", Payload: []byte("x"), QoS: 2, Retain: true})
		after(time.Second)
		p := r.c.Messages()
		if len(p) != 1 || p[0].QoS != 1 || p[0].Retain {
			t.Errorf("sent %+v", p)
		}
		want(t, "violations", r.c.Violations(), "[]")
		want(t, "left", r.q.Stats().Messages, 0)
		r.stop()
	})
	bubble(t, "a server of 3.1.1 that only was away has the will that it had", func(t *testing.T) {
		r := cloud(t, cloudtest.Options{Faults: cloudtest.Faults{Refuse: true}}, speaking(mqtt.V311), func(o *Options) { o.StatusTopic = "gw/status" })
		after(time.Hour)
		r.c.Set(func(f *cloudtest.Faults) { f.Refuse = false })
		after(10 * time.Minute)
		if all := r.c.Connects(); len(all) == 0 || !all[len(all)-1].Will.Message.Retain {
			t.Errorf("%+v", all)
		}
		r.stop()
	})
	zero := mqtt.AtMostOnce
	for name, f := range map[string]cloudtest.Faults{
		"MQTT-3.2.2-12 a will of QoS 1": {MaximumQoS: &zero}, "MQTT-3.2.2-13 a will that is retained": {NoRetain: true},
	} {
		for _, v := range v3and5 {
			bubble(t, name+": another one is tried, MQTT "+v.String(), func(t *testing.T) {
				r := cloud(t, cloudtest.Options{Faults: f}, speaking(v), func(o *Options) { o.StatusTopic, o.In = "gw/status", []Route{{From: "cmd/#"}} })
				after(time.Minute)
				r.c.Kill()
				r.q.add(mqtt.Message{Topic: "out/a", Payload: []byte("1"), QoS: 1, Retain: true})
				after(time.Minute)
				want(t, "delivered", r.c.Payloads(), "[online online 1]")
				_, kept := r.c.Retained("up/a")
				want(t, "retained", kept, v == mqtt.V5 && !f.NoRetain)
				want(t, "state", r.Stats().State, Up)
				want(t, "attempts", r.Stats().Attempts, map[mqtt.Version]int{mqtt.V5: 2, mqtt.V311: 4}[v]) // it is remembered
				r.stop()
			})
		}
	}
}

// A queue hears at once that a connection has ended: a later process knows then
// what the server may have.
func TestQueueIsRewoundWhenAConnectionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, newServer(t, func(n int) plan {
			if n > 1 {
				return plan{connack: mqtt.ServerUnavailable}
			}
			return plan{publish: func(int, *packet.View) verdict { return verdict{ignore: true} }}
		}))
		r.put("out/a", "x", 1)
		after(10 * time.Second)
		flying := r.q.Stats().InFlight
		r.s.kill()
		after(time.Minute)
		if left := r.q.Stats().InFlight; flying != 1 || left != 0 {
			t.Errorf("%d entries were handed out, then %d, want 1 and 0", flying, left)
		}
	})
}
