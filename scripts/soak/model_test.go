package main

import (
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/packet"
)

// The model must see each kind of mistake; a soak that finds nothing says
// nothing otherwise.
func TestInboxSeesWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		numbers string // as they come; d is DUP
		lost    uint64
		want    string
	}{
		"in order":              {"123", 0, ""},
		"a hole":                {"13", 0, "2 is owed"},
		"a hole given up":       {"13", 2, ""},
		"the first is missing":  {"2", 0, "1 is owed"},
		"twice":                 {"11", 0, "again or out of order"},
		"again with DUP":        {"1d1", 0, ""},
		"out of order":          {"21", 1, "again or out of order"},
		"a number nobody sent":  {"7", 0, "never sent"},
		"the last has not come": {"12", 0, "number 3"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStream(0, "t/1", 1)
			b := newInbox("a", []*stream{s})
			b.connections = 2
			b.asking("t/+", 2)
			b.subscribed("t/+")
			for range 3 {
				s.take()
			}
			if c.lost > 0 {
				s.giveUp(c.lost)
			}
			got := ""
			dup := false
			for _, r := range c.numbers {
				if dup = r == 'd'; dup {
					continue
				}
				if err := b.take(delivery{topic: "t/1", number: uint64(r - '0'), qos: 1, dup: strings.Contains(c.numbers, "d"+string(r))}); err != nil && got == "" {
					got = err.Error()
				}
			}
			if got == "" && c.want != "" || c.want == "" && strings.HasSuffix(c.numbers, "3") {
				got = b.missing()
			}
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestInboxSeesWhatComesAfterUnsuback(t *testing.T) {
	s := newStream(0, "t/1", 1)
	b := newInbox("a", []*stream{s})
	if b.take(delivery{topic: "t/1", number: s.take(), qos: 1}) == nil {
		t.Error("without a subscription: no fault")
	}
	b.asking("t/+", 1)
	b.subscribed("t/+")
	b.leaving("t/+")
	n := s.take()
	b.unsubscribed("t/+")
	if err := b.take(delivery{topic: "t/1", number: n, qos: 1}); err != nil {
		t.Error(err)
	}
	if b.take(delivery{topic: "t/1", number: s.take(), qos: 1}) == nil {
		t.Error("sent after UNSUBACK: no fault")
	}
	if m := b.missing(); m != "" {
		t.Error(m)
	}
}

func TestWillsAreJudged(t *testing.T) {
	start := time.Now()
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	for name, c := range map[string]struct {
		delay time.Duration
		then  func(*wills, *will)
		comes float64 // seconds; 0: never
		want  string
	}{
		"on time":                 {0, func(*wills, *will) {}, 0.5, ""},
		"never":                   {0, func(*wills, *will) {}, 0, "never came"},
		"late":                    {0, func(*wills, *will) {}, 9, "late"},
		"before its delay":        {3 * time.Second, func(*wills, *will) {}, 1, "early"},
		"back in time":            {3 * time.Second, func(w *wills, o *will) { w.cancel(o, at(1), at(2)) }, 0, ""},
		"back in time, but":       {3 * time.Second, func(w *wills, o *will) { w.cancel(o, at(1), at(2)) }, 3, "came, but"},
		"back too late":           {3 * time.Second, func(w *wills, o *will) { w.cancel(o, at(20), at(21)) }, 0, "never came"},
		"back at the same moment": {3 * time.Second, func(w *wills, o *will) { w.cancel(o, at(2.9), at(3.1)) }, 0, ""},
		"session ended":           {3 * time.Second, func(w *wills, o *will) { w.hasten(o, at(1), at(1)) }, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := &wills{late: time.Second}
			o := w.add("a", c.delay)
			w.expect(o, "cut", start, start)
			c.then(w, o)
			if c.comes > 0 {
				if err := w.take(o.number, at(c.comes)); err != nil {
					t.Fatal(err)
				}
			}
			got := ""
			for _, err := range w.judge() {
				got = err.Error()
			}
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestGroupsAreJudged(t *testing.T) {
	g := newGroup("$share/g/s", 1)
	s := newStream(0, "s", 1)
	s.group = g
	one, other := newInbox("a", nil), newInbox("a", nil)
	d := delivery{number: s.take(), qos: 1}
	s.acknowledged(d.number)
	if g.missing() == "" {
		t.Error("a message that nobody got: no fault")
	}
	if err := g.take(s, one, d); err != nil || g.missing() != "" {
		t.Error(err, g.missing())
	}
	if g.take(s, other, d) == nil {
		t.Error("to two members: no fault")
	}
	other.end(time.Time{})
	if err := g.take(s, one, d); err != nil {
		t.Errorf("the other's session has ended: %v", err)
	}
	if g.take(s, one, d) == nil {
		t.Error("twice to one member: no fault")
	}
}

func TestGaugesAreJudged(t *testing.T) {
	start := time.Now()
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	for name, c := range map[string]struct {
		gauge  gauge
		values string
		want   string
	}{
		"as it was said":   {gauge{id: 3}, "3 11 11 19", ""},
		"another's":        {gauge{id: 3}, "3 12", "12 is nothing that it said"},
		"not said yet":     {gauge{id: 3}, "27", "27 is nothing that it said"},
		"between two":      {gauge{id: 3}, "3.5", "3.5 is nothing that it said"},
		"back in time":     {gauge{id: 3}, "11 3", "number 0 after number 1"},
		"simulated":        {gauge{min: 100, max: 110}, "100 104.5", ""},
		"of another":       {gauge{min: 100, max: 110}, "204", "not between"},
		"any":              {gauge{}, "gps", ""},
		"no number at all": {gauge{id: 1}, "gps", "invalid syntax"},
	} {
		t.Run(name, func(t *testing.T) {
			for n := range 3 {
				c.gauge.say(at(float64(n)))
			}
			got := ""
			for _, v := range strings.Fields(c.values) {
				if err := c.gauge.take(v, at(5)); err != nil {
					got = err.Error()
				}
			}
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
	g := gauge{id: 1}
	g.say(at(0))
	if err := g.take("1", at(9)); err != nil { // whenever the server says it was read
		t.Fatal(err)
	}
	if g.judge(at(3), 3*time.Second) != nil || g.judge(at(4), 3*time.Second) == nil {
		t.Error("a value may be 3 seconds old")
	}
	if err := g.take("", at(9)); err != nil || g.judge(at(20), 0) != nil {
		t.Error("what was withdrawn has no age", err)
	}
}

func TestResultsAndStrangersAreSeen(t *testing.T) {
	f := &fleet{answers: make(map[string]string), devices: map[string]*device{"board": {gauges: map[string]*gauge{"a": {}}}}}
	one := &packet.Properties{CorrelationData: []byte("1"), User: []packet.UserProperty{{Name: []byte("ts"), Value: []byte("2026-11-22T17:00:00.000Z")}}}
	for _, c := range []struct {
		topic string
		ok    bool
	}{
		{"board/relay/result", true}, {"board/relay/result", false}, // twice
		{"board/a", true}, {"board/b", false}, {"bored/a", false}, {"board/health", true}, {"status", true},
	} {
		if err := f.taken(c.topic, "1", one); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.topic, err)
		}
	}
}
