package store

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disktest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// A journal may hold many times what memory holds of a line. A start puts that
// on disk while it reads; on a disk that takes nothing it keeps it, and who only
// looks writes nothing.
func TestStartSpills(t *testing.T) {
	const n, gone = 20_000, 700
	d := disktest.New(1 << 30)
	s, _, _, err := Open(d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(n) {
		m := &mqtt.Message{Topic: "t", QoS: 2, Payload: body(i+1, 16)}
		s.Append(Record{Kind: MessageQueued, Message: m, Destinations: []Destination{{Name: "\x00q", Number: i + 1, QoS: 2}, {Name: "session", Number: i + 1, QoS: 1}}})
	}
	for i := range uint64(gone) {
		s.Append(Record{Kind: DeliveryDone, ClientID: "\x00q", Number: i + 1})
	}
	s.Append(Record{Kind: DeliveryReceived, ClientID: "\x00q", Number: gone + 1})
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	full := errors.New("full")
	for _, tc := range []struct {
		name         string
		spills, full bool
		inMemory     bool
	}{{"reads", false, false, true}, {"full", true, true, true}, {"spills", true, false, false}} {
		t.Run(tc.name, func(t *testing.T) {
			d := d.Crash(d.Ops(), disktest.KeepAll, nil)
			before, failed := d.Ops(), 0
			d.Fail(func(op, name string) error {
				if tc.full && strings.HasSuffix(name, ".spill") && op == "create" {
					failed++
					return full
				}
				return nil
			})
			s, state, _, err := Open(d, Options{Spills: tc.spills})
			if err != nil {
				t.Fatal(err)
			}
			if !tc.spills && d.Ops() != before {
				t.Errorf("%d operations on the disk", d.Ops()-before)
			}
			if failed > 1 {
				t.Errorf("tried %d times", failed)
			}
			for name, first := range map[string]uint64{"\x00q": gone + 1, "session": 1} {
				if w := state.Lines[name].weight(); tc.inMemory != (w > spillAt) {
					t.Errorf("%q has %d bytes in memory", name, w)
				}
				next := first
				for after := uint64(0); ; {
					entries, upTo, err := s.Read(name, after, 64<<10)
					if err != nil {
						t.Fatal(err)
					}
					if len(entries) == 0 {
						break
					}
					if len(entries) > batchMost {
						t.Errorf("%d entries at once", len(entries))
					}
					for _, e := range entries {
						if e.Number != next || string(e.Message.Payload) != string(body(next, 16)) || e.Received != (name != "session" && next == gone+1) {
							t.Fatalf("%q: entry %d received %v, want %d", name, e.Number, e.Received, next)
						}
						next++
					}
					after = upTo
				}
				if next != n+1 {
					t.Errorf("%q ends with %d", name, next-1)
				}
			}
		})
	}
}

// A queue whose first entries must stay, since the other side may have them, gives
// back the disk of those behind them.
func TestPurgedDiskIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, kept = 2000, 20
		l := QueueLimits{Messages: 1 << 20, Bytes: 1 << 30}
		r := open(t, disktest.New(1<<30), l, Interval)
		for i := range uint64(n) {
			r.push(i+1, 9000)
		}
		spills := func() (n int) {
			for name := range r.disk.Files() {
				if strings.HasSuffix(name, ".spill") {
					n++
				}
			}
			return n
		}
		before := spills()
		for i := uint64(kept + 1); i <= n; i++ {
			if !r.q.Withdraw(i, mqtt.DropReplaced) {
				t.Fatalf("entry %d is not there", i)
			}
			r.letGo()
		}
		r.commit()
		time.Sleep(10 * time.Second)
		if after := spills(); before <= 2*idleFiles || after > idleFiles+2 {
			t.Errorf("%d files, %d before", after, before)
		}
		r = r.kill(l)
		defer func() { r.stop() }()
		for i := range uint64(100) {
			r.push(n+i+1, 9000)
		}
		for i := range uint64(kept + 100) {
			want := i + 1
			if i >= kept {
				want += n - kept
			}
			if e, ok := r.next(); !ok || e.Seq != want || string(e.Message.Payload) != string(body(want, 9000)) {
				t.Fatalf("entry %d is %d, %v", want, e.Seq, ok)
			}
		}
		if e, ok := r.next(); ok {
			t.Errorf("and %d", e.Seq)
		}
	})
}
