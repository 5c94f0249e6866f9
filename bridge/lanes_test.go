package bridge

import (
	"strings"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

func allOpen(Lane) bool { return true }

// drawn takes n entries and names their lanes: A, L, H.
func drawn(t *testing.T, q *lanes, n int, open func(Lane) bool) string {
	t.Helper()
	var b strings.Builder
	for range n {
		e, ok, err := q.take(t.Context(), open)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			b.WriteByte('-')
			continue
		}
		b.WriteByte("LAH"[laneOf(e.Seq)])
	}
	return b.String()
}

func TestLanesTakeTurns(t *testing.T) {
	var q lanes
	fill := func(lane Lane, n int) {
		for range n {
			q.queues[lane].(*fakeQueue).add(mqtt.Message{Topic: "a"})
		}
		q.wet(lane)
	}
	for lane := range q.queues {
		q.queues[lane] = newQueue(t)
	}
	fill(Live, 12)
	fill(History, 5)
	want(t, "four to one", drawn(t, &q, 6, allOpen), "LLLLHL")
	fill(Alarm, 2)
	want(t, "alarms first", drawn(t, &q, 4, allOpen), "AALL")
	want(t, "only open lanes", drawn(t, &q, 2, func(l Lane) bool { return l != Live }), "HH")
	want(t, "the rest", drawn(t, &q, 9, allOpen), "LLLLHLHAA"[:7]+"--")
	q.rewind()
	want(t, "all again", drawn(t, &q, 20, allOpen), "AALLLLHLLLLHLLLLHHH-")
	want(t, "messages", q.stats().Messages, 19)
}

// Entries of different lanes never share a Packet Identifier, and each finds
// its queue again.
func TestLanesKeepIdentifiersApart(t *testing.T) {
	var q lanes
	for lane := range q.queues {
		f := newQueue(t)
		f.mu.seq = 64990 + uint64(lane)*7
		q.queues[lane] = f
		for range 1000 {
			f.add(mqtt.Message{Topic: "a"})
		}
	}
	seen := map[uint16]uint64{}
	for {
		e, ok, err := q.take(t.Context(), allOpen)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		id := packetID(e.Seq)
		if other, used := seen[id]; used {
			t.Fatalf("entries %d and %d have the identifier %d", other, e.Seq, id)
		}
		seen[id] = e.Seq
		if err := q.received(t.Context(), []uint64{e.Seq}); err != nil {
			t.Fatal(err)
		}
		if err := q.remove(t.Context(), []uint64{e.Seq}); err != nil {
			t.Fatal(err)
		}
	}
	want(t, "entries", len(seen), 3000)
	want(t, "left", q.stats().Messages, 0)
}
