package bridge

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

func always(p plan) func(int) plan { return func(int) plan { return p } }

// then returns the plans in turn; the last one stays.
func then(plans ...plan) func(int) plan {
	return func(n int) plan { return plans[min(n, len(plans))-1] }
}

func bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// after lets bubble time pass.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func want(t *testing.T, what string, got, expected any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(expected) {
		t.Errorf("%s: got %v, want %v", what, got, expected)
	}
}

func TestForward(t *testing.T) {
	bubble(t, "messages of every QoS go up in order and leave the queue", func(t *testing.T) {
		r := start(t, newServer(t, always(plan{})))
		for i := range 30 {
			r.put("out/a", fmt.Sprint(i), mqtt.QoS(i%3))
		}
		after(time.Second)
		var expected []string
		for i := range 30 {
			expected = append(expected, fmt.Sprint(i))
		}
		want(t, "delivered", r.s.payloads(), expected)
		want(t, "topic", r.s.publishes()[0].topic, "up/a")
		want(t, "queue", r.q.Stats().Messages, 0)
		want(t, "acked", r.Stats().Acked, 20)
		want(t, "via", r.s.publishes()[0].via, "me")
	})
	bubble(t, "MQTT-3.3.4-9 the server's Receive Maximum holds, also when it changes", func(t *testing.T) {
		s := newServer(t, then(
			plan{receiveMax: 5, delay: time.Second, publish: func(n int, _ *packet.View) verdict { return verdict{after: n == 12} }},
			plan{receiveMax: 1, delay: time.Second}))
		r := start(t, s)
		for i := range 40 {
			r.put("out/a", fmt.Sprint(i), 1+mqtt.QoS(i%2))
		}
		after(2 * time.Minute)
		want(t, "queue", r.q.Stats().Messages, 0)
		want(t, "most in flight", s.mu.maxFlight, 5)
	})
	bubble(t, "MQTT-3.3.2-6 the remaining Message Expiry Interval is sent", func(t *testing.T) {
		r := start(t, newServer(t, func(n int) plan { return plan{closes: n == 1} }))
		r.q.add(mqtt.Message{Topic: "out/a", Payload: []byte("late"), QoS: 1, Expires: time.Now().Add(time.Millisecond)})
		r.q.add(mqtt.Message{Topic: "out/a", Payload: []byte("m"), QoS: 1, Expires: time.Now().Add(time.Hour)})
		after(time.Minute)
		p := r.s.publishes()
		last := p[len(p)-1]
		if last.payload != "m" || last.expiry == 0 || last.expiry > 3600 {
			t.Errorf("sent %+v", last)
		}
	})
	bubble(t, "MQTT-3.2.2-11 Maximum QoS and Retain Available are respected", func(t *testing.T) {
		one := mqtt.AtLeastOnce
		r := start(t, newServer(t, always(plan{maxQoS: &one, noRetain: true})))
		r.q.add(mqtt.Message{Topic: "out/a", Payload: []byte("m"), QoS: 2, Retain: true})
		after(time.Second)
		p := r.s.publishes()[0]
		want(t, "qos, retain", fmt.Sprint(p.qos, p.retain), "1 false")
	})
	bubble(t, "MQTT-3.2.2-15 a message above the Maximum Packet Size is given up and the queue moves on", func(t *testing.T) {
		r := start(t, newServer(t, always(plan{packetMax: 200})))
		r.put("out/big", strings.Repeat("x", 300), 1)
		r.put("out/a", "small", 1)
		after(time.Second)
		want(t, "delivered", r.s.payloads(), []string{"small"})
		want(t, "dead", r.Stats().Dead, 1)
		want(t, "last dead", r.Stats().LastDead[0].Topic, "up/big")
	})
	bubble(t, "a message that crossed three bridges or came from this one is not sent", func(t *testing.T) {
		r := start(t, newServer(t, always(plan{})))
		var p *mqtt.Properties
		r.q.add(mqtt.Message{Topic: "out/a", Payload: []byte("3"), Properties: p.With(viaProperty, "a,b,c"), QoS: 1})
		r.q.add(mqtt.Message{Topic: "out/a", Payload: []byte("own"), Publisher: LocalID("test"), QoS: 1})
		r.q.add(mqtt.Message{Topic: "out/a", Payload: []byte("2"), Properties: p.With(viaProperty, "a,b"), QoS: 1})
		after(time.Second)
		want(t, "delivered", r.s.payloads(), []string{"2"})
		want(t, "via", r.s.publishes()[0].via, "a,b,me")
		want(t, "looped", r.Stats().Looped, 2)
	})
}

func TestResume(t *testing.T) {
	lost := plan{publish: func(n int, _ *packet.View) verdict { return verdict{ignore: true, kill: n == 5} }}
	fill := func(r *rig, qos mqtt.QoS) {
		for i := range 8 {
			r.put("out/a", fmt.Sprint(i), qos)
		}
	}
	for _, qos := range []mqtt.QoS{1, 2} {
		bubble(t, fmt.Sprintf("MQTT-3.3.1-1 QoS %d resends on a resumed session carry DUP=1, in order, same identifiers", qos), func(t *testing.T) {
			r := start(t, newServer(t, then(lost, plan{})))
			fill(r, qos)
			after(time.Minute)
			want(t, "delivered", r.s.payloads(), []string{"0", "1", "2", "3", "4", "5", "6", "7"})
			ids := map[string]uint16{}
			for _, p := range r.s.publishes() {
				if p.conn == 1 {
					ids[p.payload] = p.id
				} else if old, resent := ids[p.payload]; resent && (!p.dup || p.id != old) {
					t.Errorf("resent %+v, identifier was %d", p, old)
				}
			}
			if r.Stats().Resent < 5 {
				t.Errorf("resent %d, want at least 5", r.Stats().Resent)
			}
		})
		bubble(t, fmt.Sprintf("QoS %d without the session everything is sent anew with DUP=0", qos), func(t *testing.T) {
			r := start(t, newServer(t, then(lost, plan{forget: true})))
			fill(r, qos)
			after(time.Minute)
			want(t, "delivered", r.s.payloads(), []string{"0", "1", "2", "3", "4", "5", "6", "7"})
			for _, p := range r.s.publishes() {
				if p.dup {
					t.Errorf("DUP=1 in a new session: %+v", p)
				}
			}
		})
	}
	for _, forget := range []bool{false, true} {
		bubble(t, fmt.Sprintf("MQTT-4.3.3-4 after PUBREC the message is never sent again (session lost: %v)", forget), func(t *testing.T) {
			s := newServer(t, then(plan{pubrel: func(int) verdict { return verdict{kill: true} }}, plan{forget: forget}))
			r := start(t, s)
			r.put("out/a", "once", 2)
			after(time.Minute)
			want(t, "delivered", s.payloads(), []string{"once"})
			want(t, "PUBLISH packets", len(s.publishes()), 1)
			want(t, "queue", r.q.Stats().Messages, 0)
			want(t, "identifiers held by the server", len(s.mu.received), 0)
		})
	}
}

func TestRefusals(t *testing.T) {
	bubble(t, "PUBACK with Not authorized gives up the message and the queue moves on", func(t *testing.T) {
		r := start(t, newServer(t, always(plan{publish: func(n int, _ *packet.View) verdict {
			if n == 1 {
				return verdict{code: mqtt.NotAuthorized}
			}
			return verdict{}
		}})))
		r.put("out/secret", "0", 1)
		r.put("out/a", "1", 1)
		after(time.Second)
		want(t, "delivered", r.s.payloads(), []string{"1"})
		st := r.Stats()
		want(t, "dead, refused", fmt.Sprint(st.Dead, st.Refusals[mqtt.NotAuthorized]), "1 1")
	})
	for _, qos := range []mqtt.QoS{1, 2} {
		bubble(t, fmt.Sprintf("QoS %d Quota exceeded keeps the message, waits, and sends it as a new one", qos), func(t *testing.T) {
			begin := time.Now()
			r := start(t, newServer(t, always(plan{publish: func(int, *packet.View) verdict {
				if time.Since(begin) < time.Second {
					return verdict{code: mqtt.QuotaExceeded}
				}
				return verdict{}
			}})))
			for i := range 3 {
				r.put("out/a", fmt.Sprint(i), qos)
			}
			after(time.Second / 2)
			want(t, "kept", r.q.Stats().Messages, 3)
			after(time.Minute)
			want(t, "delivered", r.s.payloads(), []string{"0", "1", "2"})
			for _, p := range r.s.publishes() {
				if p.dup {
					t.Errorf("DUP=1 after the transfer was ended: %+v", p)
				}
			}
			want(t, "dead", r.Stats().Dead, 0)
		})
	}
	bubble(t, "Unspecified error is tried three times", func(t *testing.T) {
		r := start(t, newServer(t, always(plan{publish: func(_ int, p *packet.View) verdict {
			if string(p.Publish.Payload) == "bad" {
				return verdict{code: mqtt.UnspecifiedError}
			}
			return verdict{}
		}})))
		r.put("out/a", "bad", 1)
		r.put("out/a", "good", 1)
		after(10 * time.Minute)
		want(t, "delivered", r.s.payloads(), []string{"good"})
		want(t, "dead", r.Stats().Dead, 1)
		want(t, "refused", r.Stats().Refused, 3)
	})
	bubble(t, "a message for which the server disconnects twice is given up, no other is", func(t *testing.T) {
		r := start(t, newServer(t, always(plan{publish: func(_ int, p *packet.View) verdict {
			if string(p.Publish.Payload) == "3" {
				return verdict{goodbye: mqtt.PacketTooLarge}
			}
			return verdict{}
		}})))
		for i := range 6 {
			r.put("out/a", fmt.Sprint(i), 1)
		}
		after(time.Hour)
		got := r.s.payloads()
		slices.Sort(got)
		want(t, "delivered", slices.Compact(got), []string{"0", "1", "2", "4", "5"})
		want(t, "dead", r.Stats().Dead, 1)
	})
}

func TestBadServers(t *testing.T) {
	for _, tc := range []struct {
		name  string
		plan  plan
		class Class
		most  int // attempts in an hour
	}{
		{"never answers", plan{silent: true}, ClassTimeout, 200},
		{"accepts, then closes", plan{closes: true}, ClassTCP, 200},
		{"refuses the password", plan{connack: mqtt.BadUserNameOrPassword}, ClassAuth, 60},
		{"is busy", plan{connack: mqtt.ServerBusy}, ClassQuota, 200},
		{"moved", plan{connack: mqtt.ServerMoved}, ClassRefused, 200},
		{"never acknowledges", plan{publish: func(int, *packet.View) verdict { return verdict{ignore: true} }}, ClassStalled, 200},
		{"never answers a ping", plan{noPing: true, publish: func(int, *packet.View) verdict { return verdict{ignore: true} }}, ClassTimeout, 200},
		{"announces a packet of 256 MiB", plan{raw: []byte{0x30, 0xFF, 0xFF, 0xFF, 0x7F}}, ClassProtocol, 200},
		{"malformed Remaining Length", plan{raw: []byte{0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F}}, ClassProtocol, 200},
		{"sends a second CONNACK", plan{raw: []byte{0x20, 3, 0, 0, 0}}, ClassProtocol, 200},
	} {
		bubble(t, tc.name, func(t *testing.T) {
			r := start(t, newServer(t, always(tc.plan)))
			r.put("out/a", "m", 1)
			var classes []Class
			for range 60 {
				after(time.Minute)
				if st := r.Stats(); st.State == Down && !slices.Contains(classes, st.Class) {
					classes = append(classes, st.Class)
				}
			}
			want(t, "classes", classes, []Class{tc.class})
			if n := int(r.Stats().Attempts); n < 2 || n > tc.most {
				t.Errorf("%d attempts in an hour, want 2 to %d", n, tc.most)
			}
			want(t, "queue", r.q.Stats().Messages, 1)
			if st := r.Stats(); st.Connects == 0 && time.Since(st.Since) < 59*time.Minute {
				t.Errorf("never connected in an hour, and %s for %v", st.State, time.Since(st.Since))
			}
		})
	}
	bubble(t, "CONNACK with an Authentication Method does no harm", func(t *testing.T) {
		r := start(t, newServer(t, always(plan{authMethod: "x"})))
		r.put("out/a", "m", 1)
		after(time.Second)
		want(t, "delivered", r.s.payloads(), []string{"m"})
	})
	bubble(t, "MQTT-4.12.0-6 AUTH instead of CONNACK ends the attempt", func(t *testing.T) {
		r := start(t, newServer(t, always(plan{auth: true})))
		after(time.Second)
		want(t, "class", r.Stats().Class, ClassAuth)
	})
	bubble(t, "Session taken over three times within five minutes pauses for five minutes", func(t *testing.T) {
		r := start(t, newServer(t, always(plan{publish: func(int, *packet.View) verdict { return verdict{goodbye: mqtt.SessionTakenOver} }})))
		r.put("out/a", "m", 1)
		after(4 * time.Minute)
		want(t, "class", r.Stats().Class, ClassTakenOver)
		c := r.s.connections()
		after(4 * time.Minute)
		if n := len(r.s.connections()); len(c) != 3 || n-len(c) > 3 {
			t.Errorf("%d connections, then %d", len(c), n)
		}
	})
	bubble(t, "back-off starts small again after a minute of a working connection", func(t *testing.T) {
		r := start(t, newServer(t, func(n int) plan { return plan{closes: n < 12} }))
		after(2 * time.Hour)
		r.put("out/a", "m", 1)
		after(time.Minute)
		want(t, "state", r.Stats().State, Up)
		before := len(r.s.connections())
		r.s.kill()
		after(2 * time.Second)
		want(t, "connections", len(r.s.connections()), before+1)
	})
}

func TestStatusAndStop(t *testing.T) {
	status := func(o *Options) { o.StatusTopic = "gw/status" }
	bubble(t, "online is retained after connect, offline is the will", func(t *testing.T) {
		r := start(t, newServer(t, always(plan{})), status)
		after(time.Second)
		p := r.s.publishes()[0]
		want(t, "first PUBLISH", fmt.Sprint(p.topic, p.payload, p.retain), "gw/statusonlinetrue")
		want(t, "will", r.s.mu.will, "gw/status offline")
		want(t, "state", r.Stats().State, Up)
		r.stop()
		want(t, "DISCONNECT", r.s.mu.goodbyes, []mqtt.ReasonCode{mqtt.DisconnectWithWill})
	})
	bubble(t, "stopping drains the queue", func(t *testing.T) {
		r := start(t, newServer(t, always(plan{delay: 100 * time.Millisecond})), status)
		after(time.Second)
		for i := range 30 {
			r.put("out/a", fmt.Sprint(i), 1)
		}
		r.stop()
		want(t, "queue", r.q.Stats().Messages, 0)
	})
	bubble(t, "stopping does not wait for a server that never acknowledges", func(t *testing.T) {
		r := start(t, newServer(t, always(plan{publish: func(int, *packet.View) verdict { return verdict{ignore: true} }})))
		r.put("out/a", "m", 1)
		after(time.Second)
		begin := time.Now()
		r.stop()
		want(t, "time", time.Since(begin), drainTimeout)
	})
	bubble(t, "events tell what waits and what drained", func(t *testing.T) {
		var events []Event
		r := start(t, newServer(t, func(n int) plan { return plan{connack: mqtt.ReasonCode(0x88 * min(1, 2/n))} }),
			func(o *Options) { o.OnEvent = func(e Event) { events = append(events, e) } })
		for i := range 10 {
			r.put("out/a", fmt.Sprint(i), 1)
		}
		after(10 * time.Minute)
		// The first attempt may end before there is a message to wait.
		for len(events) > 4 {
			events = events[1:]
		}
		var kinds []EventKind
		for _, e := range events {
			kinds = append(kinds, e.Kind)
		}
		want(t, "events", kinds, []EventKind{EventDown, EventWaiting, EventUp, EventDrained})
		want(t, "drained", events[len(events)-1].Messages, 10)
	})
}
