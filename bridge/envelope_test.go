package bridge

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/dunlin-mqtt/dunlin/bridge/cloudtest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

var queued2026 = mqtt.Queued{Seq: 40<<laneBits | uint64(Live), At: start2026}

func set() bool { return true }

func TestEnvelope(t *testing.T) {
	entry := func(topic, payload string, user ...mqtt.UserProperty) *mqtt.Queued {
		e := queued2026
		e.Message = mqtt.Message{Topic: topic, Payload: []byte(payload)}
		if user != nil {
			e.Message.Properties = &mqtt.Properties{User: user}
		}
		return &e
	}
	measured := []mqtt.UserProperty{{Name: "ts", Value: "2026-02-28T12:00:00.250Z"}, {Name: "q", Value: "good"}, {Name: "clock", Value: "synced"}, {Name: "seq", Value: "7"}}
	const own = `"ts":"2026-03-01T23:00:00.000Z","clock":"synced","msg-id":"gw:4g","seq":40`
	for _, tc := range []struct {
		envelope Envelope
		entry    *mqtt.Queued
		want     string
	}{
		{Raw, entry("a", "21.5"), `21.5`},
		{JSON, entry("a/b", "21.5"), `{"topic":"a/b",` + own + `,"value":21.5}`},
		{JSON, entry("a/b", `{"x": 1}`), `{"topic":"a/b",` + own + `,"value":{"x": 1}}`},
		{JSON, entry("a/b", `open "now"`), `{"topic":"a/b",` + own + `,"value":"open \"now\""}`},
		{JSON, entry("a/b", "\xff\x00"), `{"topic":"a/b",` + own + `,"value_b64":"/wA="}`},
		{JSON, entry("a/b", "\"\xff\""), `{"topic":"a/b",` + own + `,"value_b64":"Iv8i"}`},
		{JSON, entry("a/b", ""), ``},
		{JSON, entry("a/b", "1", measured...), `{"topic":"a/b","ts":"2026-02-28T12:00:00.250Z","clock":"synced","q":"good","msg-id":"gw:4g","seq":7,"value":1}`},
		{ThingsBoard, entry("dunlin/n/climate/temperature", "21.5", measured...), `{"climate":[{"ts":1772280000250,"values":{"temperature":21.5}}]}`},
		{ThingsBoard, entry("dunlin/n/climate/state", `{"t":1}`), `{"climate":[{"ts":1772406000000,"values":{"t":1}}]}`},
		{ThingsBoard, entry("home/kitchen", `{"t":1}`), `{"kitchen":[{"ts":1772406000000,"values":{"t":1}}]}`},
		{ThingsBoard, entry("door", "open"), `{"door":[{"ts":1772406000000,"values":{"door":"open"}}]}`},
	} {
		s := (&preparer{clientID: "gw", synced: set}).stampOf(tc.entry, tc.entry.At, false)
		got := string(tc.envelope.wrap(tc.entry.Message.Topic, tc.entry.Message.Payload, &s))
		if got != tc.want {
			t.Errorf("got  %s\nwant %s", got, tc.want)
		}
		if tc.envelope != Raw && got != "" && !json.Valid([]byte(got)) {
			t.Errorf("not JSON: %s", got)
		}
	}
}

// What some readers give up a whole text over is text in it, and comes out as it was.
func TestEnvelopeIsReadableToAll(t *testing.T) {
	deep := strings.Repeat("[", jsonLevels) + strings.Repeat("]", jsonLevels)
	for payload, plain := range map[string]bool{
		deep: true, "[" + deep + "]": false, `{"a":[1]}`: true, `"[[[` + strings.Repeat("[", 100) + `"`: true,
		"1e308": true, "1e309": false, "[-1e400]": false, strings.Repeat("1", jsonNumber): true, strings.Repeat("1", jsonNumber+1): false, "-0.5e-3": true,
		`"\ud83d\ude00"`: true, `"\ud83d"`: false, `"\ud83dx"`: false, `"\ud83d\n"`: false, `"\ude00"`: false, `{"\ude00":1}`: false, `"\ud83d\ud83d\ude00"`: false,
		`"\\ud83d"`: true, `"\"\\"`: true, `"\u00e4 \/"`: true, "true": true, `["\ud83d\ude00\ud83d\ude00", 5]`: true,
	} {
		value, key := jsonValue([]byte(payload))
		want := payload
		if !plain {
			b, err := json.Marshal(payload)
			if err != nil {
				t.Fatal(err)
			}
			want = string(b)
		}
		if string(value) != want || key != "value" {
			t.Errorf("%.60s: %s %.60s, not %.60s", payload, key, value, want)
		}
	}
}

// Whatever is published, the envelope is JSON that holds it.
func FuzzEnvelope(f *testing.F) {
	f.Add("a/b", []byte(`{"x":1}`), "2026-01-01T00:00:00Z", "7")
	f.Add("\"", []byte("\xff\""), "", "-1")
	f.Add("state", []byte("  {}"), "x", "18446744073709551616")
	f.Add("a", []byte(`["\\", "\ud83d\ude00", -1.5e3, "\ud83d`), "", "")
	f.Add("a", []byte(`"\ud83d\u`), "", "")
	f.Fuzz(func(t *testing.T, topic string, payload []byte, ts, seq string) {
		e := queued2026
		e.Message = mqtt.Message{Topic: topic, Payload: payload, Properties: &mqtt.Properties{User: []mqtt.UserProperty{{Name: "ts", Value: ts}, {Name: "seq", Value: seq}}}}
		s := (&preparer{clientID: "gw", synced: set}).stampOf(&e, e.At, false)
		for _, v := range []Envelope{JSON, ThingsBoard} {
			if got := v.wrap(topic, payload, &s); len(payload) > 0 && !(json.Valid(got) && utf8.Valid(got)) {
				t.Errorf("not JSON: %q", got)
			}
		}
	})
}

func TestThingsBoardGetsNoEmptyMessage(t *testing.T) {
	bubble(t, "it would close the connection over what deletes a retained message", func(t *testing.T) {
		r := cloud(t, cloudtest.Options{}, func(o *Options) { o.Envelope = ThingsBoard })
		r.q.add(mqtt.Message{Topic: "out/a", QoS: 1, Retain: true})
		r.put("out/a", "1", 1)
		after(time.Second)
		want(t, "delivered", len(r.c.Payloads()), 1)
		want(t, "unrouted", r.Stats().Unrouted, 1)
		r.stop()
	})
}

func TestB08MessagesCarryAnIdentityThatNoResendChanges(t *testing.T) {
	bubble(t, "msg-id is the same on every connection", func(t *testing.T) {
		r := cloud(t, cloudtest.Options{})
		r.c.Set(func(f *cloudtest.Faults) {
			f.Publish = func(m cloudtest.Message) cloudtest.Verdict {
				return cloudtest.Verdict{CutLate: m.Conn == 1 && string(m.Payload) == "2"}
			}
		})
		for i := range 6 {
			r.put("out/a", fmt.Sprint(i), 1)
		}
		after(time.Minute)
		ids, payloads := map[string]string{}, map[string]string{}
		for _, p := range r.c.Seen() {
			id, _ := p.Properties.Get(propID)
			payload := string(p.Payload)
			if before, known := payloads[id]; id == "" || known && before != payload {
				t.Errorf("%q has the msg-id of %q", payload, before)
			}
			if before, known := ids[payload]; known && before != id {
				t.Errorf("%q was %q, is %q", payload, before, id)
			}
			ids[payload], payloads[id] = id, payload
		}
		if n := len(r.c.Seen()); n < 7 || len(ids) != 6 {
			t.Errorf("%d packets of %d messages", n, len(ids))
		}
		r.stop()
	})
	bubble(t, "QoS 2 arrives once and needs none", func(t *testing.T) {
		r := cloud(t, cloudtest.Options{})
		r.c.Set(func(f *cloudtest.Faults) {
			f.Release = func(uint16) cloudtest.Verdict { return cloudtest.Verdict{CutLate: len(r.c.Connects()) < 3} }
		})
		r.put("out/a", "x", 2)
		after(time.Minute)
		want(t, "arrived, connections", fmt.Sprint(len(r.c.Messages()), len(r.c.Connects())), "1 3")
		if id, has := r.c.Messages()[0].Properties.Get(propID); has {
			t.Errorf("msg-id %q", id)
		}
		r.stop()
	})
}

func TestB16TheClockIsSet(t *testing.T) {
	s := (&preparer{synced: set}).stampOf(&mqtt.Queued{}, time.Unix(100, 0), false)
	want(t, "captured in 1970", s.clock, "unsynced")
	s = (&preparer{synced: func() bool { return false }}).stampOf(&mqtt.Queued{}, start2026, false)
	want(t, "captured by a clock that nobody set", s.clock, "unsynced")
	bubble(t, "order is by sequence, whatever the times say", func(t *testing.T) {
		srv := newServer(t, always(plan{}))
		r := start(t, srv)
		r.Pause()
		for i := range 10 {
			r.put("out/a", fmt.Sprint(i), 1)
		}
		r.q.mu.Lock()
		for i := range r.q.mu.entries { // the clock went back in between
			r.q.mu.entries[i].At = start2026.Add(-time.Duration(i) * time.Hour)
		}
		r.q.mu.Unlock()
		r.Resume()
		after(time.Second)
		want(t, "delivered", srv.payloads(), "[0 1 2 3 4 5 6 7 8 9]")
	})
}

func TestB22LoopsEnd(t *testing.T) {
	bubble(t, "what has come through this gateway goes neither up nor down", func(t *testing.T) {
		var p *mqtt.Properties
		back := message("site/cmd/a", "x", 1)
		back.Properties = p.With(viaProperty, "other,me")
		fresh := message("site/cmd/a", "y", 1)
		fresh.Properties = p.With(viaProperty, "other")
		r := cloud(t, cloudtest.Options{}, withIn(Route{From: "site/cmd/#", To: "cmd/#"}), func(o *Options) { o.Mark = "me" })
		after(time.Second)
		r.c.Publish(back)
		r.c.Publish(fresh)
		r.q.add(mqtt.Message{Topic: "out/a", Payload: []byte("1"), QoS: 1, Properties: p.With(viaProperty, "me,other")})
		r.q.add(mqtt.Message{Topic: "out/a", Payload: []byte("2"), QoS: 1, Properties: p.With(viaProperty, "other")})
		after(time.Second)
		want(t, "up", r.c.Payloads(), "[2]")
		via, _ := r.c.Messages()[0].Properties.Get(viaProperty)
		want(t, "via", via, "other,me")
		want(t, "down", len(r.local.messages()), 1)
		want(t, "looped", r.Stats().Looped, 1)
		r.stop()
	})
}

func TestB23EnvelopeBefore5HasNoProperties(t *testing.T) {
	bubble(t, "JSON tells the time to a server of 3.1.1", func(t *testing.T) {
		s := newServer(t, always(plan{}))
		r := start(t, s, speaking(mqtt.V311), func(o *Options) { o.Envelope = JSON })
		r.put("out/a", "21.5", 1)
		after(time.Second)
		var got struct {
			Topic, Clock string
			TS           time.Time
			Value        float64
		}
		if err := json.Unmarshal([]byte(s.payloads()[0]), &got); err != nil {
			t.Fatal(err)
		}
		if got.Topic != "out/a" || got.Value != 21.5 || time.Since(got.TS) > time.Minute {
			t.Errorf("%+v", got)
		}
	})
}
