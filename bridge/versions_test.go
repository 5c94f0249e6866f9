package bridge

import (
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge/cloudtest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

func speaking(v mqtt.Version) func(*Options) { return func(o *Options) { o.Protocol = v } }

// What holds for every version of the protocol.
func TestVersions(t *testing.T) {
	for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311, mqtt.V5} {
		name := func(format string, args ...any) string {
			return fmt.Sprintf("MQTT %s: ", v) + fmt.Sprintf(format, args...)
		}
		bubble(t, name("messages go up in order and commands come down"), func(t *testing.T) {
			s := newServer(t, always(plan{send: []mqtt.Message{message("site/cmd/a", "0", 1), message("site/cmd/b", "1", 2), message("site/cmd/c", "2", 0)}}))
			r := start(t, s, speaking(v), withIn(Route{From: "site/cmd/#", To: "cmd/#"}))
			var expected []string
			for i := range 30 {
				r.put("out/a", strconv.Itoa(i), mqtt.QoS(i%3))
				expected = append(expected, strconv.Itoa(i))
			}
			after(time.Second)
			want(t, "delivered", s.payloads(), expected)
			want(t, "queue", r.q.Stats().Messages, 0)
			want(t, "local", len(r.local.messages()), 3)
			want(t, "acknowledgements", sorted(s.mu.acks), []string{"4 1 00", "5 2 00", "7 2 00"})
		})
		for _, forget := range []bool{false, true} {
			bubble(t, name("MQTT-4.4.0-1 MQTT311-4.4.0-1 an interrupted transfer is completed (session lost: %v)", forget), func(t *testing.T) {
				s := newServer(t, then(
					plan{publish: func(n int, _ *packet.View) verdict { return verdict{ignore: n > 1, kill: n == 5} }, pubrel: func(int) verdict { return verdict{kill: true} }},
					plan{forget: forget}))
				r := start(t, s, speaking(v))
				var expected []string
				for i := range 8 {
					r.put("out/a", strconv.Itoa(i), 2)
					expected = append(expected, strconv.Itoa(i))
				}
				after(time.Minute)
				want(t, "delivered", s.payloads(), expected)
				want(t, "queue", r.q.Stats().Messages, 0)
				want(t, "identifiers held by the server", len(s.mu.received), 0)
				for _, p := range s.publishes() {
					if p.dup && forget && v != mqtt.V31 {
						t.Errorf("DUP=1 in a new session: %+v", p)
					}
				}
			})
		}
		bubble(t, name("MQTT-3.1.3-5 MQTT311-3.2.2-5 a refused password is of the class auth"), func(t *testing.T) {
			r := start(t, newServer(t, always(plan{connack: mqtt.BadUserNameOrPassword})), speaking(v))
			after(time.Second)
			want(t, "class", r.Stats().Class, ClassAuth)
		})
		bubble(t, name("MQTT-3.1.2-8 MQTT311-3.1.2-8 the server publishes the will when the bridge stops"), func(t *testing.T) {
			s := newServer(t, always(plan{}))
			r := start(t, s, speaking(v), func(o *Options) { o.StatusTopic = "gw/status" })
			after(time.Second)
			r.stop()
			expected := []mqtt.ReasonCode{mqtt.DisconnectWithWill}
			if v != mqtt.V5 {
				expected = nil // DISCONNECT would delete the will
			}
			want(t, "DISCONNECT", s.mu.goodbyes, expected)
			want(t, "will", s.mu.will, "gw/status offline")
		})
		bubble(t, name("MQTT-3.14.4-1 MQTT311-3.14.4-1 without a status topic the bridge takes its leave"), func(t *testing.T) {
			s := newServer(t, always(plan{}))
			r := start(t, s, speaking(v))
			after(time.Second)
			r.stop()
			want(t, "DISCONNECT", s.mu.goodbyes, []mqtt.ReasonCode{mqtt.NormalDisconnection})
		})
	}
}

// MQTT 3.1 does not tell whether the session is there: DUP alone tells a
// message that is sent again from one with a used identifier.
func TestResentDownwards31(t *testing.T) {
	for _, dup := range []bool{false, true} {
		t.Run(fmt.Sprintf("a QoS 2 message with a used identifier and DUP %v", dup), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, always(plan{dup: dup, noPubrel: true, send: []mqtt.Message{message("site/cmd/a", "x", 2)}}))
				r := start(t, s, speaking(mqtt.V31), withIn(Route{From: "site/cmd/#", To: "cmd/#"}))
				after(time.Second)
				s.kill()
				after(time.Minute)
				n := 2
				if dup {
					n = 1
				}
				want(t, "local", len(r.local.messages()), n)
			})
		})
	}
}

// A slow link is not a dead one: a large message needs longer to leave than
// the server may stay silent.
func TestSlowLink(t *testing.T) {
	bubble(t, "B5 200 kB at 2 kB/s neither stalls nor misses its PINGRESP", func(t *testing.T) {
		s := newServer(t, always(plan{}))
		r := start(t, s, func(o *Options) { o.Dial = slowly(s.dial, 2<<10) })
		r.put("out/a", string(make([]byte, 200<<10)), 1)
		r.put("out/a", "next", 1)
		after(5 * time.Minute)
		want(t, "delivered", len(s.payloads()), 2)
		want(t, "attempts", r.Stats().Attempts, 1)
	})
}

// The bridge bit of 3.x: asked for once where it helps, done without where the
// server does not know it.
func TestBridgeBit(t *testing.T) {
	in := func(o *Options) { o.Protocol, o.In = mqtt.V311, []Route{{From: "up/#", To: "down/#"}} }
	bubble(t, "a server that knows it does not send back what came from here", func(t *testing.T) {
		r := cloud(t, cloudtest.Options{}, in)
		after(time.Second)
		r.put("out/a", "x", 1)
		r.c.Publish(mqtt.Message{Topic: "up/b", Payload: []byte("theirs"), QoS: 1, Retain: true})
		after(time.Second)
		want(t, "bit", r.c.Connects()[0].Bridge, true)
		local := r.local.messages()
		if len(local) != 1 || local[0].Topic != "down/b" || !local[0].Retain {
			t.Errorf("local: %+v", local)
		}
		r.stop()
	})
	bubble(t, "one that does not is asked once", func(t *testing.T) {
		r := cloud(t, cloudtest.Options{Limits: cloudtest.Limits{NoBridgeBit: true}}, in)
		r.put("out/a", "x", 1)
		for range 5 {
			after(10 * time.Minute)
			r.c.Kill()
		}
		after(10 * time.Minute)
		want(t, "delivered", r.c.Payloads(), []string{"x"})
		var bits []bool
		for _, c := range r.c.Connects() {
			bits = append(bits, c.Bridge)
		}
		want(t, "bits", bits, []bool{true, false, false, false, false, false, false})
		r.stop()
	})
	bubble(t, "nothing to subscribe to, a profile that says no, 5.0: no bit", func(t *testing.T) {
		for _, change := range []func(*Options){
			func(o *Options) { o.Protocol = mqtt.V311 },
			func(o *Options) { in(o); o.Profile = profiled(t, "thingsboard") },
			func(o *Options) { in(o); o.Protocol = mqtt.V5 },
		} {
			r := cloud(t, cloudtest.Options{}, change)
			after(time.Second)
			want(t, "bit", r.c.Connects()[0].Bridge, false)
			r.stop()
		}
	})
}
