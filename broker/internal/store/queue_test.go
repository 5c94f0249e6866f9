package store

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/overflow"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// entry is what the dumb queue remembers.
type entry struct {
	seq            uint64
	handed, inSent bool
	size           int
}

// FuzzQueue drives a Queue and a slice with the same operations.
func FuzzQueue(f *testing.F) {
	f.Add([]byte{0, 0, 1, 0, 0, 0, 1, 2, 3, 1, 4, 0, 0, 0, 1, 1, 3})
	f.Fuzz(func(t *testing.T, ops []byte) {
		const maxMessages, maxBytes = 4, 40
		q := NewQueue(QueueLimits{Messages: maxMessages, Bytes: maxBytes}, 0)
		var model []entry
		var last, accepted, removed, dropped uint64
		now := time.Unix(1000, 0)
		for _, op := range ops {
			arg := int(op >> 3)
			switch op % 5 {
			case 0: // push
				q.Push(now, &mqtt.Message{Payload: make([]byte, arg)})
				accepted++
				if model = makeRoom(model, maxMessages, maxBytes, arg, &dropped); model == nil || !fits(model, maxMessages, maxBytes, arg) {
					dropped++
					break
				}
				last++
				model = append(model, entry{seq: last, size: arg})
			case 1: // next
				i := 0
				for i < len(model) && model[i].handed {
					i++
				}
				e, ok := q.Next(now)
				if ok != (i < len(model)) || ok && e.Seq != model[i].seq {
					t.Fatalf("Next = %d %v, model has %v", e.Seq, ok, model)
				}
				if ok {
					model[i].handed, model[i].inSent = true, true
				}
			case 2:
				q.Rewind()
				for i := range model {
					model[i].handed = false
				}
			case 3: // remove one that was handed out
				for i := range model {
					if model[i].handed && i >= arg%len(model) {
						if !q.Remove(model[i].seq) {
							t.Fatalf("Remove(%d) = false", model[i].seq)
						}
						removed++
						model = append(model[:i:i], model[i+1:]...)
						break
					}
				}
			case 4:
				if got := q.Remove(last + 1); got {
					t.Fatal("removed what was never there")
				}
			}
			s := q.Stats(now)
			if s.Messages != len(model) || s.Accepted != accepted || s.Removed != removed || s.Dropped != dropped ||
				s.Accepted != s.Removed+s.Dropped+uint64(s.Messages) {
				t.Fatalf("stats %+v, model %v accepted %d removed %d dropped %d", s, model, accepted, removed, dropped)
			}
		}
	})
}

func fits(model []entry, maxMessages, maxBytes, size int) bool {
	for _, e := range model {
		size += e.size
	}
	return len(model)+1 <= maxMessages && size <= maxBytes
}

// makeRoom drops the oldest that was never handed out until size fits; it
// never returns nil.
func makeRoom(model []entry, maxMessages, maxBytes, size int, dropped *uint64) []entry {
	if model == nil {
		model = []entry{}
	}
	for !fits(model, maxMessages, maxBytes, size) {
		i := 0
		for i < len(model) && model[i].inSent {
			i++
		}
		if i == len(model) {
			break
		}
		model = append(model[:i:i], model[i+1:]...)
		*dropped++
	}
	return model
}

func TestQueueKeepsWhatTheOtherSideOwns(t *testing.T) {
	now := time.Unix(1000, 0)
	q := NewQueue(QueueLimits{Messages: 10, Bytes: 1000}, 0)
	q.Push(now, &mqtt.Message{Topic: "a", Expires: now.Add(time.Second)})
	q.Push(now, &mqtt.Message{Topic: "b", Expires: now.Add(time.Second)})
	for range 2 {
		q.Next(now)
	}
	if !q.Received(1) || q.Received(9) {
		t.Error("Received does not find its entry")
	}
	q.Rewind()
	e, ok := q.Next(now.Add(time.Minute))
	if !ok || e.Seq != 1 || !e.Received || e.Sent != 1 {
		t.Errorf("Next = %+v, want entry 1 received", e)
	}
}

// What may be half way is not given up, nor what ends a retained message elsewhere:
// the consumer knows what follows from it.
func TestQueueLeavesWhatItsConsumerMustEnd(t *testing.T) {
	now := time.Unix(1000, 0)
	q := NewQueue(QueueLimits{Messages: 10, Bytes: 1000}, 0)
	for _, m := range []mqtt.Message{{Topic: "sent", QoS: 2}, {Topic: "sent", QoS: 1}, {Topic: "retained", Retain: true}, {Topic: "new", QoS: 2}} {
		m.Expires = now.Add(time.Second)
		q.Push(now, &m)
	}
	q.Next(now)
	q.Next(now)
	q.Rewind()
	var got []uint64
	for e, ok := q.Next(now.Add(time.Minute)); ok; e, ok = q.Next(now.Add(time.Minute)) {
		got = append(got, e.Seq)
	}
	if want := []uint64{1, 3}; !slices.Equal(got, want) || q.Stats(now).Drops[mqtt.DropExpired] != 2 {
		t.Errorf("entries %d, not %d; %v", got, want, q.Stats(now).Drops)
	}
}

// With LastValue a message gives way to the next of its topic, but one that is
// retained only to another that is: it is what the other side will hold.
func TestQueueLastValueOfWhatIsRetained(t *testing.T) {
	now := time.Unix(1000, 0)
	q := NewQueue(QueueLimits{Messages: 3, Bytes: 1000, Overflow: overflow.LastValue}, 0)
	push := func(topic, payload string, retain bool) {
		q.Push(now, &mqtt.Message{Topic: topic, Payload: []byte(payload), Retain: retain})
	}
	push("oldest", "", false)
	push("a", "held 1", true)
	push("a", "1", false)
	push("a", "2", false)
	push("a", "held 2", true)
	var got []string
	for e, ok := q.Next(now); ok; e, ok = q.Next(now) {
		got = append(got, string(e.Message.Payload))
	}
	if want := []string{"", "2", "held 2"}; !slices.Equal(got, want) || q.Stats(now).Drops[mqtt.DropReplaced] != 2 {
		t.Errorf("%q, not %q; %v", got, want, q.Stats(now).Drops)
	}
}

// What was queued in 1970 is not 56 years old when the clock has been set, but
// as old as the clock that nobody sets says, where that is known.
func TestAgeOfBeforeTheClockWasSet(t *testing.T) {
	set := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	q := NewQueue(QueueLimits{Messages: 10, Bytes: 1 << 20, Age: time.Hour}, 0)
	q.Push(time.Unix(60, 0), &mqtt.Message{Topic: "a", Expires: time.Unix(120, 0)})
	q.Push(time.Unix(60, 0), &mqtt.Message{Topic: "b"})
	q.Push(set.Add(-2*time.Hour), &mqtt.Message{Topic: "old"})
	for _, want := range []string{"a", "b"} {
		if e, ok := q.Next(set); !ok || e.Message.Topic != want {
			t.Fatalf("%v is handed out, not %s", e, want)
		}
	}
	if e, ok := q.Next(set); ok || q.Stats(set).Drops[mqtt.DropAged] != 1 {
		t.Errorf("%v is handed out", e)
	}
	if _, ok := (&mqtt.Message{Expires: time.Unix(120, 0)}).ExpirySeconds(set); ok {
		t.Error("a Message Expiry Interval that nobody knows is told")
	}
	if m := (mqtt.Message{Expires: time.Now()}); !m.Expired(time.Now()) {
		t.Error("a message of now does not expire")
	}
}

// A full disk that somebody else has filled costs a queue, for each part that does
// not fit into memory, a few files for want of a better, and not at once all that is
// on disk; and LastValue the last of no topic.
func TestQueueOnAFullDisk(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, tc := range []struct {
		overflow  overflow.Policy
		least     int // of 10,000 that were on disk
		full      uint64
		lastKept  bool
		rareKept  bool
		emptyDisk bool
	}{
		{overflow: overflow.DropOldest, least: 3000, full: 7000, rareKept: true, lastKept: true},
		{overflow: overflow.LastValue, least: 7000, full: 3000, lastKept: true, rareKept: true},
		{overflow: overflow.DropNewest, least: 10000, full: 5000, rareKept: true},
		{overflow: overflow.DropOldest, emptyDisk: true, full: 4200, lastKept: true, rareKept: true},
	} {
		q := NewQueue(QueueLimits{Messages: 1 << 30, Bytes: 256 << 20, Overflow: tc.overflow, Spills: true}, 0)
		topics := map[uint64]string{}
		push := func(topic string) {
			if seq := q.Push(now, &mqtt.Message{Topic: topic, Payload: make([]byte, 1000), QoS: 1}); seq > 0 {
				topics[seq] = topic
			}
			gone, cuts := q.Gone()
			for _, seq := range gone {
				delete(topics, seq)
			}
			for _, c := range cuts {
				maps.DeleteFunc(topics, func(seq uint64, _ string) bool { return seq >= c.From && seq <= c.To })
			}
		}
		if !tc.emptyDisk {
			for i := range 10000 {
				push(fmt.Sprint("a", i%9))
			}
		}
		q.Tight(true, 0)
		push("rare")
		for i := range 3000 {
			push(fmt.Sprint("b", i%9))
		}
		push("last")
		old, rare, last := 0, false, false
		for _, topic := range topics {
			switch topic {
			case "rare":
				rare = true
			case "last":
				last = true
			default:
				if topic[0] == 'a' {
					old++
				}
			}
		}
		s := q.Stats(now)
		if old < tc.least || s.Drops[mqtt.DropFull] > tc.full || rare != tc.rareKept || last != tc.lastKept || s.Messages != len(topics) {
			t.Errorf("%d: %d of what was on disk are left, rare %v, last %v; %d wait, %d are there; %v", tc.overflow, old, rare, last, s.Messages, len(topics), s.Drops)
		}
	}
}
