package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disktest"
)

// moment is what was promised after so many operations of the disk.
type moment struct {
	ops    int
	pushed uint64 // all messages up to this one are durable
	taken  uint64 // up to this one they may be gone
}

// outage fills a queue and drains it now and then, on a store of class Always.
func outage(t *testing.T, d *disktest.Fake, seed uint64, steps int) (said []moment) {
	r := open(t, d, QueueLimits{Messages: 1 << 20, Bytes: 1 << 30}, Always)
	rng := rand.New(rand.NewPCG(seed, 7))
	var n, done uint64
	var waiting []uint64
	for range steps {
		for range 1 + rng.IntN(4) {
			n++
			if seq := r.push(n, 100+rng.IntN(9000)); seq != n {
				t.Fatalf("message %d has the place %d", n, seq)
			}
		}
		if rng.IntN(6) == 0 {
			for range rng.IntN(40) {
				e, ok := r.next()
				if !ok {
					break
				}
				waiting = append(waiting, e.Seq)
			}
		}
		for len(waiting) > 0 && rng.IntN(3) > 0 {
			done, waiting = waiting[0], waiting[1:]
			r.q.Remove(done)
			said = append(said, moment{d.Ops(), latest(said).pushed, done}) // from now on it may be gone
			r.done(done)
		}
		if ok, err := r.s.Status(r.s.Commit()); ok && err == nil {
			said = append(said, moment{d.Ops(), n, done})
		}
		if rng.IntN(12) == 0 {
			time.Sleep(2 * time.Second)
		}
	}
	r.stop()
	return said
}

// latest is the last of them.
func latest(said []moment) moment {
	if len(said) == 0 {
		return moment{}
	}
	return said[len(said)-1]
}

// lookAt opens what a crash left and holds the queue to what was promised.
func lookAt(t *testing.T, d *disktest.Fake, ops int, said []moment, spills bool) {
	t.Helper()
	s, _, _, err := Open(d, Options{SegmentSize: 32 << 10, Spills: spills})
	if err != nil {
		t.Fatal(err)
	}
	var p moment
	taken := uint64(0)
	for _, m := range said {
		if m.ops <= ops {
			p = m
		}
		if taken = m.taken; m.ops > ops {
			break
		}
	}
	next := uint64(0)
	for after := uint64(0); ; {
		entries, upTo, err := s.Read("\x00q", after, 64<<10)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			break
		}
		for _, e := range entries {
			if string(e.Message.Payload) != string(body(e.Number, len(e.Message.Payload))) {
				t.Errorf("entry %d is not what was queued", e.Number)
			}
			if e.Number <= next || next > 0 && e.Number != next+1 || next == 0 && e.Number > taken+1 {
				t.Errorf("entry %d follows %d, and only those up to %d may be gone", e.Number, next, taken)
			}
			next = e.Number
		}
		after = upTo
	}
	if last := max(next, taken); last < p.pushed {
		t.Errorf("entries end at %d, and %d was promised", last, p.pushed)
	}
}

// Whatever a power cut leaves of journal, checkpoints and spill files, the
// queue is whole and in order; also when the newest checkpoint is harmed.
func TestCrashOfASpill(t *testing.T) {
	d := disktest.New(1 << 30)
	var said []moment
	synctest.Test(t, func(t *testing.T) { said = outage(t, d, 1, 150) })
	rng := rand.New(rand.NewPCG(8, 8))
	spills := 0
	for name := range d.Files() {
		if strings.HasSuffix(name, ".spill") {
			spills++
		}
	}
	if spills == 0 {
		t.Fatal("nothing was spilled")
	}
	for i := range crashStates(t, 100) {
		ops := rng.IntN(d.Ops() + 1)
		loss := disktest.Losses()[i%5]
		crashed := d.Crash(ops, loss, rng)
		if i%2 > 0 {
			harm(crashed, rng)
		}
		lookAt(t, crashed, ops, said, true)
		again := crashed.Crash(rng.IntN(crashed.Ops()+1), loss, rng) // while it started
		if lookAt(t, again, ops, said, false); t.Failed() {
			t.Fatalf("after %d of %d operations, loss %d", ops, d.Ops(), loss)
		}
	}
}

// A failure of one operation on spill files costs nothing, now or after a
// crash.
func TestFailuresOfASpill(t *testing.T) {
	for _, op := range []string{"write", "datasync", "create", "open", "remove", "syncdir"} {
		for nth := range 3 {
			t.Run(fmt.Sprintf("%s %d", op, nth), func(t *testing.T) {
				d := disktest.New(1 << 30)
				count := 0
				d.Fail(func(o, name string) error {
					if o == op && (op == "syncdir" || strings.HasSuffix(name, ".spill")) {
						if count++; count == nth+1 {
							return errors.New("input/output error")
						}
					}
					return nil
				})
				var said []moment
				synctest.Test(t, func(t *testing.T) { said = outage(t, d, uint64(nth), 40) })
				rng := rand.New(rand.NewPCG(uint64(nth), 9))
				for i := range 10 {
					ops := rng.IntN(d.Ops() + 1)
					crashed := d.Crash(ops, disktest.Losses()[i%5], rng)
					if i%3 > 0 {
						harm(crashed, rng)
					}
					if lookAt(t, crashed, ops, said, i%2 == 0); t.Failed() {
						t.Fatalf("after %d of %d operations", ops, d.Ops())
					}
				}
			})
		}
	}
}
