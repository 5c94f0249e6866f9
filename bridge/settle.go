package bridge

import (
	"context"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// queueTimeout bounds what the queue may take to record an acknowledgement.
const queueTimeout = 10 * time.Second

// ack is an acknowledgement on its way from the reader to the settler.
type ack struct {
	kind ackKind
	f    flight
	code mqtt.ReasonCode
}

// acknowledged runs in the reader. A flight has one acknowledgement under way
// at a time, so the channel has a place for it.
func (l *link) acknowledged(k ackKind, id uint16, code mqtt.ReasonCode) {
	now := time.Now()
	f, ok := l.win.acknowledged(k, id, now)
	if !ok {
		return // a repeated acknowledgement, or one of an earlier connection
	}
	if k != ackPubcomp {
		l.b.status.rtt(now.Sub(f.sent))
		l.b.pacer.answered(now, now.Sub(f.sent))
	}
	l.acks <- ack{k, f, code}
}

// settle is the settler: it records acknowledgements in the queue, in the
// order in which they arrived, until the reader has ended.
func (l *link) settle(ctx context.Context) error {
	for a := range l.acks {
		if err := l.settleAll(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

// settleAll records a and what has come meanwhile: they share a deadline. What
// was acknowledged is recorded also while the link is ending: it must not be
// sent again.
func (l *link) settleAll(ctx context.Context, a ack) error {
	c, cancel := l.bounded(ctx)
	defer cancel()
	for range cap(l.acks) {
		if err := l.settleOne(c, a); err != nil {
			return err
		}
		select {
		case next, ok := <-l.acks:
			if !ok {
				return nil
			}
			a = next
		default:
			return nil
		}
	}
	return l.settleOne(c, a)
}

// bounded is the context of calls to the queue.
func (l *link) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), queueTimeout)
}

func (l *link) settleOne(ctx context.Context, a ack) error {
	f := a.f
	switch {
	case a.kind == ackPubcomp:
		// Also with Packet Identifier not found: the server has released it.
		return l.done(ctx, f)
	case a.code.Failed():
		return l.refused(ctx, f, a.code)
	case a.kind == ackPuback:
		return l.done(ctx, f)
	}
	// Durable before PUBREL leaves: after it the server may forget the
	// identifier, and a second PUBLISH would be a second message.
	if err := l.b.queue.received(ctx, f.seq); err != nil {
		return failf(ClassLocal, "queue: record PUBREC: %w", err)
	}
	l.win.advance(f.id, ackPubcomp)
	return l.up.release(f.id)
}

// done ends a transfer the server has completed.
func (l *link) done(ctx context.Context, f flight) error {
	l.hold.accepted(&l.b.quota)
	if err := l.arrived(ctx, f.seq); err != nil {
		return err
	}
	for _, seq := range f.more {
		if err := l.arrived(ctx, seq); err != nil {
			return err
		}
	}
	if f.more != nil {
		l.b.cuts.forget(f.seq)
	}
	l.win.drop(f.id)
	l.win.grow()
	return nil
}

// arrived ends an entry that the server has; the status message has none.
func (l *link) arrived(ctx context.Context, seq uint64) error {
	l.acked()
	l.b.accepted(seq)
	if seq == 0 {
		return nil
	}
	return l.remove(ctx, seq)
}

// refused decides about a PUBLISH that the server answered with a failure.
func (l *link) refused(ctx context.Context, f flight, code mqtt.ReasonCode) error {
	if l.b.status.refused(code) {
		l.b.o.Log.Warn("upstream refuses messages", "bridge", l.b.o.Name, "reason", code.String(), "topic", f.topic)
	}
	switch {
	case f.seq == 0: // the status message: the link works without
	case code == mqtt.QuotaExceeded, passing(code) && l.b.again(f.seq):
		l.b.pacer.slower(time.Now())
		l.hold.ask(f.seq)
	case len(f.more) > 0: // it may be for one of them
		l.b.cuts.split(f.seq, f.more)
		l.hold.ask(f.seq)
	default:
		if err := l.bury(ctx, f.seq, f.topic, code, code.String()); err != nil {
			return err
		}
	}
	l.win.drop(f.id)
	return nil
}

// passing reports whether a failure may be gone at the next attempt.
func passing(code mqtt.ReasonCode) bool {
	switch code {
	case mqtt.UnspecifiedError, mqtt.ImplementationSpecificError, mqtt.PacketIdentifierInUse:
		return true
	}
	return false
}

// bury gives up a message that the server will never take, so that the queue
// moves on: first to the dead letters, then out of the queue.
func (l *link) bury(ctx context.Context, seq uint64, topic string, code mqtt.ReasonCode, reason string) error {
	if err := l.b.lay(ctx, seq, reason); err != nil {
		return failf(ClassLocal, "dead letters: %w", err)
	}
	l.b.status.dead(time.Now(), topic, code)
	l.b.o.Log.Debug("message given up", "bridge", l.b.o.Name, "topic", topic, "reason", reason)
	return l.drop(ctx, seq, mqtt.DropDead)
}

func (l *link) acked() {
	l.answered.Store(true)
	l.b.status.acked(time.Now())
}

// remove takes an entry out of the queue; ctx is bounded, here and below.
func (l *link) remove(ctx context.Context, seq uint64) error {
	return l.gone(l.b.queue.remove(ctx, seq))
}

// drop gives an entry up.
func (l *link) drop(ctx context.Context, seq uint64, why mqtt.DropReason) error {
	return l.gone(l.b.queue.drop(ctx, seq, why))
}

// gone notes that an entry left the queue, or that the queue failed.
func (l *link) gone(err error) error {
	if err != nil {
		return failf(ClassLocal, "queue: remove: %w", err)
	}
	if l.backlog.Add(-1) == 0 {
		l.b.event(Event{Kind: EventDrained, Messages: l.waited, Duration: time.Since(l.since)})
	}
	select {
	case l.moved <- struct{}{}:
	default:
	}
	return nil
}
