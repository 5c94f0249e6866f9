package journal

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disktest"
)

// registry is a small store on a journal: numbered entries that are put and
// taken. It is applied from records and gives itself as a snapshot.
type registry struct {
	entries map[uint64][]byte
}

const (
	put  byte = 1
	take byte = 2
)

func (l *registry) apply(r Record) error {
	if len(r.Body) < 8 {
		return fmt.Errorf("record %d has %d bytes", r.Sequence, len(r.Body))
	}
	n := binary.LittleEndian.Uint64(r.Body)
	switch r.Kind {
	case put:
		l.entries[n] = bytes.Clone(r.Body[8:])
	case take:
		delete(l.entries, n)
	default:
		return fmt.Errorf("record %d has kind %d", r.Sequence, r.Kind)
	}
	return nil
}

func (l *registry) snapshot(add func(byte, []byte) error) error {
	for n, value := range l.entries {
		if err := add(put, append(binary.LittleEndian.AppendUint64(nil, n), value...)); err != nil {
			return err
		}
	}
	return nil
}

var values sync.Map

// value is what entry n must hold: its length and every byte follow from n.
func value(n uint64) []byte {
	if b, ok := values.Load(n); ok {
		return b.([]byte)
	}
	b := makeValue(n)
	values.Store(n, b)
	return b
}

func makeValue(n uint64) []byte {
	rng := rand.New(rand.NewPCG(n, 1))
	b := make([]byte, rng.IntN(300))
	if n%50 == 7 {
		b = make([]byte, 3*pageSize+rng.IntN(pageSize)) // spans pages
	}
	if n >= equalFrom {
		b = make([]byte, 2*pageSize+100)
	}
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// promise is one thing that was said, and when: after so many operations of
// the disk.
type promise struct {
	ops    int
	n      uint64
	taken  bool
	always bool
}

// run lets a journal run until stop, which waits for its end.
func run(t *testing.T, j *Journal) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- j.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// load drives a journal on a fake disk and returns what it promised.
func load(t *testing.T, d *disktest.Fake, minFree int64, seed uint64, steps int) []promise {
	t.Helper()
	l := &registry{map[uint64][]byte{}}
	j, _, err := Open(d, Options{SegmentSize: 8 * pageSize, MinFree: minFree, Snapshot: l.snapshot}, l.apply)
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, j)
	rng := rand.New(rand.NewPCG(seed, 2))
	var said []promise
	next := uint64(0)
	for range steps {
		always := rng.IntN(2) == 0
		var batch []promise
		size := 1 + rng.IntN(4)
		if rng.IntN(4) == 0 {
			size = 50 // several pages
		}
		for range size {
			p := promise{n: next, always: always}
			if p.taken = rng.IntN(100) < len(l.entries); p.taken {
				all := slices.Sorted(maps.Keys(l.entries))
				p.n = all[rng.IntN(len(all))]
				delete(l.entries, p.n)
				j.Append(take, binary.LittleEndian.AppendUint64(nil, p.n), always)
			} else {
				next++
				l.entries[p.n] = value(p.n)
				j.Append(put, append(binary.LittleEndian.AppendUint64(nil, p.n), value(p.n)...), always)
			}
			batch = append(batch, p)
		}
		sequence, ops := j.Commit(), -1
		j.Notify(sequence, func() { ops = d.Ops() })
		synctest.Wait()
		if ok, err := j.Status(sequence); !ok || err != nil || ops < 0 {
			t.Fatalf("not durable after a commit: %v", err)
		}
		for _, p := range batch {
			p.ops = ops
			said = append(said, p)
		}
		if rng.IntN(20) == 0 {
			time.Sleep(2 * time.Second) // the interval passes
			for i := range said {
				if !said[i].always {
					said[i].always, said[i].ops = true, d.Ops()
				}
			}
		}
	}
	stop()
	return said
}

// check opens what a crash left and holds it to what was promised before.
func check(t *testing.T, c *disktest.Fake, ops int, said []promise) (records int) {
	t.Helper()
	last := make(map[uint64]promise, len(said))
	for _, p := range said {
		if p.ops > ops {
			// Not promised when the power went: either is right.
			last[p.n] = promise{ops: -1}
			continue
		}
		if q, ok := last[p.n]; !ok || q.ops >= 0 {
			last[p.n] = p
		}
	}
	for round := range 2 { // opening twice finds the same
		l := &registry{map[uint64][]byte{}}
		_, report, err := Open(c, Options{SegmentSize: 8 * pageSize}, l.apply)
		if err != nil {
			t.Errorf("round %d: %v", round, err)
			return 0
		}
		records = report.Records
		for n, v := range l.entries {
			if !bytes.Equal(v, value(n)) {
				t.Errorf("entry %d is not what was put: %d bytes", n, len(v))
			}
		}
		for n, p := range last {
			_, there := l.entries[n]
			switch {
			case p.ops < 0 || !p.always:
			case there == p.taken && p.taken:
				t.Errorf("entry %d was taken, and is back", n)
			case there == p.taken:
				t.Errorf("entry %d was promised, and is lost", n)
			}
		}
	}
	return records
}

// times is how often a test tries something: as the environment says, or a few
// times.
func times(t *testing.T, variable string, n int) int {
	if s := os.Getenv(variable); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func TestCrashStates(t *testing.T) { crashStates(t, 1<<30, 0) }

// Where there is no space for two checkpoints, the older goes before the next is
// written.
func TestCrashStatesOnAFullDisk(t *testing.T) { crashStates(t, 400<<10, 64<<10) }

func crashStates(t *testing.T, free, minFree int64) {
	d := disktest.New(free)
	var said []promise
	synctest.Test(t, func(t *testing.T) { said = load(t, d, minFree, 1, 400) })
	total := d.Ops()
	rng := rand.New(rand.NewPCG(3, 4))
	n, records := times(t, "CRASH_STATES", 300), 0
	for i := range n {
		ops := i % (total + 1)
		loss := disktest.Losses()[rng.IntN(5)]
		records += check(t, d.Crash(ops, loss, rng), ops, said)
		if t.Failed() {
			t.Fatalf("state %d: after %d of %d operations, loss %d", i, ops, total, loss)
		}
	}
	t.Logf("%d states of %d operations, %d records read", n, total, records)
}

func TestFailures(t *testing.T) {
	for _, op := range []string{"write", "datasync", "create", "rename", "open", "syncdir", "remove"} {
		for nth := range times(t, "CRASH_FAULTS", 8) {
			t.Run(fmt.Sprintf("%s %d", op, nth), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { failOnce(t, op, nth) })
			})
		}
	}
}

// failOnce makes one operation fail: what is promised is kept, also across a
// crash that drops what the failed sync was told to keep.
func failOnce(t *testing.T, op string, nth int) {
	d := disktest.New(1 << 30)
	count := 0
	d.Fail(func(o, _ string) error {
		if o != op {
			return nil
		}
		if count++; count == nth+1 {
			return errors.New("input/output error")
		}
		return nil
	})
	said := load(t, d, 0, uint64(nth), 30)
	rng := rand.New(rand.NewPCG(uint64(nth), 5))
	for ops := rng.IntN(29); ops <= d.Ops() && !t.Failed(); ops += 29 {
		for _, loss := range disktest.Losses() {
			check(t, d.Crash(ops, loss, rng), ops, said)
		}
	}
}
