package broker_test

import (
	"fmt"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/brokertest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// queueIn starts a broker on a data directory with a queue of all messages.
func queueIn(t *testing.T, dir string) (*brokertest.Broker, *broker.Queue) {
	t.Helper()
	b := brokertest.New(t, onDisk(dir))
	q, err := b.AttachQueue(broker.QueueOptions{Name: "q", Filters: []mqtt.Subscription{{Filter: "#", QoS: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	return b, q
}

// What a destination acknowledged just before the process was killed may come
// again, as a message that was sent before; what is older does not.
func TestAcknowledgedAndKilled(t *testing.T) {
	const messages, batch, most = 512, 32, 256 // all in memory; the second half waits for the record of the first
	dir := t.TempDir()
	b, q := queueIn(t, dir)
	c := attach(t, b, broker.ClientOptions{ID: "c"})
	put := func(n int) {
		if err := c.Publish(t.Context(), mqtt.Message{Topic: "t", Payload: fmt.Append(nil, n), QoS: 1}); err != nil {
			t.Fatal(err)
		}
	}
	for n := range messages {
		put(n)
	}
	var seqs []uint64
	for range messages {
		e, ok, err := q.Take(t.Context())
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
		if seqs = append(seqs, e.Seq); len(seqs) == batch {
			if err := q.Acknowledged(t.Context(), seqs...); err != nil {
				t.Fatal(err)
			}
			seqs = seqs[:0]
		}
	}
	if s := q.Stats(); s.Messages != 0 || s.Removed != messages {
		t.Errorf("%+v", s)
	}
	at := kill(t, dir)
	put(messages) // and all before it is recorded
	later := kill(t, dir)
	b.Stop()

	dir = at
	b, q = queueIn(t, dir)
	left := 0
	for e, ok, err := q.Take(t.Context()); ok; e, ok, err = q.Take(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		left++
		if want := fmt.Sprint(messages - q.Stats().Messages + left - 1); string(e.Message.Payload) != want || e.Sent == 0 {
			t.Fatalf("message %s came again, sent %d times, want %s, sent before", e.Message.Payload, e.Sent, want)
		}
	}
	if left > most {
		t.Errorf("%d messages came again, want %d at most", left, most)
	}
	b.Stop()

	dir = later
	b, q = queueIn(t, dir)
	if n := q.Stats().Messages; n != 1 {
		t.Errorf("%d messages wait, want the new one", n)
	}
	b.Stop()
}
