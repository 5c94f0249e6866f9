package bridge

import (
	"context"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// TestQueue is the fake queue for tests outside the package.
type TestQueue struct{ *fakeQueue }

// NewTestQueue makes an empty one.
func NewTestQueue(t testing.TB) TestQueue { return TestQueue{newQueue(t)} }

// Add appends a message.
func (q TestQueue) Add(m mqtt.Message) { q.add(m) }

// WaitEmpty waits until everything was removed.
func (q TestQueue) WaitEmpty(t testing.TB, limit time.Duration) {
	t.Helper()
	q.wait(t, limit, func(s mqtt.QueueStats) bool { return s.Messages == 0 })
}

// WaitInFlight waits until n messages were handed out and not removed.
func (q TestQueue) WaitInFlight(t testing.TB, n int, limit time.Duration) {
	t.Helper()
	q.wait(t, limit, func(s mqtt.QueueStats) bool { return s.InFlight >= n })
}

func (q TestQueue) wait(t testing.TB, limit time.Duration, ok func(mqtt.QueueStats) bool) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	poll := time.NewTicker(5 * time.Millisecond) // an external server is at work
	defer poll.Stop()
	for !ok(q.Stats()) {
		select {
		case <-poll.C:
		case <-deadline.C:
			t.Fatalf("queue: %+v", q.Stats())
		}
	}
}

// TestLocal is a local broker that hands out what was published.
type TestLocal struct {
	Publisher // nil: no QoS 2
	Messages  chan mqtt.Message
}

// Publish implements Publisher.
func (l *TestLocal) Publish(ctx context.Context, m mqtt.Message) error {
	select {
	case l.Messages <- m:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Forget implements Publisher: without QoS 2 there are no identifiers.
func (l *TestLocal) Forget(context.Context, string) error { return nil }
