package broker_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

func queueTest(t *testing.T, o broker.QueueOptions, f func(t *testing.T, p *broker.Client, q *broker.Queue)) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New(t)
		o.Name = "cloud"
		if o.Filters == nil {
			o.Filters = []mqtt.Subscription{{Filter: "out/#", QoS: 2}, {Filter: "out/+", QoS: 1}}
		}
		p := attach(t, b, broker.ClientOptions{ID: "p"})
		publish(t, p, mqtt.Message{Topic: "out/retained", Payload: []byte("r"), Retain: true})
		q, err := b.AttachQueue(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if s := q.Stats(); s.Accepted != s.Removed+s.Dropped+uint64(s.Messages) {
				t.Errorf("accounts: %+v", s)
			}
		})
		f(t, p, q)
	})
}

func take(t *testing.T, q *broker.Queue) mqtt.Queued {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	e, err := q.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestQueueWithdrawsWhatWasNeverHandedOut(t *testing.T) {
	queueTest(t, broker.QueueOptions{}, func(t *testing.T, p *broker.Client, q *broker.Queue) {
		publish(t, p, mqtt.Message{Topic: "out/a", QoS: 1})
		sent := take(t, q) // the retained one
		for _, w := range []struct {
			seq  uint64
			gone bool
		}{{sent.Seq, false}, {sent.Seq + 1, true}, {sent.Seq + 1, false}} {
			if gone, err := q.Withdraw(t.Context(), w.seq, mqtt.DropUnwanted); gone != w.gone || err != nil {
				t.Errorf("entry %d: %v, %v", w.seq-sent.Seq, gone, err)
			}
		}
		if s := q.Stats(); s.Messages != 1 || s.InFlight != 1 || s.Drops[mqtt.DropUnwanted] != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestQueueHandsOutInOrderAndAgainAfterRewind(t *testing.T) {
	queueTest(t, broker.QueueOptions{Filters: []mqtt.Subscription{{Filter: "out/#", QoS: 2, RetainHandling: mqtt.DoNotSendRetained}, {Filter: "out/+", QoS: 1, RetainHandling: mqtt.DoNotSendRetained}}}, func(t *testing.T, p *broker.Client, q *broker.Queue) {
		for i := range 5 {
			publish(t, p, mqtt.Message{Topic: "out/x", Payload: fmt.Append(nil, i), QoS: 1, Retain: i == 0})
		}
		var seqs []uint64
		for i := range 4 {
			e := take(t, q)
			if string(e.Message.Payload) != fmt.Sprint(i) || e.Sent != 0 || e.Message.Retain != (i == 0) || e.Message.QoS != 1 {
				t.Errorf("entry %d = %q sent %d retain %v", i, e.Message.Payload, e.Sent, e.Message.Retain)
			}
			seqs = append(seqs, e.Seq)
		}
		if err := q.Remove(t.Context(), seqs[0]); err != nil {
			t.Fatal(err)
		}
		if err := q.Received(t.Context(), seqs[2]); err != nil {
			t.Fatal(err)
		}
		q.Rewind()
		for i, want := range []mqtt.Queued{{Seq: seqs[1], Sent: 1}, {Seq: seqs[2], Sent: 1, Received: true}, {Seq: seqs[3], Sent: 1}, {Seq: seqs[3] + 1}} {
			e := take(t, q)
			if e.Seq != want.Seq || e.Sent != want.Sent || e.Received != want.Received {
				t.Errorf("after Rewind %d: %+v, want %+v", i, e, want)
			}
		}
		if s := q.Stats(); s.Messages != 4 || s.InFlight != 4 || s.Removed != 1 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestQueueDropsTheOldestThatWasNotHandedOut(t *testing.T) {
	queueTest(t, broker.QueueOptions{MaxMessages: 3}, func(t *testing.T, p *broker.Client, q *broker.Queue) {
		if e := take(t, q); string(e.Message.Payload) != "r" || !e.Message.Retain {
			t.Errorf("the retained message comes first, got %q", e.Message.Payload)
		}
		for i := range 5 {
			publish(t, p, mqtt.Message{Topic: "out/x", Payload: fmt.Append(nil, i), QoS: 1})
		}
		q.Rewind()
		for _, want := range []string{"r", "3", "4"} {
			if e := take(t, q); string(e.Message.Payload) != want {
				t.Errorf("got %q, want %q", e.Message.Payload, want)
			}
		}
		if s := q.Stats(); s.Dropped != 3 {
			t.Errorf("dropped %d, want 3", s.Dropped)
		}
	})
}

func TestQueueSkipsAndExpires(t *testing.T) {
	queueTest(t, broker.QueueOptions{Skip: "p"}, func(t *testing.T, p *broker.Client, q *broker.Queue) {
		publish(t, p, mqtt.Message{Topic: "out/x", QoS: 1})
		if s := q.Stats(); s.Accepted != 0 {
			t.Errorf("accepted %d of the skipped publisher", s.Accepted)
		}
	})
	queueTest(t, broker.QueueOptions{}, func(t *testing.T, p *broker.Client, q *broker.Queue) {
		take(t, q)
		publish(t, p, mqtt.Message{Topic: "out/x", Payload: []byte("old"), Expires: time.Now().Add(time.Second)})
		publish(t, p, mqtt.Message{Topic: "out/x", Payload: []byte("new")})
		time.Sleep(2 * time.Second)
		if e := take(t, q); string(e.Message.Payload) != "new" {
			t.Errorf("got %q, want new", e.Message.Payload)
		}
		if s := q.Stats(); s.Dropped != 1 {
			t.Errorf("dropped %d, want 1", s.Dropped)
		}
	})
}

// What the consumer gives up is counted by why, and stays away.
func TestQueueDrops(t *testing.T) {
	b := brokertest.New(t)
	p := attach(t, b, broker.ClientOptions{ID: "p"})
	q, err := b.AttachQueue(broker.QueueOptions{Name: "q", Filters: []mqtt.Subscription{{Filter: "#", QoS: 2}}})
	if err != nil {
		t.Fatal(err)
	}
	publish(t, p, mqtt.Message{Topic: "a", QoS: 1})
	publish(t, p, mqtt.Message{Topic: "b", QoS: 1})
	for range 2 {
		if err := q.Drop(t.Context(), take(t, q).Seq, mqtt.DropDead); err != nil {
			t.Fatal(err)
		}
		q.Rewind()
	}
	s := q.Stats()
	if s.Messages != 0 || s.Dropped != 2 || s.Drops[mqtt.DropDead] != 2 || s.Accepted != 2 {
		t.Errorf("%+v", s)
	}
}
