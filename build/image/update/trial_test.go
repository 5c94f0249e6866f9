package update

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/build/image/slots"
)

// written is a card whose slot 3 was updated, and its record.
func written(t *testing.T) *bench {
	b := newBench(t)
	rec, err := b.install(t.Context(), strings.NewReader(string(b.update(t))), false, func(int64, int64) {})
	if err != nil {
		t.Fatal(err)
	}
	b.note(rec)
	return b
}

func TestTrial(t *testing.T) {
	for name, tc := range map[string]struct {
		ready   time.Duration // when the gateway is up; 0: never
		health  Health
		phase   Phase
		reason  string
		took    time.Duration
		slot    int // that starts afterwards
		restart bool
	}{
		"it proves itself":      {20 * time.Second, Health{MQTT: true, Devices: 2}, Committed, "", 80 * time.Second, 3, false},
		"it has more devices":   {time.Second, Health{MQTT: true, Devices: 3, Doors: []string{"page :80"}}, Committed, "", 61 * time.Second, 3, false},
		"it never comes up":     {0, Health{}, FellBack, "not up after 3m0s: it is down", 3 * time.Minute, 2, true},
		"a device is missing":   {time.Second, Health{MQTT: true, Devices: 1}, FellBack, "1 devices are online, before the update 2 were", 3 * time.Minute, 2, true},
		"nobody speaks MQTT":    {time.Second, Health{Devices: 2}, FellBack, "no MQTT server answers", 3 * time.Minute, 2, true},
		"up in the last moment": {3*time.Minute - time.Second, Health{MQTT: true, Devices: 2}, Committed, "", 3*time.Minute + 59*time.Second, 3, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := written(t)
				b.Slot, b.Steady = 3, 0
				b.gateway.set(Health{}, errDown)
				if tc.ready > 0 {
					time.AfterFunc(tc.ready, func() { b.gateway.set(tc.health, nil) })
				}
				ctx, cancel := context.WithCancel(t.Context())
				begin, done := time.Now(), make(chan time.Duration, 1)
				go func() {
					b.trial(ctx)
					done <- time.Since(begin)
				}()
				var took time.Duration
				restarted := false
				select {
				case took = <-done:
				case argument := <-b.restarts:
					restarted, took = argument == "", time.Since(begin)
					synctest.Wait()
					cancel()
					<-done
				}
				cancel()
				if restarted != tc.restart || took < tc.took || took > tc.took+2*time.Second {
					t.Errorf("restart is %v after %v, want %v after %v", restarted, took, tc.restart, tc.took)
				}
				if choice, err := b.Card.Choice(); err != nil || choice.Default != tc.slot {
					t.Errorf("slot %d starts next, want %d: %v", choice.Default, tc.slot, err)
				}
				if rec := b.record(t); rec.Phase != tc.phase || !strings.Contains(rec.Reason, tc.reason) || rec.Version != "1.1.0" || rec.From != "1.0.0" {
					t.Errorf("the record is %+v", rec)
				}
			})
		})
	}
}

// A version that serves and falls, again and again, is well at many a look.
func TestTrialWantsItToLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := written(t)
		b.Slot, b.Steady = 3, 0
		var life sync.WaitGroup
		life.Go(func() {
			for range 12 {
				b.gateway.set(Health{MQTT: true, Devices: 2}, nil)
				time.Sleep(20 * time.Second)
				b.gateway.set(Health{}, errDown)
				time.Sleep(3 * time.Second)
			}
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { b.trial(ctx); close(done) }()
		life.Wait()
		cancel()
		<-done
		if choice, err := b.Card.Choice(); err != nil || choice.Default != 2 {
			t.Errorf("slot %d starts next: %v", choice.Default, err)
		}
		if rec := b.record(t); rec.Phase != FellBack || !strings.Contains(rec.Reason, "it is down") {
			t.Errorf("the record is %+v", rec)
		}
	})
}

// A device that comes and goes did so before.
func TestTrialForgivesADeviceThatFlaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := written(t)
		b.Slot, b.Steady = 3, 0
		var life sync.WaitGroup
		life.Go(func() {
			for range 12 {
				b.gateway.set(Health{MQTT: true, Devices: 2}, nil)
				time.Sleep(10 * time.Second)
				b.gateway.set(Health{MQTT: true, Devices: 1}, nil)
				time.Sleep(10 * time.Second)
			}
		})
		b.trial(t.Context())
		life.Wait()
		if rec := b.record(t); rec.Phase != Committed {
			t.Errorf("the record is %+v", rec)
		}
	})
}

func TestADoorThatStaysShut(t *testing.T) {
	before := Health{Doors: []string{"mqtt :1883", "page :8083"}}
	if err := (Health{Doors: []string{"page :8083", "mqtt :1883"}}).worse(before); err != nil {
		t.Error(err)
	}
	if err := (Health{MQTT: true, Doors: []string{"mqtt :1883"}}).worse(before); err == nil || !strings.Contains(err.Error(), "page :8083") {
		t.Errorf("a page that is dead: %v", err)
	}
}

func TestTheGatewayIsTold(t *testing.T) {
	b := written(t)
	b.Slot = 3
	b.gateway.set(Health{MQTT: true, Devices: 1}, nil) // one too few
	b.run(t)
	b.gateway.says(t, "trial", "3", "1.1.0")
	b.gateway.set(Health{MQTT: true, Devices: 2}, nil)
	b.gateway.says(t, "committed", "3", "1.1.0")
	b.gateway.forget() // it was started again
	b.Tell()
	b.gateway.says(t, "committed", "3", "1.1.0")
}

func TestNoTrialInMemoryPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := written(t)
		b.Slot, b.Volatile = 3, func() bool { return true }
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { b.trial(ctx); close(done) }()
		if argument := <-b.restarts; argument != "" {
			t.Errorf("restart with %q", argument)
		}
		cancel()
		<-done
		if choice, err := b.Card.Choice(); err != nil || choice.Default != 2 {
			t.Errorf("slot %d starts next: %v", choice.Default, err)
		}
	})
}

func TestTrialsThatNobodyWroteAbout(t *testing.T) {
	t.Run("the new version crashed: the old one says so", func(t *testing.T) {
		b := written(t)
		b.trial(t.Context())
		if rec := b.record(t); rec.Phase != FellBack || rec.Reason == "" {
			t.Errorf("the record is %+v", rec)
		}
		if len(b.restarts) > 0 {
			t.Error("the old version restarts")
		}
	})
	t.Run("the power went behind the choice", func(t *testing.T) {
		b := written(t)
		if err := b.Card.Choose(3); err != nil {
			t.Fatal(err)
		}
		b.Slot = 3
		b.trial(t.Context())
		if rec := b.record(t); rec.Phase != Committed {
			t.Errorf("the record is %+v", rec)
		}
	})
	t.Run("the record is damaged", func(t *testing.T) {
		b := written(t)
		if err := os.WriteFile(b.Record, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		b.Slot = 3
		b.trial(t.Context())
		if choice, _ := b.Card.Choice(); choice.Default != 3 {
			t.Error("a good version was not kept")
		}
	})
	t.Run("the slot is unknown: nothing is decided", func(t *testing.T) {
		b := written(t)
		b.Slot = 0
		b.trial(t.Context())
		if choice, _ := b.Card.Choice(); choice != (slots.Choice{Default: 2, Trial: 3}) || len(b.restarts) > 0 {
			t.Errorf("the choice is %+v", choice)
		}
	})
}
