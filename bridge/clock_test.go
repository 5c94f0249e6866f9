package bridge

import (
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// board is a machine whose clock is set by tests.
type board struct {
	boot  time.Time // what its clock shows at first
	since time.Duration
	steps time.Duration // by which it was set, together
}

func (b *board) now(time.Time) (time.Time, time.Duration) {
	return b.boot.Add(b.since + b.steps), b.since
}

// set sets the clock.
func (b *board) set(wall time.Time) { b.steps = wall.Sub(b.boot) - b.since }

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// The two clocks are not looked at in the same instant: times that are corrected
// keep their order all the same.
func TestB16CorrectedTimesKeepTheirOrder(t *testing.T) {
	b := &board{boot: time.Unix(5, 0).UTC()}
	c := newClock(b.now)
	b.since = time.Hour
	b.set(noon)
	var last time.Time
	for i := range 100 {
		b.steps += time.Duration(i*7%11-5) * 100 * time.Microsecond
		at, corrected := c.correct(b.boot.Add(time.Duration(i)*time.Microsecond), noon)
		if !corrected || at.Before(last) {
			t.Fatalf("after %v comes %v", last, at)
		}
		last = at
	}
}

func TestB16ClockIsSet(t *testing.T) {
	b := &board{boot: time.Unix(5, 0).UTC()}
	c := newClock(b.now)
	first := b.boot.Add(time.Second)
	b.since = 2 * time.Hour
	want(t, "before it is set", first, func() any { at, _ := c.correct(first, noon); return at }())
	b.set(noon) // at noon it is noticed only a minute later
	b.since += time.Minute
	for _, tc := range []struct{ at, want time.Time }{
		{first, noon.Add(time.Second - 2*time.Hour)},
		{b.boot.Add(2 * time.Hour), noon},
		{noon.Add(30 * time.Second), noon.Add(30 * time.Second)},
		{noon.Add(-time.Hour), noon.Add(-time.Hour)}, // of another clock
		{b.boot.Add(-time.Hour), b.boot.Add(-time.Hour)},
	} {
		at, corrected := c.correct(tc.at, noon)
		if !at.Equal(tc.want) || corrected != !at.Equal(tc.at) {
			t.Errorf("%v is corrected to %v, want %v", tc.at, at, tc.want)
		}
	}
	// The right time comes in a second step, and the clock is slewed then.
	b.since += time.Hour
	c.correct(noon, noon)
	b.steps += 10 * time.Minute
	for range 100 {
		b.since += time.Minute
		b.steps += 100 * time.Millisecond
		c.correct(noon, noon)
	}
	for at, want := range map[time.Time]time.Time{
		first: noon.Add(10*time.Minute + time.Second - 2*time.Hour), noon.Add(time.Minute): noon.Add(11 * time.Minute),
	} {
		if got, _ := c.correct(at, noon); got.Sub(want).Abs() > 11*time.Second {
			t.Errorf("%v is corrected to %v, want %v", at, got, want)
		}
	}
	// Set back, only what lies in the future can be told.
	ahead := &board{boot: noon.Add(24 * time.Hour)}
	c = newClock(ahead.now)
	ahead.since = time.Hour
	c.correct(noon, noon)
	ahead.set(noon)
	if got, _ := c.correct(noon.Add(24*time.Hour+30*time.Minute), noon); !got.Equal(noon.Add(-30 * time.Minute)) {
		t.Errorf("set back: %v", got)
	}
	for range 100 { // a clock that jumps about costs no memory
		ahead.steps += time.Hour
		c.correct(noon, noon)
	}
	want(t, "epochs", len(c.mu.epochs), mostEpochs)
}

func TestB16Messages(t *testing.T) {
	b := &board{boot: time.Unix(5, 0).UTC()}
	routes, err := compileAll("out", []Route{{From: "#", TTL: time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	p := preparer{self: "bridge:x", clientID: "gw", mark: "me", routes: routes, synced: set, clock: newClock(b.now)}
	entry := func(after time.Duration, user ...mqtt.UserProperty) *mqtt.Queued {
		at := b.boot.Add(after)
		return &mqtt.Queued{Seq: 4, At: at, Message: mqtt.Message{Topic: "a", QoS: 1, Expires: at.Add(10 * time.Minute), Properties: &mqtt.Properties{User: user}}}
	}
	b.since = 20 * time.Minute
	b.set(noon)
	lim := limits{maximumQoS: 2, sessionPresent: true, retain: true}
	stamped := func(o outgoing, name string) string {
		for _, u := range o.add {
			if u.Name == name {
				return u.Value
			}
		}
		return "-"
	}
	for _, tc := range []struct {
		name          string
		e             *mqtt.Queued
		ts, clock     string
		expiry        uint32
		fate          fate
		before, unset bool
	}{
		{name: "captured before the clock was set", e: entry(15 * time.Minute), ts: "2026-11-21T11:55:00.000Z", clock: "corrected", expiry: 300},
		{name: "expired before", e: entry(time.Minute), fate: fateExpired},
		{name: "a device's own time", e: entry(15*time.Minute, mqtt.UserProperty{Name: "ts", Value: "1970-01-01T00:14:05.000Z"}, mqtt.UserProperty{Name: "clock", Value: "unsynced"}), ts: "2026-11-21T11:54:00.000Z", clock: "corrected", expiry: 300},
		{name: "another clock's time", e: entry(15*time.Minute, mqtt.UserProperty{Name: "ts", Value: "2026-11-20T00:14:00.000Z"}), ts: "-", clock: "synced", expiry: 300},
		{name: "queued by an earlier process", e: entry(15 * time.Minute), before: true, ts: "1970-01-01T00:15:05.000Z", clock: "unsynced"},
		{name: "set by hand", e: entry(15 * time.Minute), unset: true, ts: "2026-11-21T11:55:00.000Z", clock: "unsynced", expiry: 300},
	} {
		tc.e.Before = tc.before
		p.synced = func() bool { return !tc.unset }
		o, fate := p.prepare(tc.e, lim, false, noon)
		if fate != tc.fate {
			t.Errorf("%s: fate %d, want %d", tc.name, fate, tc.fate)
		}
		if fate == fateSend && (stamped(o, "ts") != tc.ts || stamped(o, "clock") != tc.clock || o.expiry != tc.expiry) {
			t.Errorf("%s: ts %s, clock %s, expires in %d s; want %s, %s, %d", tc.name, stamped(o, "ts"), stamped(o, "clock"), o.expiry, tc.ts, tc.clock, tc.expiry)
		}
	}
}
