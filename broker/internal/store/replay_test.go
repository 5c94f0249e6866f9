package store

import (
	"context"
	"errors"
	"strings"
	"testing"

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
