package bridge

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// thinned is an Intake with a queue that is a slice.
type thinned struct {
	*Intake
	seq     uint64
	entries []mqtt.Queued
}

func newThinned(t *testing.T, keep Keep) *thinned {
	t.Helper()
	in, err := NewIntake(Live, []Route{{From: "other", Lane: Alarm}, {From: "#", Keep: keep}})
	if err != nil {
		t.Fatal(err)
	}
	return &thinned{Intake: in}
}

func (q *thinned) put(now time.Time, topic, payload string) {
	q.publish(now, &mqtt.Message{Topic: topic, Payload: []byte(payload)})
}

func (q *thinned) publish(now time.Time, m *mqtt.Message) {
	keep, instead := q.Admit(now, m)
	if keep == nil {
		return
	}
	i := slices.IndexFunc(q.entries, func(e mqtt.Queued) bool { return e.Seq == instead })
	if i >= 0 {
		q.entries = slices.Delete(q.entries, i, i+1)
	}
	q.seq++
	q.entries = append(q.entries, mqtt.Queued{Seq: q.seq, Message: *keep})
	q.Queued(q.seq, i >= 0)
}

func (q *thinned) payloads() (all []string) {
	for _, e := range q.entries {
		all = append(all, string(e.Message.Payload))
	}
	return all
}

func TestThinWhileOffline(t *testing.T) {
	minute := time.Minute
	for _, tc := range []struct {
		name string
		keep Keep
		want string
	}{
		{"all", Keep{}, "[1.0 4.0 2.0 text 3.0 9.0 8.0]"},
		{"none", Keep{What: KeepNone}, "[]"},
		{"last-value", Keep{What: KeepLast}, "[8.0]"},
		{"every third", Keep{What: KeepEvery, Every: 3}, "[1.0 text 8.0]"},
		{"mean", Keep{What: KeepMean, Window: minute}, "[2.33 text 6.00 8.0]"},
		{"min", Keep{What: KeepMin, Window: minute}, "[1.0 text 3.0 8.0]"},
		{"max", Keep{What: KeepMax, Window: minute}, "[4.0 text 9.0 8.0]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			q := newThinned(t, tc.keep)
			now := start2026
			q.put(now, "other", "of another lane")
			q.up.Store(false)
			for i, payload := range []string{"1.0", "4.0", "2.0", "text", "3.0", "9.0"} {
				q.put(now.Add(time.Duration(i)*10*time.Second), "a", payload)
			}
			q.put(now.Add(3*minute), "a", "8.0")
			want(t, "kept", q.payloads(), tc.want)
			left, gave := q.thinned()
			want(t, "messages", int(left+gave)+len(q.entries), 7)
			q.up.Store(true)
			for range 5 {
				q.put(now.Add(4*minute), "a", "7")
			}
			if got := len(q.payloads()); !slices.Equal(q.payloads()[got-5:], []string{"7", "7", "7", "7", "7"}) {
				t.Errorf("while up: %v", q.payloads())
			}
		})
	}
}

// A retained message gives way to another one only, so that the last of them is
// what the other side holds.
func TestThinKeepsTheLastRetained(t *testing.T) {
	for what, kept := range map[KeepWhat]string{
		KeepLast: "[3 4]", KeepMean: "[2.0 3.0]", KeepMin: "[1 2]", KeepMax: "[3 4]", KeepEvery: "[1]", KeepNone: "[]",
	} {
		q := newThinned(t, Keep{What: what, Every: 10, Window: time.Minute})
		for _, payload := range []string{"1", "2", "3", "4"} {
			q.publish(start2026, &mqtt.Message{Topic: "a", Payload: []byte(payload), Retain: payload == "1" || payload == "3"})
		}
		want(t, fmt.Sprint("kept by ", what), q.payloads(), kept)
		q.publish(start2026, &mqtt.Message{Topic: "a", Retain: true})
		if last := q.entries[len(q.entries)-1].Message; len(last.Payload) > 0 || !last.Retain {
			t.Errorf("by %d what deletes is not kept: %v", what, q.payloads())
		}
	}
}

// A window ends when the link comes up, also if nothing is published meanwhile: its
// value may have left.
func TestThinEndsWindowsWhenTheLinkIsUp(t *testing.T) {
	for what, kept := range map[KeepWhat]string{KeepLast: "[9.0]", KeepMean: "[2.00 9.0]", KeepMin: "[1.0 9.0]", KeepMax: "[3.0 9.0]", KeepEvery: "[1.0 9.0]"} {
		q := newThinned(t, Keep{What: what, Every: 5, Window: time.Hour})
		q.put(start2026, "a", "1.0")
		q.put(start2026, "a", "3.0")
		q.up.Store(true)
		q.stale()
		q.up.Store(false)
		q.put(start2026, "a", "9.0")
		want(t, fmt.Sprint("kept by ", what), q.payloads(), kept)
	}
}

// What is no number for a mean must not become part of one, and a mean has the
// digits that its numbers have.
func TestThinOddNumbers(t *testing.T) {
	for in, kept := range map[string]string{
		"1.0 nan 3.0": "[1.0 nan 3.0]", "1 -Inf 3": "[1 -Inf 3]", "2e-6 4e-6": "[3.0e-06]", "1.5E3 1.25E3": "[1.375e+03]", "-0.5 0.5": "[0.00]",
	} {
		q := newThinned(t, Keep{What: KeepMean, Window: time.Minute})
		for _, payload := range strings.Fields(in) {
			q.put(start2026, "a", payload)
		}
		want(t, in, q.payloads(), kept)
	}
}

// Random messages of several topics against a model that remembers them all.
func TestThinRacesAModel(t *testing.T) {
	for seed := range uint64(200) {
		r := newRand(seed)
		what := KeepMean + KeepWhat(r.IntN(3))
		q := newThinned(t, Keep{What: what, Window: time.Minute})
		q.up.Store(false)
		now := start2026
		type window struct {
			topic  string
			ends   time.Time
			values []float64
		}
		var model []*window
		open := map[string]*window{}
		for range 100 {
			now = now.Add(time.Duration(r.IntN(30)) * time.Second)
			topic, v := strconv.Itoa(r.IntN(3)), float64(r.IntN(100))
			q.put(now, topic, fmt.Sprint(v))
			w := open[topic]
			if w == nil || now.After(w.ends) {
				w = &window{topic: topic, ends: now.Add(time.Minute)}
				open[topic] = w
				model = append(model, w)
			}
			w.values = append(w.values, v)
		}
		got := map[string][]float64{}
		for _, e := range q.entries {
			v, err := strconv.ParseFloat(string(e.Message.Payload), 64)
			if err != nil {
				t.Fatal(err)
			}
			got[e.Message.Topic] = append(got[e.Message.Topic], v)
		}
		expected := map[string][]float64{}
		for _, w := range model {
			v := w.values[0]
			for _, x := range w.values[1:] {
				switch what {
				case KeepMin:
					v = min(v, x)
				case KeepMax:
					v = max(v, x)
				default:
					v += x
				}
			}
			if what == KeepMean {
				v = math.Round(v/float64(len(w.values))*10) / 10
			}
			expected[w.topic] = append(expected[w.topic], v)
		}
		for topic, e := range expected {
			if !slices.EqualFunc(got[topic], e, func(a, b float64) bool { return math.Abs(a-b) < 0.11 }) {
				t.Fatalf("seed %d, topic %s: got %v, want %v", seed, topic, got[topic], e)
			}
		}
	}
}
