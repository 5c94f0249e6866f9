package store

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disktest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// harm does to the newest checkpoint what a card may do to a file, and reports
// whether there is one.
func harm(d *disktest.Fake, rng *rand.Rand) bool {
	newest := ""
	for name := range d.Files() {
		if strings.HasPrefix(name, "checkpoint-") && !strings.Contains(name, ".") {
			newest = max(newest, name)
		}
	}
	if newest == "" {
		return false
	}
	b := slices.Clone(d.Files()[newest])
	if len(b) == 0 {
		return true // it was before
	}
	from := rng.IntN(len(b)/pageSize) * pageSize
	to := from + pageSize*(1+rng.IntN((len(b)-from)/pageSize))
	switch rng.IntN(5) {
	case 0:
		b = nil
	case 1:
		b = b[:from]
	case 2:
		clear(b[from:to])
	case 3:
		b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
	case 4:
		clear(b)
	}
	d.Put(newest, b)
	return true
}

// Whatever happens to the newest checkpoint, before or after a power cut, costs
// nothing: the one before it and the journal since then say the same. That goes
// for later lives, too, of which every other begins without it.
func TestCrashWithAHarmedCheckpoint(t *testing.T) {
	states, lives := crashStates(t, 60)/10, 2
	if states > 6 {
		lives = 6 // make crash
	}
	for _, class := range []Class{Always, Interval} {
		t.Run([]string{Always: "always", Interval: "interval"}[class], func(t *testing.T) {
			rng := rand.New(rand.NewPCG(3, uint64(class)))
			h := &history{d: disktest.New(1 << 30), class: class, everyday: everyday{rng: rng, model: NewState()}}
			for life := range lives {
				synctest.Test(t, func(t *testing.T) { h.run(t, 250) })
				harmed := 0
				for i := range states {
					ops := rng.IntN(h.d.Ops() + 1)
					c := h.d.Crash(ops, disktest.Losses()[i%5], rng)
					if harm(c, rng) {
						harmed++
					}
					if h.judge(t, c, ops, true); t.Failed() {
						t.Fatalf("life %d, after %d of %d operations, loss %d", life, ops, h.d.Ops(), i%5)
					}
				}
				if harmed == 0 {
					t.Error("no checkpoint was harmed")
				}
				h = h.again(t, rng, life%2 > 0)
			}
		})
	}
}

// again is the life that follows, after a power cut that harms the newest
// checkpoint, or after a stop.
func (h *history) again(t *testing.T, rng *rand.Rand, harms bool) *history {
	d := h.d.Crash(h.d.Ops(), disktest.LoseAll, rng)
	if harms {
		d = h.d.Crash(h.d.Ops()-rng.IntN(50), disktest.Losses()[rng.IntN(5)], rng)
		harm(d, rng)
	}
	_, state, _, err := Open(d, Options{SegmentSize: 16 << 10})
	if err != nil {
		t.Fatal(err)
	}
	return &history{d: d, class: h.class, everyday: everyday{rng: rng, model: state, made: h.made}}
}

// A spill file whose sync failed is written again for the next checkpoint. The
// one before names the old file, which is there as long as that may be needed.
func TestHarmedCheckpointAfterAFailedSpill(t *testing.T) {
	d := disktest.New(1 << 30)
	s, _, _, err := Open(d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	const messages = 200
	for n := range uint64(messages) {
		m := &mqtt.Message{Topic: "t", QoS: 1, Payload: body(n+1, 1000)}
		s.Append(Record{Kind: MessageQueued, Message: m, Destinations: []Destination{{Name: "\x00q", Number: n + 1, QoS: 1}}})
		s.beside() // as Run does
		if n == messages-30 {
			if err := s.j.Checkpoint(); err != nil {
				t.Fatal(err)
			}
		}
	}
	failed := errors.New("input/output error")
	fail := failed
	d.Fail(func(op, name string) error {
		if op == "datasync" && strings.HasSuffix(name, ".spill") {
			defer func() { fail = nil }()
			return fail
		}
		return nil
	})
	if err := s.j.Checkpoint(); !errors.Is(err, failed) {
		t.Fatalf("Checkpoint = %v", err)
	}
	if err := s.j.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	d.Put("checkpoint-0000000000000002", nil)
	if lost, report := countLost(t, d, messages); lost > 0 || !report.Whole {
		t.Errorf("%d messages are lost, %+v", lost, report)
	}
}
