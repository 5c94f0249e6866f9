package broker

import (
	"context"
	"fmt"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// What lies behind the head, on disk, is given up by name as well, and stays
// given up after a restart.
func TestDropBehindTheHead(t *testing.T) {
	dir := t.TempDir()
	open := func() (*Queue, func()) {
		b, err := New(Options{Data: &Data{Dir: dir}})
		if err != nil {
			t.Fatal(err)
		}
		q, err := b.AttachQueue(QueueOptions{Name: "dead"})
		if err != nil {
			t.Fatal(err)
		}
		return q, runUntil(t, b)
	}
	q, stop := open()
	const messages = 2000 // several times the head
	for i := range messages {
		if seq, err := q.Put(t.Context(), mqtt.Message{Topic: "a", Payload: fmt.Appendf(nil, "%0100d", i)}); seq == 0 || err != nil {
			t.Fatal(seq, err)
		}
	}
	even := map[uint64]bool{}
	n := 0
	q.Each(0, func(e *mqtt.Queued) bool {
		if n++; n%2 == 0 {
			even[e.Seq] = true
		}
		return true
	})
	for seq := range even {
		if err := q.Drop(t.Context(), seq, mqtt.DropUnwanted); err != nil {
			t.Fatal(err)
		}
	}
	if s := q.Stats(); s.Messages != messages/2 || s.Drops[mqtt.DropUnwanted] != messages/2 || s.Accepted != s.Dropped+uint64(s.Messages) {
		t.Errorf("%+v", s)
	}
	left := func(when string) {
		t.Helper()
		n := 0
		q.Each(0, func(e *mqtt.Queued) bool {
			if n++; even[e.Seq] {
				t.Errorf("%s: entry %d is still there", when, e.Seq)
			}
			return !t.Failed()
		})
		if n != messages/2 {
			t.Errorf("%s: %d entries are left, want %d", when, n, messages/2)
		}
	}
	left("before a restart")
	stop()
	q, stop = open()
	defer stop()
	left("after it")
	for range messages / 2 {
		if _, ok, err := q.Take(t.Context()); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	if _, ok, _ := q.Take(t.Context()); ok {
		t.Error("more than was left is handed out")
	}
}

// runUntil runs the broker; what it returns stops it and waits.
func runUntil(t *testing.T, b *Broker) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	return func() { cancel(); <-done }
}
