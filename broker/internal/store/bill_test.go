package store

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disktest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// What lines and a queue say they hold is what they hold, each message once,
// whatever happens to them.
func TestBillsAgainstTheModel(t *testing.T) {
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 6))
		var said, level int
		s, state, _, err := Open(disktest.New(1<<30), Options{
			Level: func() int { return level }, Held: func(messages, lines int) { said += messages + lines },
		})
		if err != nil {
			t.Fatal(err)
		}
		names := []string{"\x00q", "a", "b"}
		q := NewQueue(QueueLimits{Messages: 400, Bytes: 200_000, Spills: true}, 0)
		numbers, loaded := map[string]uint64{}, 0
		bill := func(n int) {
			messages, entries := q.Bill(1)
			said += messages + entries
			for _, l := range state.Lines {
				s.charge(l, true)
			}
			if want := heldBy(state, q); said != want {
				t.Fatalf("seed %d, step %d: %d bytes are booked, %d are held", seed, n, said, want)
			}
		}
		for n := range 2000 {
			switch r.IntN(12) {
			case 0:
				level = r.IntN(3)
				s.Relieve()
				s.beside()
			case 1:
				s.Append(Record{Kind: SessionEnded, ClientID: names[1+r.IntN(2)]})
			case 2, 3, 4:
				name := names[1+r.IntN(2)]
				s.Append(Record{Kind: DeliveryDone, ClientID: name, Number: 1 + uint64(r.IntN(int(numbers[name]+1)))})
			case 5:
				if e, ok := q.Next(time.Now()); ok && q.Remove(e.Seq) {
					s.Append(Record{Kind: DeliveryDone, ClientID: names[0], Number: e.Seq})
				}
			case 6:
				if _, after, _ := q.Behind(); q.behind > 0 && len(q.entries) < 40 {
					entries, upTo, err := s.Read(names[0], after, 4<<10)
					if err != nil {
						t.Fatal(err)
					}
					q.Load(entries, upTo)
					loaded += len(entries)
				}
			default:
				m := &mqtt.Message{Topic: fmt.Sprint(n), QoS: 1, Payload: body(uint64(n), 1+r.IntN(2000))}
				m.Shareable(new(atomic.Int32))
				rec := Record{Kind: MessageQueued, Message: m, At: time.Now()}
				for _, name := range names {
					if r.IntN(2) == 0 {
						continue
					}
					if numbers[name]++; name == names[0] {
						if numbers[name] = q.Push(time.Now(), m); numbers[name] == 0 {
							continue
						}
					}
					rec.Destinations = append(rec.Destinations, Destination{Name: name, Number: numbers[name], QoS: 1})
				}
				if len(rec.Destinations) > 0 {
					s.Append(rec)
				}
				gone, cuts := q.Gone()
				for _, seq := range gone {
					s.Append(Record{Kind: DeliveryDone, ClientID: names[0], Number: seq})
				}
				for _, c := range cuts {
					s.Append(Record{Kind: LineCut, ClientID: names[0], From: c.From, Number: c.To, Count: c.Count})
				}
			}
			bill(n)
		}
		q.Release()
		for _, name := range names {
			s.Append(Record{Kind: SessionEnded, ClientID: name})
		}
		if loaded == 0 {
			t.Errorf("seed %d: the queue never was longer than its head", seed)
		}
		if bill(-1); said != 0 {
			t.Errorf("seed %d: %d bytes are left when all is gone", seed, said)
		}
	}
}

// heldBy looks at all of it: the dumbest bill. Copies of a message share its
// payload; what was read from disk is another message.
func heldBy(state *State, q *Queue) (n int) {
	seen := map[*byte]bool{}
	look := func(m *mqtt.Message) {
		if !seen[&m.Payload[0]] {
			seen[&m.Payload[0]] = true
			n += m.Footprint()
		}
	}
	for _, l := range state.Lines {
		n += len(l.Entries) * entryCost
		for i := range l.Entries {
			look(l.Entries[i].Message)
		}
	}
	if !q.released {
		n += len(q.entries) * queuedSize
		for i := range q.entries {
			look(&q.entries[i].Message)
		}
	}
	return n
}
