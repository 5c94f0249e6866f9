package update

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/build/image/slots"
)

// A version that is good for a minute, or an hour, and then crashes.
func TestAVersionThatCrashesLater(t *testing.T) {
	for name, tc := range map[string]struct {
		after, every time.Duration
		prepare      func(*testing.T, *bench)
		back         bool
	}{
		"at once":              {every: 30 * time.Second, back: true},
		"after hours":          {after: 20 * time.Hour, every: 7 * time.Minute, back: true},
		"now and then":         {every: 8 * time.Minute},
		"after days":           {after: 25 * time.Hour, every: 30 * time.Second},
		"an update is written": {every: 30 * time.Second, prepare: func(_ *testing.T, b *bench) { b.busy <- struct{}{} }},
		"the version before is gone": {every: 30 * time.Second, prepare: func(t *testing.T, b *bench) {
			if _, err := b.disk.WriteAt(make([]byte, slots.Sector), slots.SlotA.Offset()); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := written(t)
				b.Slot, b.Steady = 3, 0
				b.trial(t.Context())
				if tc.prepare != nil {
					tc.prepare(t, b)
				}
				time.Sleep(tc.after)
				for n := 1; n <= 8 && len(b.restarts) == 0; n++ {
					if n == 3 { // the board starts anew
						u := b.Updater
						b.Updater = New(&Updater{Card: u.Card, Slot: u.Slot, Record: u.Record, Gateway: u.Gateway, Restart: u.Restart, Logf: u.Logf})
						if tc.prepare != nil {
							tc.prepare(t, b)
						}
					}
					time.Sleep(tc.every)
					b.regret("panic: out of luck")
					if choice, err := b.Card.Choice(); err != nil || choice.Default != 3 && n < regretEnds {
						t.Fatalf("slot %d starts after crash %d: %v", choice.Default, n, err)
					}
				}
				choice, err := b.Card.Choice()
				if err != nil || (choice.Default == 2) != tc.back || (len(b.restarts) == 1) != tc.back {
					t.Errorf("slot %d starts next, %d restarts: %v", choice.Default, len(b.restarts), err)
				}
				if rec := b.record(t); (rec.Phase == FellBack) != tc.back || strings.Contains(rec.Reason, "out of luck") != tc.back || rec.From != "1.0.0" {
					t.Errorf("the record is %+v", rec)
				}
				if tc.back { // the version that crashes starts no more
					<-b.restarts
					b.Slot = 2
					for range 10 {
						b.regret("panic: out of luck")
					}
					if choice, err := b.Card.Choice(); err != nil || choice.Default != 2 || len(b.restarts) > 0 {
						t.Errorf("there and back again: slot %d: %v", choice.Default, err)
					}
				}
			})
		})
	}
}

func TestRunHearsOfCrashes(t *testing.T) {
	b := written(t)
	b.Slot = 3
	b.trial(t.Context())
	b.run(t)
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		b.Crashed("signal: killed") // one at a time is heard
		select {
		case argument := <-b.restarts:
			if choice, err := b.Card.Choice(); err != nil || choice.Default != 2 || argument != "" {
				t.Errorf("slot %d starts next, after a restart with %q: %v", choice.Default, argument, err)
			}
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Error("it goes on for ever")
}

// A board whose kernel panics or hangs again and again, and whose init never
// sees an end.
func TestStartsThatDoNotLast(t *testing.T) {
	for name, tc := range map[string]struct {
		after time.Duration
		lasts int // each start of such a number
		back  bool
	}{
		"none lasts":         {back: true},
		"one in three lasts": {lasts: 3},
		"after days":         {after: 25 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := written(t)
				b.Slot, b.Steady = 3, 0
				b.trial(t.Context())
				time.Sleep(tc.after)
				starts := 0
				for starts < 12 && len(b.restarts) == 0 {
					starts++
					u := b.Updater
					b.Updater = New(&Updater{Card: u.Card, Slot: u.Slot, Record: u.Record, Gateway: u.Gateway, Restart: u.Restart, Logf: u.Logf})
					if lasts := b.begun(); lasts != nil && tc.lasts > 0 && starts%tc.lasts == 0 {
						<-lasts
						b.lasted()
					} else {
						time.Sleep(shortRun - time.Second)
					}
				}
				choice, err := b.Card.Choice()
				if err != nil || (choice.Default == 2) != tc.back || (len(b.restarts) == 1) != tc.back || tc.back && starts != regretEnds+1 {
					t.Errorf("slot %d starts next, %d restarts after %d starts: %v", choice.Default, len(b.restarts), starts, err)
				}
				if rec := b.record(t); (rec.Phase == FellBack) != tc.back || rec.From != "1.0.0" || rec.Starts != 0 {
					t.Errorf("the record is %+v", rec)
				}
			})
		})
	}
}

// Run counts its start, and forgets it when it ends in order.
func TestRunCountsItsStart(t *testing.T) {
	b := written(t)
	b.Slot = 3
	b.trial(t.Context())
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	for end := time.Now().Add(time.Minute); b.record(t).Starts != 1; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the start is not counted")
		}
	}
	stop()
	if err := <-ended; err != nil || b.record(t).Starts != 0 {
		t.Errorf("%v; the record is %+v", err, b.record(t))
	}
}
