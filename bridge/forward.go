package bridge

import (
	"context"
	"strconv"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// forward sends one entry, or gives it up for a reason that is counted.
func (l *link) forward(ctx context.Context, e *mqtt.Queued) error {
	if e.Received {
		return l.resume(ctx, e)
	}
	o, fate := l.b.prep.prepare(e, l.lim, l.up.version != mqtt.V5, l.took)
	switch {
	case fate == fateTooLarge:
		return l.giveUp(ctx, e.Seq, &o, mqtt.PacketTooLarge, "larger than the route takes")
	case fate == fateSend && l.b.o.Edge != nil:
		at, _ := l.b.prep.captured(e, e.At, l.took)
		return l.edge(ctx, e, at)
	case fate == fateSend && o.batch != nil:
		return l.gather(ctx, e.Seq, &o)
	case fate != fateSend:
		l.b.status.update(func(s *Stats) { s.gaveUp(fate) })
		if fate == fateExpired && e.Message.Retain {
			l.b.o.Queues[laneOf(e.Seq)].Refresh(e.Message.Topic)
		}
		c, cancel := l.bounded(ctx)
		defer cancel()
		return l.drop(c, e.Seq, fate.reason())
	}
	l.transfer(e, &o)
	if e.Message.Retain {
		l.b.poison.sent(o.topic)
	}
	if err := l.publish(ctx, l.took, e.Seq, &o); err != nil {
		return err
	}
	l.b.owed.sent(l.b.queue, e)
	if !o.dup && e.Sent > 0 {
		l.b.status.update(func(s *Stats) { s.Again++ })
	}
	return nil
}

// transfer decides whether o begins a new transfer, and whether it has RETAIN.
func (l *link) transfer(e *mqtt.Queued, o *outgoing) {
	fresh, plain := l.hold.begin(e.Seq)
	if fresh {
		o.dup = false
	}
	switch {
	case !o.retain:
	case plain:
		o.retain, o.plain = false, true
		l.b.roomless.refused(o.topic, e.Message.Topic, l.took)
	case !fresh && len(o.payload) > 0 && l.b.roomless.has(o.topic):
		o.retain = false
	default:
		delete(l.b.roomless.topics, o.topic)
	}
}

// giveUp moves what o holds to the dead letters.
func (l *link) giveUp(ctx context.Context, seq uint64, o *outgoing, code mqtt.ReasonCode, reason string) error {
	c, cancel := l.bounded(ctx)
	defer cancel()
	for _, n := range append([]uint64{seq}, o.more...) {
		if err := l.deadLetter(c, n, o.topic, code, reason); err != nil {
			return err
		}
	}
	return nil
}

// publish sends o, which seq stands for, or gives it up.
func (l *link) publish(ctx context.Context, now time.Time, seq uint64, o *outgoing) error {
	packet, err := l.up.encode(o)
	if err != nil {
		return failf(ClassLocal, "encode: %w", err)
	}
	code, why := l.unfit(o, len(packet))
	if code == mqtt.PacketTooLarge && o.told > 0 { // better without what the bridge tells about it than not at all
		o.add, o.told = o.add[o.told:], 0
		return l.publish(ctx, now, seq, o)
	}
	switch {
	case code == mqtt.PacketTooLarge && len(o.more) > 0: // one that was sent before: the limit is new
		l.b.cuts.split(seq, o.more)
		return failf(ClassLocal, "batch: %s", why)
	case code.Failed():
		return l.giveUp(ctx, seq, o, code, why)
	}
	end, err := l.write(ctx, now, seq, o, packet)
	if err != nil {
		return err
	}
	l.b.receiver.storm.up(o.topic, o.payload)
	if o.dup {
		l.b.status.update(func(s *Stats) { s.Resent++ })
	}
	if o.qos > 0 {
		return nil
	}
	for _, n := range append([]uint64{seq}, o.more...) {
		l.loose = append(l.loose, loose{n, end})
	}
	if len(l.loose) < looseMost {
		return nil
	}
	return l.settleLoose(ctx)
}

// topicBytes is the longest Topic Name that a packet can hold [MQTT-1.5.4].
const topicBytes = 65535

// unfit is why the server would not take o, as a packet of this size; Success
// if it may.
func (l *link) unfit(o *outgoing, size int) (code mqtt.ReasonCode, why string) {
	if o.topic == "" || len(o.topic) > topicBytes { // "a" by a route from a/# to #
		return mqtt.TopicNameInvalid, "its route makes a topic of " + strconv.Itoa(len(o.topic)) + " bytes of it"
	}
	if code = l.b.o.Profile.refuses(o.topic, len(o.payload), l.b.o.ClientID); code.Failed() {
		return code, "the profile " + l.b.o.Profile.Name + " allows no such message"
	}
	if n := l.lim.packetSize; n > 0 && size > int(n) { // [MQTT-3.2.2-15]
		return mqtt.PacketTooLarge, "packet of " + strconv.Itoa(size) + " bytes, the server takes " + strconv.Itoa(int(n))
	}
	return mqtt.Success, ""
}

// forget removes entries that no acknowledgement is waited for.
func (l *link) forget(ctx context.Context, seqs ...uint64) error {
	c, cancel := l.bounded(ctx)
	defer cancel()
	return l.remove(c, seqs...)
}

// write takes a place in the window, for QoS 1 and 2, and hands the packet to
// the wire.
func (l *link) write(ctx context.Context, now time.Time, seq uint64, o *outgoing, packet []byte) (end int64, err error) {
	f := flight{seq: seq, more: o.more, id: o.id, topic: o.topic, qos: o.qos, size: len(packet), sent: now, waits: ackPuback, retain: o.retain, plain: o.plain}
	if o.qos == mqtt.ExactlyOnce {
		f.waits = ackPubrec
	}
	if o.qos > 0 {
		if err := l.fly(ctx, f); err != nil {
			return 0, err
		}
	}
	if end, err = l.up.write(packet); err != nil {
		return 0, err
	}
	if err := l.b.pacer.sent(f.sent, f.size, seq != 0 && l.wasLate(laneOf(seq))); err != nil {
		l.b.o.Log.Debug("daily budget not saved", "bridge", l.b.o.Name, "err", err)
	}
	l.b.status.update(func(s *Stats) { s.Sent, s.Payload = s.Sent+1, s.Payload+uint64(len(o.payload)) })
	return end, nil
}

// fly adds f to the window. An identifier still in use, 65000 entries later,
// holds up the queue until it is free.
func (l *link) fly(ctx context.Context, f flight) error {
	for {
		ok, wait := l.win.add(f)
		if ok {
			return nil
		}
		l.up.push()
		select {
		case <-wait:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// resume completes the transfer of an entry the server has acknowledged with
// PUBREC: the server owns the message, it must never be sent again
// [MQTT-4.3.3-4]. Without the session nothing is left to do.
func (l *link) resume(ctx context.Context, e *mqtt.Queued) error {
	if !l.lim.sessionPresent {
		l.acked(time.Now(), 1)
		return l.forget(ctx, e.Seq)
	}
	f := flight{seq: e.Seq, id: packetID(e.Seq), qos: mqtt.ExactlyOnce, sent: time.Now(), waits: ackPubcomp}
	if err := l.fly(ctx, f); err != nil {
		return err
	}
	return l.up.release(f.id)
}
