package bridge

import (
	"context"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Pause stops sending; the link stays up, and what comes down comes down.
func (b *Bridge) Pause() { b.pacer.pause(true) }

// Resume ends a Pause.
func (b *Bridge) Resume() { b.pacer.pause(false) }

// Spool calls f for what waits to go up, lane by lane in the order of sending,
// until f returns false.
func (b *Bridge) Spool(f func(Letter) bool) {
	more := true
	for _, lane := range []Lane{Alarm, Live, History} {
		if q := b.o.Queues[lane]; q != nil && more {
			page(q, 0, func(e *mqtt.Queued) bool {
				l := letter(e)
				l.Seq, l.Lane = e.Seq<<laneBits|uint64(lane), lane
				more = f(l)
				return more
			})
		}
	}
}

// SpoolPurge deletes what was queued before a time and was never sent, and
// returns how many: what the server may have is left to the link.
func (b *Bridge) SpoolPurge(ctx context.Context, before time.Time) (n int, err error) {
	for _, q := range b.o.Queues {
		if q == nil {
			continue
		}
		m, err := purge(ctx, q, func(e *mqtt.Queued) bool { return e.Sent == 0 && e.At.Before(before) })
		b.status.update(func(s *Stats) { s.Purged += uint64(m) })
		if n += m; err != nil {
			return n, err
		}
	}
	return n, nil
}

// drainPoll is how often SpoolDrain looks; an operator waits for it.
const drainPoll = 100 * time.Millisecond

// SpoolDrain waits until nothing waits to go up, or ctx ends. A rate above 0
// is the number of messages/s, meanwhile, of what waited for the link.
func (b *Bridge) SpoolDrain(ctx context.Context, rate float64) error {
	if b.queue == nil {
		return nil
	}
	if rate > 0 {
		b.pacer.force(rate)
		defer b.pacer.force(0)
	}
	for b.queue.stats().Messages > 0 {
		if err := sleep(ctx, drainPoll); err != nil {
			return err
		}
	}
	return nil
}
