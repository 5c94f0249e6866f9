package bridge

import (
	"context"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// queueTimeout bounds what the queue may take to record an acknowledgement.
const queueTimeout = 10 * time.Second

// ack is an acknowledgement to be settled.
type ack struct {
	kind ackKind
	f    flight
	code mqtt.ReasonCode
}

// settling is the reader's own.
type settling struct {
	acks    []ack         // to be settled
	heard   time.Time     // when their bytes were read
	settled []flight      // reused
	seqs    []uint64      // reused
	busy    time.Duration // that the last call of settle took
	noRoom  bool          // the server refuses retained messages that it takes without RETAIN
}

// rttBusy is how long the reader may have been away for a round trip to count:
// nobody knows when the bytes came meanwhile.
const rttBusy = 50 * time.Millisecond

// acknowledged takes an acknowledgement; at is when its bytes were read. A
// flight has one under way at a time, so there are never many.
func (l *link) acknowledged(k ackKind, id uint16, code mqtt.ReasonCode, at time.Time) {
	f, ok := l.win.acknowledged(k, id, at)
	if !ok {
		return // a repeated acknowledgement, or one of an earlier connection
	}
	l.heard = at
	l.acks = append(l.acks, ack{k, f, code})
}

// settle records the acknowledgements that have come together; those of PUBREC
// wait for the disk, and what ends a transfer if the disk is far behind.
// Meanwhile the reader leaves what comes to the kernel.
func (l *link) settle(ctx context.Context) error {
	if len(l.acks) == 0 {
		return nil
	}
	all := l.acks
	l.acks = l.acks[:0]
	if l.busy < rttBusy {
		l.b.status.rtt(l.heard, all)
		l.b.pacer.answered(l.heard, all)
	}
	done, received := l.settled[:0], all[:0]
	var refused []ack
	for _, a := range all {
		switch {
		case a.kind != ackPubcomp && a.code.Failed():
			refused = append(refused, a)
		case a.kind == ackPubrec:
			received = append(received, a)
		default: // PUBCOMP also with Packet Identifier not found: the server has released it
			done = append(done, a.f)
		}
	}
	l.settled = done
	if err := l.done(ctx, done); err != nil {
		return err
	}
	if len(received)+len(refused) > 0 {
		if err := l.answer(ctx, received, refused); err != nil {
			return err
		}
	}
	l.busy = time.Since(l.heard)
	return nil
}

// answer goes on with transfers that are not done.
func (l *link) answer(ctx context.Context, received, refused []ack) error {
	c, cancel := l.bounded(ctx)
	defer cancel()
	if err := l.received(c, received); err != nil {
		return err
	}
	for _, a := range refused {
		if err := l.refused(c, a.f, a.code); err != nil {
			return err
		}
	}
	return nil
}

// bounded is the context of calls to the queue.
func (l *link) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), queueTimeout)
}

// received lets the transfers that the server answered with PUBREC go on.
func (l *link) received(ctx context.Context, all []ack) error {
	if len(all) == 0 {
		return nil
	}
	seqs := make([]uint64, len(all))
	for i, a := range all {
		seqs[i] = a.f.seq
	}
	// Durable before PUBREL leaves: after it the server may forget the
	// identifier, and a second PUBLISH would be a second message.
	if err := l.b.queue.received(ctx, seqs); err != nil {
		return failf(ClassLocal, "queue: record PUBREC: %w", err)
	}
	for _, a := range all {
		l.win.advance(a.f.id, ackPubcomp)
		if err := l.up.release(a.f.id); err != nil {
			return err
		}
	}
	return nil
}

// done ends transfers that the server has completed.
func (l *link) done(ctx context.Context, all []flight) error {
	if len(all) == 0 {
		return nil
	}
	l.hold.accepted(&l.b.quota, len(all))
	seqs := l.seqs[:0]
	messages := 0
	for i := range all {
		f := &all[i]
		if f.seq == 0 { // the status message is in no queue
			l.b.cutOff = 0
		} else {
			messages += 1 + len(f.more)
			seqs = append(append(seqs, f.seq), f.more...)
		}
		if f.more != nil {
			l.b.cuts.forget(f.seq)
		}
		if f.plain {
			l.notRetained(f.topic)
		}
	}
	l.seqs = seqs
	l.b.accepted(seqs)
	if len(seqs) > 0 {
		if err := l.gone(l.b.queue.acknowledged(ctx, seqs), len(seqs)); err != nil {
			return err
		}
	}
	l.acked(l.heard, messages)
	l.win.drop(all, true)
	return nil
}

// refused decides about a PUBLISH that the server answered with a failure.
func (l *link) refused(ctx context.Context, f flight, code mqtt.ReasonCode) error {
	if l.b.status.refused(code) {
		l.b.o.Log.Warn("upstream refuses messages", "bridge", l.b.o.Name, "reason", code.String(), "topic", f.topic)
	}
	switch {
	case f.seq == 0: // the status message: the link works without
	case classOf(code) == ClassQuota:
		l.b.pacer.slower(time.Now())
		l.hold.ask(f.seq, f.retain && (l.noRoom || !l.b.again(f.seq)))
	case passing(code) && l.b.again(f.seq):
		l.b.pacer.slower(time.Now())
		l.hold.ask(f.seq, false)
	case len(f.more) > 0: // it may be for one of them
		l.b.cuts.split(f.seq, f.more)
		l.hold.ask(f.seq, false)
	default:
		if err := l.deadLetter(ctx, f.seq, f.topic, code, code.String()); err != nil {
			return err
		}
	}
	l.win.drop([]flight{f}, false)
	return nil
}

// notRetained is told of a message that was refused with RETAIN and is accepted
// without: no quota of messages is used up, there is no room for another retained
// one. The next topic that is refused is tried without RETAIN sooner.
func (l *link) notRetained(topic string) {
	if !l.noRoom {
		l.b.o.Log.Warn("upstream has no room for more retained messages: they are sent without RETAIN", "bridge", l.b.o.Name, "topic", topic)
	}
	l.noRoom = true
	l.hold.accepted(&l.b.quota, quotaGood)
}

// passing reports whether a failure may be gone at the next attempt.
func passing(code mqtt.ReasonCode) bool {
	switch code {
	case mqtt.UnspecifiedError, mqtt.ImplementationSpecificError, mqtt.PacketIdentifierInUse:
		return true
	}
	return false
}

// deadLetter gives up a message that the server will never take, so that the queue
// moves on: first to the dead letters, then out of the queue.
func (l *link) deadLetter(ctx context.Context, seq uint64, topic string, code mqtt.ReasonCode, reason string) error {
	if err := l.b.keepDead(ctx, seq, reason); err != nil {
		return failf(ClassLocal, "dead letters: %w", err)
	}
	l.b.poison.add(topic)
	l.b.status.dead(time.Now(), topic, code)
	l.b.o.Log.Debug("message given up", "bridge", l.b.o.Name, "topic", topic, "reason", reason)
	return l.drop(ctx, seq, mqtt.DropDead)
}

func (l *link) acked(now time.Time, messages int) {
	l.answered.Store(true)
	l.b.status.acked(now, messages)
}

// remove takes entries out of the queue; ctx is bounded, here and below.
func (l *link) remove(ctx context.Context, seqs ...uint64) error {
	if len(seqs) == 0 {
		return nil
	}
	return l.gone(l.b.queue.remove(ctx, seqs), len(seqs))
}

// drop gives an entry up.
func (l *link) drop(ctx context.Context, seq uint64, why mqtt.DropReason) error {
	return l.gone(l.b.queue.drop(ctx, seq, why), 1)
}

// gone notes that n entries left the queue, or that the queue failed.
func (l *link) gone(err error, n int) error {
	if err != nil {
		return failf(ClassLocal, "queue: remove: %w", err)
	}
	if left := l.backlog.Add(-int64(n)); left <= 0 && left > -int64(n) {
		l.b.event(Event{Kind: EventDrained, Messages: l.waited, Duration: time.Since(l.since)})
	}
	knock(l.moved)
	return nil
}
