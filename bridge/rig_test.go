package bridge

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// rig is a bridge under test with its queue, server and local broker.
type rig struct {
	*Bridge
	q     *fakeQueue
	s     *fakeServer
	local *fakeLocal
	stop  func()
}

// start runs a bridge against s until the test or stop ends it. Call it in a
// synctest bubble.
func start(t *testing.T, s *fakeServer, change ...func(*Options)) *rig {
	t.Helper()
	r := &rig{q: newQueue(t), s: s, local: &fakeLocal{}}
	o := Options{
		Name: "test", Servers: []string{"mqtt://upstream:1883"}, ClientID: "gw",
		Out:  []Route{{From: "out/#", To: "up/#"}},
		Mark: "me", Queues: [LaneCount]Queue{r.q}, Local: r.local, Dial: s.dial, Log: slog.New(slog.DiscardHandler),
	}
	for _, f := range change {
		f(&o)
	}
	b, stop := running(t, o)
	r.Bridge = b
	r.stop = sync.OnceFunc(func() {
		stop()
		s.kill()
		s.wg.Wait()
		r.balanced(t)
	})
	t.Cleanup(r.stop)
	return r
}

// running makes a bridge and runs it until stop.
func running(t *testing.T, o Options) (b *Bridge, stop func()) {
	t.Helper()
	b, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	sampled := Sample(t, b, sampling)
	return b, func() {
		sampled()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

// sampling is how often a bridge in a bubble is looked at: it meets no period of
// the bridge's own.
const sampling = 23 * time.Second

// Sample checks again and again that no message is nowhere, until what it
// returns is called, and then once more.
func Sample(t testing.TB, b *Bridge, every time.Duration) (stop func()) {
	ended := make(chan struct{})
	var sampler sync.WaitGroup
	sampler.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for last := false; ; {
			if s := b.Stats(); s.Unaccounted() != 0 {
				t.Errorf("%d messages are nowhere: %+v", s.Unaccounted(), s.Queue)
			}
			if last {
				return
			}
			select {
			case <-tick.C:
			case <-ended:
				last = true
			}
		}
	})
	return func() {
		close(ended)
		sampler.Wait()
	}
}

// balanced checks the accounts: what was accepted was acknowledged, is in
// flight or queued, or was given up for a reason that is counted.
func (r *rig) balanced(t testing.TB) {
	t.Helper()
	s := r.Stats()
	q := s.Queue
	if q.Accepted != q.Removed+q.Dropped+uint64(q.Messages) || q.Dropped != q.Drops.Total() || q.InFlight > q.Messages {
		t.Errorf("accepted %d = removed %d + dropped %d + waiting %d does not hold: %v", q.Accepted, q.Removed, q.Dropped, q.Messages, q.Drops)
	}
	if q.Drops[mqtt.DropDead] != s.Dead || q.Drops[mqtt.DropUnwanted] != s.Looped+s.Unrouted+s.Purged || q.Drops[mqtt.DropExpired] != s.Expired {
		t.Errorf("drops %v, but dead %d, looped %d, unrouted %d, purged %d, expired %d", q.Drops, s.Dead, s.Looped, s.Unrouted, s.Purged, s.Expired)
	}
}

func (r *rig) put(topic, payload string, qos mqtt.QoS) {
	r.q.add(mqtt.Message{Topic: topic, Payload: []byte(payload), QoS: qos})
}

// drained waits until nothing waits to go up.
func (r *rig) drained(t *testing.T) {
	t.Helper()
	for range 600 {
		if r.Stats().Queue.Messages == 0 {
			return
		}
		after(100 * time.Millisecond)
	}
	t.Fatal("messages still wait after a minute")
}
