package bridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// DeadBytes is what the dead-letter queue of a bridge holds; the oldest give
// way.
const DeadBytes = 4 << 20

// reasonProperty is a User Property of a dead letter: why it is one. It is
// taken off when the message is queued again.
const reasonProperty = "dunlin-dead"

// Letter is an entry of a spool or of the dead-letter queue.
type Letter struct {
	Seq     uint64 // names it; in a spool with its lane
	Lane    Lane   // of a spool
	Message mqtt.Message
	At      time.Time // when it was queued, or given up
	Sent    int       // how often it was handed to a connection
	Reason  string    // of a dead letter
}

// ErrNoDeadLetters says that the bridge keeps no dead letters.
var ErrNoDeadLetters = errors.New("the bridge keeps no dead letters")

// ErrNoRoute says that a dead letter cannot go up again, as the routes are now.
var ErrNoRoute = errors.New("no route wants")

// keepDead puts an entry that is given up into the dead-letter queue. Without one
// it is gone; the counters have it in either case.
func (b *Bridge) keepDead(ctx context.Context, seq uint64, reason string) error {
	if b.o.Dead == nil {
		return nil
	}
	queue, n := b.queue.of(seq)
	var m mqtt.Message
	found := false
	queue.Each(n-1, func(e *mqtt.Queued) bool {
		if found = e.Seq == n; found {
			m = e.Message
		}
		return false
	})
	if !found {
		return nil // an operator was faster
	}
	m.Properties = m.Properties.With(reasonProperty, reason)
	m.Expires = time.Time{} // somebody shall look at it
	_, err := b.o.Dead.Put(ctx, m)
	return err
}

// letter takes the reason off again.
func letter(e *mqtt.Queued) Letter {
	out := Letter{Seq: e.Seq, Message: e.Message, At: e.At, Sent: e.Sent}
	out.Reason, _ = e.Message.Properties.Get(reasonProperty)
	if p := e.Message.Properties; out.Reason != "" {
		q := *p
		q.User = nil
		for _, u := range p.User {
			if u.Name != reasonProperty {
				q.User = append(q.User, u)
			}
		}
		out.Message.Properties = &q
	}
	return out
}

// DeadLetters calls f for the dead letters behind the Seq after, oldest first,
// until f returns false.
func (b *Bridge) DeadLetters(after uint64, f func(Letter) bool) error {
	if b.o.Dead == nil {
		return ErrNoDeadLetters
	}
	b.o.Dead.Each(after, func(e *mqtt.Queued) bool { return f(letter(e)) })
	return nil
}

// DeadLetter returns one of them.
func (b *Bridge) DeadLetter(seq uint64) (out Letter, err error) {
	err = fmt.Errorf("no dead letter %d", seq)
	if seq == 0 {
		return out, err
	}
	missing := b.DeadLetters(seq-1, func(l Letter) bool {
		if l.Seq == seq {
			out, err = l, nil
		}
		return false
	})
	return out, errors.Join(missing, err)
}

// DeadRequeue queues a dead letter again, behind what waits, in the lane of
// its route. If the process ends in the middle of it, the message may stay a
// dead letter as well.
func (b *Bridge) DeadRequeue(ctx context.Context, seq uint64) error {
	l, err := b.DeadLetter(seq)
	if err != nil {
		return err
	}
	r := routeOf(b.out, l.Message.Topic)
	if r == nil {
		return fmt.Errorf("dead letter %d: %w %q any more", seq, ErrNoRoute, l.Message.Topic)
	}
	n, err := b.o.Queues[r.lane].Put(ctx, l.Message)
	if err != nil {
		return fmt.Errorf("dead letter %d: %w", seq, err)
	}
	if n == 0 {
		return fmt.Errorf("dead letter %d: the spool has no room", seq)
	}
	return b.o.Dead.Drop(ctx, seq, mqtt.DropUnwanted)
}

// DeadPurge deletes the dead letters that were given up before a time, and
// returns how many; dry only counts.
func (b *Bridge) DeadPurge(ctx context.Context, before time.Time, dry bool) (n int, err error) {
	if b.o.Dead == nil {
		return 0, ErrNoDeadLetters
	}
	return purge(b.o.Dead, dry, func(e *mqtt.Queued) bool { return e.At.Before(before) }, func(seq uint64) (bool, error) {
		return true, b.o.Dead.Drop(ctx, seq, mqtt.DropUnwanted)
	})
}

// purge calls drop, or only counts, for the entries that which is true for, and
// returns how many have gone.
func purge(q Backlog, dry bool, which func(*mqtt.Queued) bool, drop func(seq uint64) (gone bool, err error)) (n int, err error) {
	q.Each(0, func(e *mqtt.Queued) bool {
		if !which(e) {
			return true
		}
		gone := dry
		if !dry {
			gone, err = drop(e.Seq)
		}
		if gone && err == nil {
			n++
		}
		return err == nil
	})
	return n, err
}
