package journal

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disktest"
)

// equalFrom is where numbers of entries begin whose values have the same size.
const equalFrom = 1 << 32

// Commits of three pages in segments of nine: what a torn commit leaves of the
// file's former life is the rest of a record of the same length at the same
// place. Only the epoch in the page tells that it is not the rest of this one.
func TestCrashStatesOfEqualCommits(t *testing.T) {
	d := disktest.New(1 << 30)
	var said []promise
	synctest.Test(t, func(t *testing.T) { said = equalCommits(t, d, 300) })
	total := d.Ops()
	rng := rand.New(rand.NewPCG(5, 6))
	n := times(t, "CRASH_STATES", 1000) / 4
	for i := range n {
		ops := i % (total + 1)
		loss := disktest.Losses()[rng.IntN(5)]
		check(t, d.Crash(ops, loss, rng), ops, said)
		if t.Failed() {
			t.Fatalf("state %d: after %d of %d operations, loss %d", i, ops, total, loss)
		}
	}
	t.Logf("%d states of %d operations", n, total)
}

// equalCommits puts one entry and takes an older one, again and again, and
// returns what was promised.
func equalCommits(t *testing.T, d *disktest.Fake, steps uint64) (said []promise) {
	t.Helper()
	l := &registry{map[uint64][]byte{}}
	j, _, err := Open(d, Options{SegmentSize: 9 * pageSize, Snapshot: l.snapshot}, l.apply)
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, j)
	key := func(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }
	for n := uint64(equalFrom); n < equalFrom+steps; n++ {
		l.entries[n] = value(n)
		j.Append(put, append(key(n), value(n)...), true)
		batch := []promise{{n: n, always: true}}
		if old := n - 2; old >= equalFrom {
			delete(l.entries, old)
			j.Append(take, key(old), true)
			batch = append(batch, promise{n: old, taken: true, always: true})
		}
		ops := -1
		j.Notify(j.Commit(), func() { ops = d.Ops() })
		synctest.Wait()
		if ops < 0 {
			t.Fatal("not durable after a commit")
		}
		for _, p := range batch {
			p.ops = ops
			said = append(said, p)
		}
	}
	stop()
	return said
}

// While a checkpoint is written, the journal goes on: it fills segments, and
// must not take one for them that only this checkpoint covers.
func TestCrashStatesDuringACheckpoint(t *testing.T) {
	d := disktest.New(1 << 30)
	var said []promise
	synctest.Test(t, func(t *testing.T) { said = busyCheckpoints(t, d, 90) })
	total := d.Ops()
	rng := rand.New(rand.NewPCG(7, 8))
	n := times(t, "CRASH_STATES", 100) / 4
	for i := range n {
		ops := rng.IntN(total + 1)
		loss := disktest.Losses()[rng.IntN(5)]
		check(t, d.Crash(ops, loss, rng), ops, said)
		if t.Failed() {
			t.Fatalf("state %d: after %d of %d operations, loss %d", i, ops, total, loss)
		}
	}
	t.Logf("%d states of %d operations", n, total)
}

// busy is a registry to which an entry is added for each that it gives to a
// checkpoint.
type busy struct {
	registry
	add func()
}

func (b *busy) snapshot(add func(byte, []byte) error) error {
	return b.registry.snapshot(func(kind byte, body []byte) error {
		b.add()
		return add(kind, body)
	})
}

// busyCheckpoints keeps about 16 entries of three pages, and returns what was
// promised. In a checkpoint of them the journal writes twice.
func busyCheckpoints(t *testing.T, d *disktest.Fake, steps int) (said []promise) {
	t.Helper()
	b := &busy{registry: registry{map[uint64][]byte{}}}
	j, _, err := Open(d, Options{SegmentSize: 9 * pageSize, Snapshot: b.snapshot}, b.apply)
	if err != nil {
		t.Fatal(err)
	}
	key := func(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }
	newest, oldest, during := uint64(equalFrom), uint64(equalFrom), 0
	var waiting []*promise
	promised := func(sequence uint64, p promise) {
		waiting = append(waiting, &p)
		j.Notify(sequence, func() { p.ops = d.Ops() })
	}
	more := func() {
		newest++
		b.entries[newest] = value(newest)
		promised(j.Append(put, append(key(newest), value(newest)...), true), promise{n: newest, always: true, ops: -1})
	}
	b.add = func() {
		during++
		more()
		j.Commit()
	}
	stop := run(t, j)
	for range steps {
		more()
		for len(b.entries) > 16 {
			oldest++
			delete(b.entries, oldest)
			promised(j.Append(take, key(oldest), true), promise{n: oldest, taken: true, always: true, ops: -1})
		}
		j.Commit() // from now on the registry is the journal's
		synctest.Wait()
		for _, p := range waiting {
			if p.ops < 0 {
				t.Fatal("not durable after a commit")
			}
			said = append(said, *p)
		}
		waiting = waiting[:0]
	}
	stop()
	if during < 32 {
		t.Fatalf("%d entries came while a checkpoint was written", during)
	}
	return said
}
