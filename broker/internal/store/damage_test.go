package store

import (
	"slices"
	"strings"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disktest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// No page of a checkpoint takes more from a session than the messages on it.
func TestEveryPageOfACheckpoint(t *testing.T) {
	d := disktest.New(1 << 30)
	s, _, _, err := Open(d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Append(Record{Kind: SessionKept, ClientID: "c", Owner: "u", Expiry: 1 << 40})
	s.Append(Record{Kind: Subscribed, ClientID: "c", Subscription: mqtt.Subscription{Filter: "t", QoS: 1}})
	const messages = 200
	for n := range uint64(messages) {
		m := &mqtt.Message{Topic: "t", QoS: 1, Payload: make([]byte, 1000)}
		s.Append(Record{Kind: MessageQueued, Message: m, Destinations: []Destination{{Name: "c", Number: n + 1, QoS: 1}}})
	}
	if err := s.j.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	for name, whole := range d.Files() {
		if !strings.HasPrefix(name, "checkpoint-") {
			continue
		}
		for at := 0; at < len(whole); at += 4096 {
			bad := slices.Clone(whole)
			bad[at+100] ^= 1
			d := disktest.New(1 << 30)
			d.Put(name, bad)
			_, state, report, err := Open(d, Options{})
			if err != nil {
				t.Fatal(err)
			}
			l := state.Lines["c"]
			if l == nil || !l.Kept || l.Owner != "u" || len(l.Subscriptions) != 1 || len(l.Entries) < messages-6 || l.Last != messages {
				t.Fatalf("page %d of %d: %+v", at/4096, len(whole)/4096, l)
			}
			if report.BadPages != 1 {
				t.Errorf("page %d: %+v", at/4096, report)
			}
		}
	}
}
