package store

import (
	"bytes"
	"maps"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disktest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Of a backup that was written while everything changed each part can be
// restored alone: it is what it is in the whole, and nothing else is there.
func TestRestoreOfParts(t *testing.T) {
	b := newBusyStore(t, disktest.New(1<<30), 3, 600)
	queue := Record{Kind: MessageQueued, Message: &mqtt.Message{Topic: "both", QoS: 1, Payload: body(1, 100)}, At: time.Now()}
	b.Append(Record{Kind: SessionKept, ClientID: "\x00line", Expiry: time.Hour})
	b.Append(Record{Kind: SessionKept, ClientID: "away", Expiry: time.Hour})
	for i := range uint64(3000) { // in files
		queue.Destinations = []Destination{{Name: "\x00line", Number: i + 1, QoS: 1}, {Name: "away", Number: i + 1, QoS: 1}}
		b.Append(queue)
	}
	file := backupOf(t, b, 7)
	restored := func(parts Part) *State {
		d := disktest.New(1 << 30)
		if err := Restore(d, bytes.NewReader(file), int64(len(file)), parts); err != nil {
			t.Fatal(err)
		}
		_, state, report, err := Open(d, Options{})
		if err != nil || report.BadPages > 0 {
			t.Fatal(report, err)
		}
		return state
	}
	weigh := func(l *Line) int {
		n := len(l.Entries)
		if l.disk != nil {
			for _, run := range l.disk.runs {
				n += run.Messages
			}
		}
		return n
	}
	all := restored(Everything)
	if len(all.Retained) == 0 || len(all.Lines) < 4 {
		t.Fatalf("the backup has %d retained messages and %d lines: too few to tell", len(all.Retained), len(all.Lines))
	}
	for _, parts := range []Part{PartRetained, PartSessions, PartSpools, PartRetained | PartSpools} {
		got := restored(parts)
		if want := len(all.Retained); parts&PartRetained == 0 && len(got.Retained) != 0 || parts&PartRetained != 0 && len(got.Retained) != want {
			t.Errorf("parts %b: %d retained messages of %d", parts, len(got.Retained), want)
		}
		for name := range maps.Keys(all.Lines) {
			l, wanted := got.Lines[name], parts&partOf(name) != 0
			switch {
			case (l != nil) != wanted:
				t.Errorf("parts %b: line %q is there: %v", parts, name, l != nil)
			case wanted && (weigh(l) != weigh(all.Lines[name]) || len(l.Subscriptions) != len(all.Lines[name].Subscriptions) || l.Kept != all.Lines[name].Kept):
				t.Errorf("parts %b: line %q is another", parts, name)
			}
		}
	}
}
