package bridge

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/bridge/cloudtest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// joined is one message of a batch.
type joined struct{ topic, payload string }

// unbatch takes a batch of either form apart, compressed or not.
func unbatch(t testing.TB, b []byte) (all []joined) {
	t.Helper()
	if len(b) > 2 && b[0] == 0x1f && b[1] == 0x8b {
		b = gunzip(t, b)
	}
	if b[0] == '[' {
		var objects []struct {
			Topic, TS, Clock string
			Value            any
		}
		if err := json.Unmarshal(b, &objects); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		for _, o := range objects {
			if _, err := time.Parse(time.RFC3339, o.TS); err != nil || o.Clock == "" {
				t.Errorf("%+v", o)
			}
			all = append(all, joined{o.Topic, fmt.Sprint(o.Value)})
		}
		return all
	}
	take := func(n int) []byte {
		if n > len(b) {
			t.Fatalf("a batch ends early: %d of %d bytes", len(b), n)
		}
		out := b[:n]
		b = b[n:]
		return out
	}
	for len(b) > 0 {
		topic := take(int(binary.BigEndian.Uint16(take(2))))
		if ms := int64(binary.BigEndian.Uint64(take(8))); time.Since(time.UnixMilli(ms)).Abs() > 100*24*time.Hour {
			t.Errorf("%s: captured at %v", topic, time.UnixMilli(ms))
		}
		all = append(all, joined{string(topic), string(take(int(binary.BigEndian.Uint32(take(4)))))})
	}
	return all
}

func batching(b Batch) func(*Options) {
	return func(o *Options) { o.Out = []Route{{From: "out/+", To: "up/batch", Batch: b}} }
}

// batches are those that a server took, "topic payload" with commas between.
func batches(t *testing.T, s *fakeServer) (all []string) {
	for _, p := range s.payloads() {
		var parts []string
		for _, j := range unbatch(t, []byte(p)) {
			parts = append(parts, strings.TrimPrefix(j.topic, "out/")+" "+j.payload)
		}
		all = append(all, strings.Join(parts, ","))
	}
	return all
}

func TestBatch(t *testing.T) {
	ten := Batch{Form: BatchJSON, Count: 3, Bytes: 1 << 20, Wait: 10 * time.Second}
	for name, b := range map[string]Batch{
		"JSON": ten, "JSON, gzip": {Form: BatchJSON, Count: 3, Bytes: 1 << 20, Wait: 10 * time.Second, Gzip: true},
		"binary": {Form: BatchBinary, Count: 3, Bytes: 1 << 20, Wait: 10 * time.Second}, "binary, gzip": {Form: BatchBinary, Count: 3, Bytes: 1 << 20, Wait: 10 * time.Second, Gzip: true},
	} {
		bubble(t, name+": full ones leave at once, the last when its first has waited", func(t *testing.T) {
			r := start(t, newServer(t, always(plan{})), batching(b))
			for i := range 7 {
				r.put(fmt.Sprint("out/", i%2), fmt.Sprint(i), mqtt.QoS(i%3))
			}
			after(9 * time.Second)
			want(t, "full", batches(t, r.s), "[0 0,1 1,0 2 1 3,0 4,1 5]")
			after(2 * time.Second)
			want(t, "all", batches(t, r.s), "[0 0,1 1,0 2 1 3,0 4,1 5 0 6]")
			p := r.s.publishes()[0]
			want(t, "topic, QoS, retain", fmt.Sprint(p.topic, p.qos, p.retain), "up/batch1 false")
			want(t, "encoding", p.user["content-encoding"], map[bool]string{true: "gzip"}[b.Gzip])
			want(t, "queue", r.q.Stats().Messages, 0)
			want(t, "acked", r.Stats().Acked, 6) // the last is of QoS 0
		})
	}
	bubble(t, "bytes bound it, and one message always fits", func(t *testing.T) {
		b := ten
		b.Form, b.Bytes = BatchBinary, 100
		r := start(t, newServer(t, always(plan{})), batching(b))
		for _, n := range []int{30, 30, 300, 30} {
			r.put("out/a", strings.Repeat("x", n), 1)
		}
		after(time.Minute)
		var sizes []int
		for _, s := range batches(t, r.s) {
			sizes = append(sizes, len(s))
		}
		want(t, "sizes", sizes, []int{65, 302, 32})
	})
	bubble(t, "MQTT-3.2.2-15 the server's Maximum Packet Size bounds it, also a smaller one after a reconnect", func(t *testing.T) {
		b := Batch{Form: BatchBinary, Count: 100, Bytes: 1 << 20, Wait: time.Second, Gzip: true}
		r := start(t, newServer(t, then(
			plan{packetMax: 2000, publish: func(int, *packet.View) verdict { return verdict{kill: true} }},
			plan{packetMax: 300})), batching(b))
		for i := range 30 {
			r.put("out/a", fmt.Sprint(i, " ", strings.Repeat(string(rune('a'+i)), 90)), 1)
		}
		after(10 * time.Minute)
		want(t, "queue", r.q.Stats().Messages, 0)
		want(t, "dead", r.Stats().Dead, 0)
	})
	bubble(t, "what waits when the bridge stops leaves", func(t *testing.T) {
		b := ten
		b.Wait = time.Hour
		r := start(t, newServer(t, always(plan{})), batching(b))
		r.put("out/a", "1", 1)
		after(time.Minute)
		want(t, "before", batches(t, r.s), "[]")
		r.stop()
		want(t, "after", batches(t, r.s), "[a 1]")
	})
	bubble(t, "one whose lane has no budget left stays when an alarm's is due", func(t *testing.T) {
		alarms := newQueue(t)
		r := start(t, newServer(t, always(plan{})), func(o *Options) {
			o.Out = []Route{{From: "alarm", To: "up/alarm", Lane: Alarm, Batch: Batch{Form: BatchJSON, Count: 10, Bytes: 1000, Wait: 20 * time.Second}}}
			for i := range 8 {
				o.Out = append(o.Out, Route{From: fmt.Sprint("out/", i), To: fmt.Sprint("up/", i), Batch: Batch{Form: BatchJSON, Count: 10, Bytes: 1000, Wait: 10 * time.Second}})
			}
			o.Out = append(o.Out, Route{From: "out/large"})
			o.Queues[Alarm], o.Pace = alarms, Pace{Daily: 5000}
		})
		for i := range 8 {
			r.put(fmt.Sprint("out/", i), "1", 1)
		}
		r.put("out/large", strings.Repeat("x", 6000), 1)
		after(time.Second)
		for range 3 {
			alarms.add(mqtt.Message{Topic: "alarm", Payload: []byte("1"), QoS: 1})
			after(time.Minute)
		}
		var topics []string
		for _, p := range r.s.publishes() {
			topics = append(topics, p.topic)
		}
		want(t, "sent", topics, []string{"out/large", "up/alarm", "up/alarm", "up/alarm"})
	})
	bubble(t, "one that the pace has held back leaves with what came meanwhile", func(t *testing.T) {
		r := start(t, newServer(t, always(plan{})), batching(Batch{Form: BatchJSON, Count: 100, Bytes: 4 << 10, Wait: time.Second}),
			func(o *Options) { o.Pace = Pace{Bytes: 1 << 10} })
		for i := range 80 {
			r.put("out/a", fmt.Sprint(i, strings.Repeat("x", 200)), 1)
		}
		after(time.Hour)
		n := 0
		for _, p := range r.s.publishes() {
			if len(p.payload) < 2<<10 {
				n++
			}
		}
		if len(r.s.publishes()) < 4 || n > 1 {
			t.Errorf("%d of %d batches are small", n, len(r.s.publishes()))
		}
	})
	bubble(t, "a pause holds it back", func(t *testing.T) {
		r := start(t, newServer(t, always(plan{})), batching(ten))
		r.put("out/a", "1", 1)
		after(time.Second)
		r.Pause()
		after(time.Hour)
		want(t, "paused", batches(t, r.s), "[]")
		r.Resume()
		after(time.Second)
		want(t, "resumed", batches(t, r.s), "[a 1]")
	})
	bubble(t, "a message that expired, or is too large for its route, is not in it", func(t *testing.T) {
		dead := newQueue(t)
		r := start(t, newServer(t, always(plan{})), batching(ten), func(o *Options) {
			o.Out[0].MaxSize, o.Out[0].TTL, o.Dead = 5, time.Minute, dead
		})
		r.Pause()
		r.put("out/a", "old", 1)
		after(time.Hour)
		r.put("out/a", "larger", 1)
		r.put("out/a", "fits", 1)
		r.Resume()
		after(time.Minute)
		want(t, "sent", batches(t, r.s), "[a fits]")
		want(t, "expired, dead", fmt.Sprint(r.Stats().Expired, r.Stats().Dead), "1 1")
		want(t, "dead letters", letters(t, r.Bridge), "[out/a lar: larger than the route takes]")
	})
	bubble(t, "a message larger than its route takes is given up without batches too", func(t *testing.T) {
		r := start(t, newServer(t, always(plan{})), withDead(t), func(o *Options) { o.Out[0].MaxSize = 5 })
		r.put("out/a", "larger", 1)
		r.put("out/a", "fits", 1)
		after(time.Second)
		want(t, "sent", r.s.payloads(), "[fits]")
		want(t, "dead letters", letters(t, r.Bridge), "[out/a lar: larger than the route takes]")
	})
}

func TestBatchAgain(t *testing.T) {
	b := Batch{Form: BatchJSON, Count: 5, Bytes: 1 << 20, Wait: time.Second}
	bubble(t, "MQTT-3.3.1-1 MQTT-4.4.0-1 it is sent again as it was, DUP=1, with its identifier", func(t *testing.T) {
		s := newServer(t, then(plan{publish: func(int, *packet.View) verdict { return verdict{kill: true} }}, plan{}))
		r := start(t, s, batching(b))
		r.put("out/a", "1", 1)
		r.put("out/a", "2", 2)
		after(1100 * time.Millisecond) // sent, and the connection is lost
		r.put("out/a", "3", 1)
		after(time.Minute)
		p := s.publishes()
		if len(p) != 3 || p[0].payload != p[1].payload || p[0].id != p[1].id || p[0].dup || !p[1].dup || p[2].dup {
			t.Errorf("sent: %+v", p)
		}
		want(t, "taken", batches(t, s), "[a 1,a 2 a 3]")
	})
	bad := func(code mqtt.ReasonCode, goodbye, kill bool) func(int) plan {
		return always(plan{publish: func(_ int, p *packet.View) verdict {
			switch {
			case !strings.Contains(string(p.Publish.Payload), `"bad"`):
				return verdict{}
			case kill:
				return verdict{kill: true}
			case goodbye:
				return verdict{goodbye: code}
			}
			return verdict{code: code}
		}})
	}
	for name, plans := range map[string]func(int) plan{
		"refused: ":                   bad(mqtt.PayloadFormatInvalid, false, false),
		"disconnected: ":              bad(mqtt.PacketTooLarge, true, false),
		"closed over without a word:": bad(0, false, true),
	} {
		bubble(t, name+"only the message that is to blame is given up", func(t *testing.T) {
			r := start(t, newServer(t, plans), batching(b), withDead(t))
			for i := range 12 {
				payload := fmt.Sprint(i)
				if i == 7 {
					payload = "bad"
				}
				r.put("out/a", payload, 1)
			}
			after(time.Hour)
			want(t, "taken", strings.Join(batches(t, r.s), ","), "a 0,a 1,a 2,a 3,a 4,a 5,a 6,a 8,a 9,a 10,a 11")
			if got := letters(t, r.Bridge); len(got) != 1 || !strings.HasPrefix(got[0], "out/a bad") {
				t.Errorf("dead letters: %q", got)
			}
			want(t, "queue", r.q.Stats().Messages, 0)
		})
	}
	bubble(t, "0x97 Quota exceeded keeps it", func(t *testing.T) {
		s := newServer(t, always(plan{publish: func(n int, _ *packet.View) verdict {
			return map[bool]verdict{true: {code: mqtt.QuotaExceeded}}[n == 2]
		}}))
		r := start(t, s, batching(b))
		for i := range 15 {
			r.put("out/a", fmt.Sprint(i), 1)
		}
		after(time.Minute)
		want(t, "queue", r.q.Stats().Messages, 0)
		seen := map[string]int{}
		for _, batch := range batches(t, s) {
			for part := range strings.SplitSeq(batch, ",") {
				seen[part]++
			}
		}
		want(t, "different", len(seen), 15)
	})
	bubble(t, "what expires meanwhile comes again in its batch, but not with another process", func(t *testing.T) {
		q := newQueue(t)
		c, err := cloudtest.New(cloudtest.Options{Faults: cloudtest.Faults{DropAcks: true}})
		if err != nil {
			t.Fatal(err)
		}
		first := againstQueue(t, c, q, batching(b), func(o *Options) { o.Out[0].TTL = time.Minute })
		first.put("out/a", "1", 1)
		first.put("out/a", "2", 1)
		after(90 * time.Second) // the link is given up after a minute without an acknowledgement
		seen := c.Seen()
		if n := len(seen); n != 2 || !seen[1].Dup || string(seen[1].Payload) != string(seen[0].Payload) {
			t.Errorf("sent: %+v", seen)
		}
		first.stop() // its end closes the server too
		if c, err = cloudtest.New(cloudtest.Options{}); err != nil {
			t.Fatal(err)
		}
		second := againstQueue(t, c, q, batching(b), func(o *Options) { o.Out[0].TTL = time.Minute })
		after(10 * time.Second)
		want(t, "sent", len(c.Seen()), 0)
		want(t, "expired", second.Stats().Expired, 2)
		second.stop()
	})
	bubble(t, "QoS 0 leaves the queue when it has left", func(t *testing.T) {
		r := start(t, newServer(t, always(plan{})), batching(b))
		for range 5 {
			r.put("out/a", "1", 0)
		}
		after(100 * time.Millisecond)
		want(t, "queue", r.q.Stats().Messages, 0)
		want(t, "QoS", r.s.publishes()[0].qos, 0)
	})
}

func TestBatchOptions(t *testing.T) {
	q := newQueue(t)
	for _, tc := range []struct {
		change func(*Options)
		msg    string
	}{
		{func(o *Options) { o.Out[0].To = "up/+" }, "a batch has one topic"},
		{func(o *Options) { o.Envelope = ThingsBoard }, "takes no batches"},
	} {
		o := Options{Name: "x", ClientID: "x", Servers: []string{"mqtt://h"}, Queues: [LaneCount]Queue{q}}
		batching(Batch{Form: BatchJSON, Count: 2, Bytes: 100, Wait: time.Second})(&o)
		tc.change(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), tc.msg) {
			t.Errorf("New: %v, not %q", err, tc.msg)
		}
	}
}

// simBatch is the batch of a history of TestSimulation, by its seed.
func simBatch(seed uint64) Batch {
	return Batch{
		Form: BatchJSON + BatchForm(seed/5%2), Count: 2 + int(seed%9), Bytes: 500, Wait: time.Duration(1+seed%5) * time.Second, Gzip: seed%2 > 0,
	}
}

// unbatched are messages with what was joined apart again.
func unbatched(t *testing.T, all []cloudtest.Message) (out []cloudtest.Message) {
	for _, m := range all {
		if m.Topic != "up/batch" {
			out = append(out, m)
			continue
		}
		for _, j := range unbatch(t, m.Payload) {
			single := m
			single.Payload = []byte(j.payload)
			out = append(out, single)
		}
	}
	return out
}
