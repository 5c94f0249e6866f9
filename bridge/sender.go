package bridge

import (
	"context"
	"errors"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// sending is the sender's own, and the reader's while it is lent (lend.go).
type sending struct {
	behind  [LaneCount]int    // entries of each lane that waited for the link
	batches map[int]*gathered // in the making, by route
	entry   mqtt.Queued       // being sent
	taken   bool              // entry was taken from the queue and is not sent yet
	took    time.Time         // when it was taken
	loose   []loose           // sent with QoS 0 and still in the queue, in order
	end     int64             // of the Edge: where its latest message ends in what was written
	past    bool              // of the Edge: births are due as soon as nothing waits
}

// send is the sender: it empties the queue until ctx ends or the link fails.
func (l *link) send(ctx context.Context) error {
	l.b.pacer.connected()
	if err := l.sendStatus(ctx); err != nil {
		return err
	}
	if l.b.queue == nil {
		err := l.births(ctx)
		l.up.push()
		<-ctx.Done()
		return errors.Join(err, ctx.Err())
	}
	if !l.lim.sessionPresent {
		l.b.owed.renew(l.b.queue)
	}
	if err := sleep(ctx, l.b.quiet()); err != nil {
		return err
	}
	for {
		run, interrupt := context.WithCancel(ctx)
		err := error(nil)
		if !l.hold.watch(interrupt) {
			err = errors.Join(l.sendUntil(run), l.sweep(ctx))
		}
		interrupt()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !l.hold.watch(nil):
			return err
		}
		if err := l.pause(ctx); err != nil {
			return err
		}
	}
}

// sendUntil forwards entries in order until ctx ends.
func (l *link) sendUntil(ctx context.Context) error {
	for {
		if err := errors.Join(l.births(ctx), l.place(ctx)); err != nil {
			return err
		}
		ok, err := l.next(ctx)
		switch {
		case err != nil:
		case ok:
			l.taken = false
			err = l.forward(ctx, &l.entry)
		default:
			err = l.flushDue(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// sendStatus publishes "online" ahead of everything else. It is in no queue:
// the next connection sends it anew.
func (l *link) sendStatus(ctx context.Context) error {
	if l.b.o.StatusTopic == "" || l.b.cutOff >= closeLimit {
		return nil
	}
	o := outgoing{
		topic: l.b.o.StatusTopic, payload: []byte(statusOnline),
		qos: min(mqtt.AtLeastOnce, l.lim.maximumQoS), retain: l.lim.retain,
	}
	if o.qos > 0 {
		o.id = statusID
	}
	packet, err := l.up.encode(&o)
	if n := l.lim.packetSize; err != nil || n > 0 && len(packet) > int(n) { // [MQTT-3.2.2-15]
		return err
	}
	_, err = l.write(ctx, time.Now(), 0, &o, packet)
	l.up.push()
	return err
}

// place waits until the server's Receive Maximum and our own bounds leave room
// for one more message.
func (l *link) place(ctx context.Context) error {
	for {
		ok, wait := l.win.free()
		if ok {
			return nil
		}
		l.up.push()
		if l.lends {
			if err := l.lend(ctx); err != nil {
				return err
			}
			continue
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// next waits until entry may be sent now; ok is false when a batch is due first.
func (l *link) next(ctx context.Context) (ok bool, err error) {
	for !l.taken {
		paused, changed := l.b.pacer.gate()
		soonest, err := l.try(ctx, time.Now(), paused)
		switch {
		case err != nil:
			return false, err
		case l.taken:
			return true, nil
		case soonest == 0:
			return false, nil
		case soonest < 0 && !paused:
			l.behind = [LaneCount]int{} // some gave way, or were purged
			l.b.pacer.drained()
			if l.past {
				l.past = false
				l.reborn.Store(true)
				return false, nil
			}
			if l.b.owed.pay(l.b.queue, l.retained) {
				l.b.queue.dry = [LaneCount]bool{}
				continue
			}
			local, wait := l.b.roomless.due(time.Now())
			if soonest = wait; local != "" {
				l.tryRoom(local)
				continue
			}
		}
		if err := l.settleLoose(ctx); err != nil {
			return false, err
		}
		if err := l.await(ctx, soonest, changed); err != nil {
			return false, err
		}
	}
	return true, nil
}

// try takes the next entry if it may be sent now. If not, soonest is how long
// the pace, or a batch, wants to wait: 0 when something else is due first,
// negative when there is nothing to wait for.
func (l *link) try(ctx context.Context, now time.Time, paused bool) (soonest time.Duration, err error) {
	soonest = -1
	if !paused {
		soonest = l.batchDue(now)
	}
	if soonest == 0 || l.reborn.Load() {
		return 0, nil
	}
	e, ok, err := l.b.queue.take(ctx, func(lane Lane) bool {
		if paused {
			return false
		}
		d := l.b.pacer.wait(now, lane, l.late(lane))
		if d > 0 && (soonest < 0 || d < soonest) {
			soonest = d
		}
		return d == 0
	})
	switch {
	case ctx.Err() != nil:
		return soonest, ctx.Err()
	case err != nil:
		return soonest, failf(ClassLocal, "queue: %w", err)
	case ok:
		l.behind[laneOf(e.Seq)]--
		if !l.up.hasty || e.Message.QoS == mqtt.ExactlyOnce || e.At.After(now) {
			now = time.Now() // take may have waited; no message is of the future
		}
		l.entry, l.taken, l.took = e, true, now
	}
	return soonest, nil
}

// await waits for an entry, for d if it is not negative, or for a change of the
// pace. A wait until midnight is cut to a minute: the clock may be set.
func (l *link) await(ctx context.Context, d time.Duration, changed <-chan struct{}) error {
	var timeout <-chan time.Time
	if d >= 0 {
		t := time.NewTimer(min(d, time.Minute))
		defer t.Stop()
		timeout = t.C
	}
	q := l.b.queue
	select {
	case <-q.ready(Live):
		q.wet(Live)
	case <-q.ready(Alarm):
		q.wet(Alarm)
	case <-q.ready(History):
		q.wet(History)
	case <-timeout:
	case <-changed:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// late reports whether the lane's next message is not fresh.
func (l *link) late(lane Lane) bool { return lane == History || l.behind[lane] > 0 }

// wasLate is late for the entry that next has taken, which behind counts no
// longer.
func (l *link) wasLate(lane Lane) bool { return lane == History || l.behind[lane] >= 0 }

// rewind makes all entries come again; those there now have waited for the link.
func (l *link) rewind() {
	l.b.queue.rewind()
	l.b.owed.look(l.b.queue)
	l.taken = false
	clear(l.batches)
	for lane, q := range l.b.queue.queues {
		if q != nil {
			l.behind[lane] = q.Stats().Messages
		}
	}
}

// pause sits out a wait the server asked for with Quota exceeded: everything
// in flight is settled first, then the entries not removed come again, in
// order, at half the rate.
func (l *link) pause(ctx context.Context) error {
	l.b.held.Store(true)
	defer l.b.held.Store(false)
	if err := l.settleLoose(ctx); err != nil {
		return err
	}
	for {
		n, _, wait := l.win.inFlight()
		if n == 0 {
			break
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	d := l.hold.wait(&l.b.quota)
	l.b.o.Log.Warn("upstream asks to slow down", "bridge", l.b.o.Name, "wait", d)
	if err := sleep(ctx, d); err != nil {
		return err
	}
	l.win.halve()
	l.rewind()
	l.hold.end()
	return nil
}
