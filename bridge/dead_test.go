package bridge

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge/cloudtest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// letters lists the dead ones as "topic payload: reason".
func letters(t *testing.T, b *Bridge) (all []string) {
	t.Helper()
	err := b.DeadLetters(0, func(l Letter) bool {
		all = append(all, l.Message.Topic+" "+string(l.Message.Payload[:min(3, len(l.Message.Payload))])+": "+l.Reason)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func withDead(t *testing.T) func(*Options) {
	return func(o *Options) { o.Dead = newQueue(t) }
}

// refusing starts a bridge with dead letters against a cloud that judges so.
func refusing(t *testing.T, judge func(cloudtest.Message) cloudtest.Verdict) *cloudRig {
	t.Helper()
	return cloud(t, cloudtest.Options{Faults: cloudtest.Faults{Publish: judge}}, withDead(t))
}

func TestB10PacketTooLarge(t *testing.T) {
	bubble(t, "checked before sending, and the queue moves on", func(t *testing.T) {
		r := cloud(t, cloudtest.Options{Faults: cloudtest.Faults{PacketSize: 200}}, withDead(t))
		r.put("out/big", strings.Repeat("x", 300), 1)
		r.put("out/a", "small", 1)
		after(time.Second)
		want(t, "delivered", r.c.Payloads(), "[small]")
		want(t, "seen", len(r.c.Seen()), 1)
		if got := letters(t, r.Bridge); len(got) != 1 || !strings.Contains(got[0], "the server takes 200") {
			t.Errorf("dead letters %q", got)
		}
		want(t, "connections", len(r.c.Connects()), 1)
		r.stop()
	})
	bubble(t, "what is too large only by the properties of the bridge goes without", func(t *testing.T) {
		r := cloud(t, cloudtest.Options{Faults: cloudtest.Faults{PacketSize: 200}}, withDead(t))
		r.put("out/a", strings.Repeat("x", 120), 1)
		r.put("out/a", "small", 1)
		after(time.Second)
		seen := r.c.Seen()
		want(t, "seen", len(seen), 2)
		for i, m := range seen {
			_, ts := m.Properties.Get(propTime)
			_, via := m.Properties.Get(viaProperty)
			want(t, "ts of "+string(m.Payload[:1]), ts, i == 1)
			want(t, "via of "+string(m.Payload[:1]), via, true)
		}
		want(t, "dead letters", len(letters(t, r.Bridge)), 0)
		r.stop()
	})
	bubble(t, "a limit above what the protocol allows is none", func(t *testing.T) {
		r := cloud(t, cloudtest.Options{Faults: cloudtest.Faults{PacketSize: math.MaxUint32}}, withDead(t))
		r.put("out/a", "small", 1)
		after(time.Second)
		want(t, "delivered", r.c.Payloads(), "[small]")
		want(t, "dead letters", len(letters(t, r.Bridge)), 0)
		r.stop()
	})
	bubble(t, "DISCONNECT 0x95 without a known limit: the second time it is dead", func(t *testing.T) {
		r := refusing(t, func(m cloudtest.Message) (d cloudtest.Verdict) {
			if len(m.Payload) > 200 {
				d.Goodbye = mqtt.PacketTooLarge
			}
			return d
		})
		r.put("out/a", "1", 1)
		r.put("out/big", strings.Repeat("x", 300), 1)
		r.put("out/a", "2", 1)
		after(5 * time.Minute)
		want(t, "delivered", r.c.Payloads(), "[1 2]")
		want(t, "dead letters", letters(t, r.Bridge), "[out/big xxx: Packet too large]")
		want(t, "connections", len(r.c.Connects()), 3)
		r.stop()
	})
}

func TestB11TopicRefused(t *testing.T) {
	for _, code := range []mqtt.ReasonCode{mqtt.NotAuthorized, mqtt.TopicNameInvalid, mqtt.PayloadFormatInvalid, mqtt.PacketTooLarge, 0xC0} {
		bubble(t, "answered with "+code.String(), func(t *testing.T) {
			r := refusing(t, func(m cloudtest.Message) (d cloudtest.Verdict) {
				if m.Topic == "up/no" {
					d.Code = code
				}
				return d
			})
			r.put("out/no", "x", 1)
			r.put("out/no", "y", 2)
			r.put("out/a", "1", 1)
			after(time.Second)
			want(t, "delivered", r.c.Payloads(), "[1]")
			want(t, "dead letters", letters(t, r.Bridge), "[out/no x: "+code.String()+" out/no y: "+code.String()+"]")
			want(t, "dead", r.Stats().Dead, 2)
			r.stop()
		})
	}
	bubble(t, "a route makes no topic of it: MQTT-4.7.3-1 checked before sending", func(t *testing.T) {
		r := cloud(t, cloudtest.Options{}, withDead(t), func(o *Options) { o.Out = []Route{{From: "out/#", To: "#"}} })
		r.put("out", "x", 1)
		r.put("out/a", "1", 1)
		after(time.Second)
		want(t, "delivered", r.c.Payloads(), "[1]")
		want(t, "dead letters", letters(t, r.Bridge), "[out x: its route makes a topic of 0 bytes of it]")
		want(t, "connections", len(r.c.Connects()), 1)
		r.stop()
	})
	bubble(t, "closed without a word: three times, the last alone on a quiet link", func(t *testing.T) {
		r := refusing(t, func(m cloudtest.Message) cloudtest.Verdict { return cloudtest.Verdict{Cut: m.Topic == "up/no"} })
		for _, name := range []string{"a", "b", "no", "c", "d"} {
			r.put("out/"+name, name, 1)
		}
		after(10 * time.Minute)
		want(t, "delivered", r.c.Payloads(), "[a b c d]")
		want(t, "dead letters", letters(t, r.Bridge), "[out/no no: the server closed the connection over it]")
		want(t, "connections", len(r.c.Connects()), 4)
		r.stop()
	})
	bubble(t, "over the status message: it is left out", func(t *testing.T) {
		no := func(m cloudtest.Message) cloudtest.Verdict { return cloudtest.Verdict{Cut: m.Topic == "gw/status"} }
		r := cloud(t, cloudtest.Options{Faults: cloudtest.Faults{Publish: no}}, withDead(t), func(o *Options) { o.StatusTopic = "gw/status" })
		r.put("out/a", "1", 1)
		after(10 * time.Minute)
		want(t, "delivered", r.c.Payloads(), "[1]")
		want(t, "dead", r.Stats().Dead, 0)
		want(t, "state", r.Stats().State, Up)
		r.stop()
	})
	bubble(t, "DISCONNECT 0x87, as AWS has it for a topic without a right", func(t *testing.T) {
		r := refusing(t, func(m cloudtest.Message) (d cloudtest.Verdict) {
			if m.Topic == "up/no" {
				d.Goodbye = mqtt.NotAuthorized
			}
			return d
		})
		for _, name := range []string{"a", "no", "b"} {
			r.put("out/"+name, name, 1)
		}
		after(2 * time.Minute) // none of which is that of refused credentials
		want(t, "class", r.Stats().Class, "")
		want(t, "delivered", r.c.Payloads(), "[a b]")
		want(t, "dead letters", letters(t, r.Bridge), "[out/no no: the server closed the connection over it]")
		r.stop()
	})
	bubble(t, "a link that breaks by itself costs no message", func(t *testing.T) {
		r := refusing(t, func(cloudtest.Message) cloudtest.Verdict { return cloudtest.Verdict{Ignore: true} })
		r.put("out/a", "1", 1)
		for range 40 { // every 3 s, whatever is sent
			after(3 * time.Second)
			r.c.Kill()
		}
		r.c.Set(func(f *cloudtest.Faults) { *f = cloudtest.Faults{} })
		r.c.Kill()
		after(10 * time.Minute)
		want(t, "delivered", r.c.Payloads(), "[1]")
		want(t, "dead", r.Stats().Dead, 0)
		r.stop()
	})
}

func TestB11BrokenLinkIsNotBlamed(t *testing.T) {
	bubble(t, "a connection that breaks 10 s after the message costs none, however often", func(t *testing.T) {
		broken := 0
		r := refusing(t, func(m cloudtest.Message) cloudtest.Verdict { return cloudtest.Verdict{Ignore: m.Conn <= 6} })
		r.put("out/a", "1", 1)
		for len(r.c.Payloads()) == 0 && broken < 20 {
			sent := len(r.c.Seen())
			for i := 0; i < 600 && len(r.c.Seen()) == sent; i++ {
				after(time.Second)
			}
			after(10 * time.Second)
			r.c.Kill()
			broken++
		}
		want(t, "delivered", r.c.Payloads(), "[1]")
		want(t, "dead", r.Stats().Dead, 0)
		r.stop()
	})
}

func TestDeadLettersAreRequeuedAndPurged(t *testing.T) {
	bubble(t, "a server that has learned takes them", func(t *testing.T) {
		takes := false
		s := newServer(t, always(plan{publish: func(int, *packet.View) verdict {
			return map[bool]verdict{false: {code: mqtt.NotAuthorized}}[takes]
		}}))
		r := start(t, s, withDead(t))
		var p *mqtt.Properties
		r.q.add(mqtt.Message{Topic: "out/a", Payload: []byte("1"), QoS: 1, Properties: p.With("k", "v")})
		r.put("out/a", "2", 1)
		r.put("out/a", "3", 1)
		after(time.Second)
		want(t, "dead", r.Stats().DeadKept, 3)
		takes = true
		if err := r.DeadRequeue(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		after(time.Second)
		want(t, "delivered", s.payloads(), "[1]")
		want(t, "left", letters(t, r.Bridge), "[out/a 2: Not authorized out/a 3: Not authorized]")
		if err := r.DeadRequeue(t.Context(), 1); err == nil {
			t.Error("a letter that is gone was queued")
		}
		l, err := r.DeadLetter(3)
		if _, marked := l.Message.Properties.Get(reasonProperty); err != nil || marked || string(l.Message.Payload) != "3" {
			t.Errorf("DeadLetter: %+v %v", l, err)
		}
		n, err := r.DeadPurge(t.Context(), time.Now(), false)
		want(t, "purged", n, 2)
		want(t, "left", len(letters(t, r.Bridge)), 0)
		if err != nil {
			t.Error(err)
		}
	})
}

func TestSpool(t *testing.T) {
	bubble(t, "paused, looked at, purged, drained", func(t *testing.T) {
		s := newServer(t, always(plan{}))
		alarms := newQueue(t)
		r := start(t, s, func(o *Options) {
			o.Out = append(o.Out, Route{From: "alarm/#", Lane: Alarm})
			o.Queues[Alarm] = alarms
		})
		after(time.Second)
		r.Pause()
		for range 100 {
			r.put("out/old", "x", 1)
		}
		after(time.Hour)
		r.put("out/a", "new", 1)
		alarms.add(mqtt.Message{Topic: "alarm/a", QoS: 1})
		after(time.Second)
		want(t, "sent while paused", len(s.publishes()), 0)
		var topics []string
		var first uint64
		r.Spool(0, func(l Letter) bool {
			if topics = append(topics, l.Message.Topic); first == 0 {
				first = l.Seq
			}
			return len(topics) < 3
		})
		want(t, "spool", topics, "[alarm/a out/old out/old]")
		var behind []string
		r.Spool(first, func(l Letter) bool {
			behind = append(behind, l.Message.Topic)
			return len(behind) < 2
		})
		want(t, "behind the alarm", behind, "[out/old out/old]")
		would, err := r.SpoolPurge(t.Context(), time.Now().Add(-time.Minute), true)
		if would != 100 || err != nil || r.q.Stats().Messages != 101 {
			t.Errorf("%d would be purged, %v; %d are left", would, err, r.q.Stats().Messages)
		}
		n, err := r.SpoolPurge(t.Context(), time.Now().Add(-time.Minute), false)
		if err != nil {
			t.Fatal(err)
		}
		want(t, "purged", n, 100)
		want(t, "counted", r.Stats().Purged, 100)
		for range 50 {
			r.put("out/b", "y", 1)
		}
		r.Resume()
		began := time.Now()
		r.drained(t)
		want(t, "delivered", len(s.payloads()), 52)
		if took := time.Since(began); took > time.Second {
			t.Errorf("drained in %v", took)
		}
	})
	bubble(t, "what the server may have is not purged", func(t *testing.T) {
		r := start(t, newServer(t, always(plan{publish: func(int, *packet.View) verdict { return verdict{ignore: true} }})))
		r.put("out/a", "x", 1)
		after(time.Second)
		n, err := r.SpoolPurge(t.Context(), time.Now(), false)
		if n != 0 || err != nil || r.q.Stats().Messages != 1 {
			t.Errorf("%d purged, %v, %d left", n, err, r.q.Stats().Messages)
		}
	})
	bubble(t, "drained at a rate", func(t *testing.T) {
		r := start(t, newServer(t, func(n int) plan { return plan{} }))
		r.Pause()
		for range 100 {
			r.put("out/a", "x", 1)
		}
		after(time.Minute)
		r.s.kill() // they wait for the link now
		after(time.Minute)
		r.Resume()
		began := time.Now()
		r.SpoolDrain(10)
		r.drained(t)
		if took := time.Since(began); took < 9*time.Second || took > 15*time.Second {
			t.Errorf("100 messages at 10/s in %v", took)
		}
		r.Pause()
		for range 100 {
			r.put("out/a", "x", 1)
		}
		r.s.kill()
		after(time.Minute)
		r.Resume()
		began = time.Now()
		r.drained(t)
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("after a drain the next takes %v: its speed stayed", took)
		}
	})
}
