package broker

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// A queue takes other bounds while it is in use.
func TestQueueIsBoundAnew(t *testing.T) {
	b, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer runUntil(t, b)()
	q, err := b.AttachQueue(QueueOptions{Name: "cloud", Filters: []mqtt.Subscription{{Filter: "#", QoS: 1}}, MaxBytes: 100 << 10})
	if err != nil {
		t.Fatal(err)
	}
	c, err := b.Attach(ClientOptions{ID: "tester"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	publish := func(topic string) error {
		return c.Publish(t.Context(), mqtt.Message{Topic: topic, Payload: make([]byte, 1000), QoS: 1})
	}
	fill := func(n int) {
		t.Helper()
		for i := range n {
			if err := publish(fmt.Sprint("t/", i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	fill(150)
	if s := q.Stats(); s.Bytes > 100<<10 || s.Messages < 50 {
		t.Errorf("at first: %+v", s)
	}
	q.Bound(20<<10, 0, DropOldest)
	fill(1)
	if s := q.Stats(); s.Bytes > 20<<10 || s.Messages < 10 {
		t.Errorf("smaller: %+v", s)
	}
	q.Bound(20<<10, 0, Reject)
	var refused *mqtt.Error
	for range 30 {
		err = publish("t/1")
	}
	if !errors.As(err, &refused) || refused.Code != mqtt.QuotaExceeded {
		t.Errorf("rejecting: %v", err)
	}
	q.Bound(20<<10, 0, LastValue)
	before := q.Stats()
	for range 30 {
		fill(1)
	}
	if s := q.Stats(); s.Drops[mqtt.DropReplaced]+s.Drops[mqtt.DropFull] == before.Drops[mqtt.DropReplaced]+before.Drops[mqtt.DropFull] || s.Bytes > 20<<10 {
		t.Errorf("the last value: %+v", s)
	}
	q.Bound(100<<10, time.Nanosecond, DropOldest)
	fill(1)
	if s := q.Stats(); s.Drops[mqtt.DropAged] == 0 {
		t.Errorf("old: %+v", s)
	}
}
