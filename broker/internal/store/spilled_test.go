package store

import (
	"slices"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/journal"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// A range that is given up is taken off the runs that it was in: after a restart
// they are the blocks of the queue, each given up as a whole.
func TestCutOfSeveralRuns(t *testing.T) {
	for _, tc := range []struct {
		name     string
		holes    bool // the first run was spilled without 8 and 9
		from, to uint64
		count    int
		want     []int // of each run
	}{
		{"whole runs", false, 11, 30, 20, []int{9, 0, 0}},
		{"the end of one, and one", false, 6, 20, 15, []int{4, 0, 10}},
		{"parts of two", false, 6, 15, 10, []int{4, 5, 10}},
		{"parts of two, one with holes", true, 6, 15, 8, []int{4, 5, 10}},
		{"a count that is wrong", false, 6, 15, 30, []int{4, 5, 10}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := new(spilled)
			for i := range uint64(3) {
				r := Run{Extent: journal.Extent{File: i}, First: 10*i + 1, Last: 10*i + 10, Messages: 10, Bytes: 1000}
				if tc.holes && i == 0 {
					r.Messages = 8
				}
				s.add(r)
			}
			s.finish(3)
			s.cut(tc.from, tc.to, tc.count)
			got := make([]int, len(tc.want))
			for _, r := range s.runs {
				got[r.Extent.File] = r.Messages
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("%v messages are left, want %v", got, tc.want)
			}
		})
	}
}

// After a restart a block may count fewer than it has, and the next as many more.
// Where the first is given up when more of it has come than it counts, the queue
// still knows how many there are: short of them, it would leave the last ones
// with the store, and what comes then would go past them.
func TestDroppedBlockThatHadMore(t *testing.T) {
	q := NewQueue(QueueLimits{Messages: 10, Bytes: 1 << 20, Spills: true}, 0)
	q.Restore(Kept{Last: 14, Handed: 4, Blocks: []Block{{Last: 6, Messages: 2, Bytes: 20}, {Last: 12, Messages: 10, Bytes: 100}, {Last: 14, Messages: 2, Bytes: 20}}}, 0)
	message := func(n uint64) *mqtt.Message { return &mqtt.Message{Topic: "t", Payload: []byte{byte(n)}, QoS: 1} }
	load := func(from, to uint64) {
		var all []Entry
		for n := from; n <= to; n++ {
			all = append(all, Entry{Number: n, Message: message(n)})
		}
		q.Load(all, to)
	}
	load(1, 4)
	for range 4 {
		q.Next(time.Now())
	}
	seq := q.Push(time.Now(), message(15)) // gives up 5 and 6, and 7 to 12
	if n := q.Stats(time.Now()).Messages; n != 7 {
		t.Errorf("%d messages, want 1 to 4 and 13 to %d", n, seq)
	}
	for want := uint64(13); want <= seq; want++ {
		if more, _, upTo := q.Behind(); more {
			load(13, upTo)
		}
		if e, ok := q.Next(time.Now()); !ok || e.Seq != want {
			t.Fatalf("next is %d, %v, want %d", e.Seq, ok, want)
		}
	}
	if s := q.Stats(time.Now()); s.Accepted != 15 || s.Dropped != 8 || s.Drops[mqtt.DropLost] != 0 {
		t.Errorf("%+v", s)
	}
}

// While the last block is not passed there may be more than it counts: what
// comes then goes behind it.
func TestBlockThatCountsTooFew(t *testing.T) {
	q := NewQueue(QueueLimits{Messages: 100, Bytes: 1 << 20, Spills: true}, 0)
	q.Restore(Kept{Last: 5, Handed: 5, Blocks: []Block{{Last: 5, Messages: 4, Bytes: 40}}}, 0)
	entry := func(n uint64) Entry {
		return Entry{Number: n, Message: &mqtt.Message{Topic: "t", Payload: []byte{byte(n)}, QoS: 1}}
	}
	q.Load([]Entry{entry(1), entry(2), entry(3), entry(4)}, 4)
	for range 4 {
		q.Next(time.Now())
	}
	q.Push(time.Now(), entry(6).Message)
	for want := uint64(5); want <= 6; want++ {
		if more, _, _ := q.Behind(); more {
			q.Load([]Entry{entry(5), entry(6)}, 6)
		}
		if e, ok := q.Next(time.Now()); !ok || e.Seq != want {
			t.Fatalf("next is %d, %v, want %d", e.Seq, ok, want)
		}
	}
	if s := q.Stats(time.Now()); s.Accepted != 6 || s.Messages != 6 || s.Dropped != 0 {
		t.Errorf("%+v", s)
	}
}
