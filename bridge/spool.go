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

// Reconnect ends the connection to the server, once what is in flight is
// acknowledged or a moment is over, and connects anew at once; a bridge that waits
// to try again does so now.
func (b *Bridge) Reconnect() {
	knock(b.reached)
	knock(b.anew)
}

// Paused reports whether Pause holds the bridge back.
func (b *Bridge) Paused() bool {
	paused, _ := b.pacer.gate()
	return paused
}

// Spool calls f for what waits to go up behind the Seq after, 0 for all, lane
// by lane in the order of sending, until f returns false.
func (b *Bridge) Spool(after uint64, f func(Letter) bool) {
	more, from := true, uint64(0)
	for _, lane := range [...]Lane{Alarm, Live, History} {
		if after != 0 && laneOf(after) != lane {
			continue
		}
		from, after = after>>laneBits, 0
		if q := b.o.Queues[lane]; q != nil && more {
			q.Each(from, func(e *mqtt.Queued) bool {
				l := letter(e)
				l.Seq, l.Lane = e.Seq<<laneBits|uint64(lane), lane
				more = f(l)
				return more
			})
		}
	}
}

// SpoolPurge deletes what was queued before a time and was never sent, and
// returns how many: what the server may have is left to the link. dry only
// counts.
func (b *Bridge) SpoolPurge(ctx context.Context, before time.Time, dry bool) (n int, err error) {
	for _, q := range b.o.Queues {
		if q == nil {
			continue
		}
		m, err := purge(q, dry, func(e *mqtt.Queued) bool { return e.Sent == 0 && !e.Received && e.At.Before(before) }, func(seq uint64) (bool, error) {
			return q.Withdraw(ctx, seq, mqtt.DropUnwanted)
		})
		if !dry {
			b.status.update(func(s *Stats) { s.Purged += uint64(m) })
		}
		if n += m; err != nil {
			return n, err
		}
	}
	return n, nil
}

// SpoolDrain sets the speed of what waited for the link, in messages/s, until
// nothing waits any more; 0 is the bridge's own speed. It returns the speed that
// an earlier call has set, 0 for none.
func (b *Bridge) SpoolDrain(rate float64) (before float64) { return b.pacer.force(rate) }
