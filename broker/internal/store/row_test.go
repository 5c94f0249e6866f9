package store

import (
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disktest"
)

// TestDoneInARow holds the record of entries that were done in a row against
// those of one each: over what is on disk and in memory, before and after a kill.
func TestDoneInARow(t *testing.T) {
	for seed := range uint64(2) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 3))
			limits := QueueLimits{Messages: 1 << 20, Bytes: 1 << 30}
			const messages, most = 400, 40
			row, single := open(t, disktest.New(1<<30), limits, Interval), open(t, disktest.New(1<<30), limits, Interval)
			for n := range uint64(messages) {
				row.push(n, 1000)
				single.push(n, 1000)
			}
			if l := row.s.mu.state.Lines[row.name]; !l.Spilled() || len(l.Entries) == 0 {
				t.Fatal("want some on disk and some in memory")
			}
			for _, i := range rng.Perm(messages / most)[1:] {
				from := uint64(i*most + 1)
				to := from + uint64(rng.IntN(most))
				row.s.Append(Record{Kind: DeliveryDone, ClientID: row.name, From: from, Number: to})
				row.commit()
				for n := from; n <= to; n++ {
					single.done(n)
				}
			}
			row.same(single)
			row, single = row.kill(limits), single.kill(limits)
			row.same(single)
			row.stop()
			single.stop()
		})
	}
}

// same compares what two stores say, and what they have.
func (r *rig) same(other *rig) {
	r.t.Helper()
	a, b := r.held(), other.held()
	if len(a) != len(b) {
		r.t.Fatalf("%d entries are left, want %d", len(a), len(b))
	}
	for i := range a {
		if a[i] != b[i] {
			r.t.Fatalf("entry %d is left, want %d", a[i], b[i])
		}
	}
	if a, b := r.counted(), other.counted(); a != b {
		r.t.Fatalf("%d entries are counted, want %d", a, b)
	}
}

func (r *rig) held() (numbers []uint64) {
	for after := uint64(0); ; {
		entries, upTo, err := r.s.Read(r.name, after, 16<<10)
		if err != nil {
			r.t.Fatal(err)
		}
		if len(entries) == 0 {
			return numbers
		}
		for i := range entries {
			numbers = append(numbers, entries[i].Number)
		}
		after = upTo
	}
}

func (r *rig) counted() (n int) {
	for _, b := range r.s.Queue(r.name).Blocks {
		n += b.Messages
	}
	return n
}

// TestDoneBeforeItsMessage ends entries of which the last has no record yet.
func TestDoneBeforeItsMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := QueueLimits{Messages: 1 << 20, Bytes: 1 << 30}
		r := open(t, disktest.New(1<<30), limits, Interval)
		for n := range uint64(3) {
			r.push(n, 100)
		}
		r.s.Append(Record{Kind: DeliveryDone, ClientID: r.name, From: 2, Number: 4})
		r.push(3, 100)
		r.done(5)
		r.push(4, 100)
		r.push(5, 100)
		r.commit()
		for range 2 {
			if got := r.held(); !slices.Equal(got, []uint64{1, 6}) {
				t.Errorf("%d are left, want 1 and 6", got)
			}
			r = r.kill(limits)
		}
		r.stop()
	})
}
