package store

import (
	"context"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disktest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// line fills a line with messages that came at a time and expire an hour later;
// all but the last few are spilled.
func dated(t *testing.T, s *Durable, name string, at time.Time, n uint64) {
	t.Helper()
	last := s.mu.state.line(name).Last
	for i := last + 1; i <= last+n; i++ {
		m := &mqtt.Message{Topic: "t", QoS: 1, Payload: body(i, 2000), Expires: at.Add(time.Hour)}
		s.Append(Record{Kind: MessageQueued, At: at, Message: m, Destinations: []Destination{{Name: name, Number: i, QoS: 1}}})
	}
	s.beside() // as Run does
}

// times looks at all of a line, and holds its times to at.
func dates(t *testing.T, s *Durable, name string, at time.Time, n int) {
	t.Helper()
	for after := uint64(0); ; {
		entries, upTo, err := s.Read(name, after, 64<<10)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			break
		}
		for _, e := range entries {
			n--
			if d := e.At.Sub(at); max(d, -d) > 5*time.Second || e.Message.Expires.Sub(e.At) != time.Hour {
				t.Fatalf("entry %d came at %s and expires at %s, want %s and an hour later", e.Number, e.At, e.Message.Expires, at)
			}
		}
		after = upTo
	}
	if n != 0 {
		t.Errorf("%d entries are missing", n)
	}
}

// A board without a clock of its own queues in 1970. When the clock is set, a
// record says by how much those times were off, of what is in the journal and in
// spill files; a checkpoint does not say it twice.
func TestClockIsSet(t *testing.T) {
	const n = 100
	for _, tc := range []struct {
		name   string
		was    time.Time
		offset time.Duration
	}{
		{"from 1970", time.Unix(100, 0), time.Since(time.Unix(100, 0))},
		{"by two hours", time.Now().Add(-2 * time.Hour), 2 * time.Hour},
		{"back by an hour", time.Now().Add(time.Hour), -time.Hour},
		{"back by half a minute", time.Now().Add(30 * time.Second), -30 * time.Second}, // to times that were shown before
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := disktest.New(1 << 30)
			s, _, _, err := Open(d, Options{})
			if err != nil {
				t.Fatal(err)
			}
			earlier := tc.was.Add(-24 * time.Hour) // before this boot
			if tc.was.Before(neverSet) {
				earlier = time.Now().Add(-24 * time.Hour)
			}
			dated(t, s, "old", earlier, 50)
			s.Append(Record{Kind: SessionKept, ClientID: "c", Expiry: time.Hour, At: tc.was})
			dated(t, s, "c", tc.was, n)
			s.setClock(tc.was.Add(-time.Minute), tc.was.Add(time.Minute), tc.offset)
			now := tc.was.Add(tc.offset)
			dated(t, s, "new", now, n)
			dated(t, s, "c", now, n)
			ctx, stop := context.WithCancel(t.Context())
			stop()
			if err := s.Run(ctx); err != nil { // what was appended is written
				t.Fatal(err)
			}
			for round := range 3 {
				d = d.Crash(d.Ops(), disktest.KeepAll, nil)
				s, state, _, err := Open(d, Options{Uptime: func() time.Duration { return time.Minute }, Spills: round > 0})
				if err != nil {
					t.Fatal(err)
				}
				dates(t, s, "old", earlier, 50)
				dates(t, s, "c", now, 2*n)
				dates(t, s, "new", now, n)
				if round == 0 { // the journal is spilled next
					continue
				}
				if left := state.Lines["c"].Left; max(left.Sub(now), now.Sub(left)) > time.Second {
					t.Errorf("the client left at %s, want %s", left, now)
				}
				if err := s.j.Checkpoint(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// Nobody wrote down that the clock was set: what came in 1970 counts from now,
// rather than being half a century old.
func TestClockWasNeverSet(t *testing.T) {
	d := disktest.New(1 << 30)
	s, _, _, err := Open(d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Append(Record{Kind: SessionKept, ClientID: "c", Expiry: time.Hour, At: time.Unix(1000, 0)})
	s.Append(Record{Kind: RetainedSet, Message: &mqtt.Message{Topic: "r", Payload: body(1, 10), QoS: 1, Expires: time.Unix(4600, 0)}})
	dated(t, s, "c", time.Unix(1000, 0), 200)
	if err := s.j.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for range 2 {
		s, state, _, err := Open(d, Options{})
		if err != nil {
			t.Fatal(err)
		}
		dates(t, s, "c", now, 200)
		if left, expires := state.Lines["c"].Left, state.Retained["r"].Message.Expires; now.Sub(left) > time.Minute || expires.Before(now.Add(59*time.Minute)) {
			t.Errorf("the client left at %s, the retained message expires at %s", left, expires)
		}
		if err := s.j.Checkpoint(); err != nil {
			t.Fatal(err)
		}
	}
}

// The clock of the wall is compared with the monotonic one; slewing is no step.
func TestClockStep(t *testing.T) {
	now := time.Now()
	c := clock{start: now}
	if d := c.set(now.Add(time.Hour)); d != 0 {
		t.Errorf("an hour that passed is a step of %s", d)
	}
	c.offset.Store(int64(time.Minute)) // as if the clock had been set back since
	if d := c.set(now.Add(time.Hour)); d != -time.Minute {
		t.Errorf("a step of %s, want -1m", d)
	}
}

// What came in this boot of the system goes by the time that passed after a
// restart, whatever the clock is set to then; what came before it, by the clock.
func TestTimesOfThisBoot(t *testing.T) {
	d := disktest.New(1 << 30)
	s, _, _, err := Open(d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	s.Append(Record{Kind: SessionKept, ClientID: "c", Expiry: time.Hour, At: now})
	s.Append(Record{Kind: SessionKept, ClientID: "old", Expiry: time.Hour, At: now.Add(-2 * time.Hour)})
	keep := func(name string, expires time.Time) {
		s.Append(Record{Kind: RetainedSet, Message: &mqtt.Message{Topic: name, Payload: body(1, 10), QoS: 1, Expires: expires}})
	}
	keep("r", now.Add(time.Hour))
	keep("before", now.Add(time.Hour).Round(0)) // as a start reads it
	keep("never", time.Time{})
	if err := s.j.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	for round := range 2 { // out of a checkpoint, and of one that a start wrote
		s, state, _, err := Open(d, Options{Uptime: func() time.Duration { return time.Hour }})
		if err != nil {
			t.Fatal(err)
		}
		monotonic := func(what string, at time.Time, want bool) {
			t.Helper()
			if is := at != at.Round(0); is != want {
				t.Errorf("round %d: %s is %v; it goes by the time that passed: %v, want %v", round, what, at, is, want)
			}
		}
		monotonic("r", state.Retained["r"].Message.Expires, true)
		monotonic("before", state.Retained["before"].Message.Expires, false)
		monotonic("never", state.Retained["never"].Message.Expires, false)
		monotonic("c", state.Lines["c"].Left, true)
		monotonic("old", state.Lines["old"].Left, false)
		if err := s.j.Checkpoint(); err != nil {
			t.Fatal(err)
		}
	}
}

// A retained message that was written before the clock was set is corrected.
func TestRetainedExpiryIsCorrected(t *testing.T) {
	d := disktest.New(1 << 30)
	s, _, _, err := Open(d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	set := func(name string, expires time.Time) {
		s.Append(Record{Kind: RetainedSet, Message: &mqtt.Message{Topic: name, Payload: body(1, 10), QoS: 1, Expires: expires}})
	}
	set("r", now.Add(time.Hour))
	set("twice", now.Add(time.Hour))
	s.setClock(now.Add(-time.Minute), time.Now(), 3*time.Hour)
	set("twice", now.Add(4*time.Hour).Round(0))
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	_, state, _, err := Open(d, Options{Uptime: func() time.Duration { return time.Hour }})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"r", "twice"} {
		if e := state.Retained[name].Message.Expires.Sub(now.Add(4 * time.Hour)); max(e, -e) > time.Second {
			t.Errorf("%s expires %v off", name, e)
		}
	}
}
