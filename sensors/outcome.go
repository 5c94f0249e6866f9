package sensors

import (
	"context"
	"errors"
	"time"
)

// finished takes what a driver method returned.
func (o *owner) finished(ctx context.Context, c *call, out outcome) {
	now := time.Now()
	if o.hung {
		// Whatever a hung call brings is too old to believe.
		o.hung, o.mustClose = false, o.mustClose || c.task != closing
		o.log().Info("hung call returned", "after", now.Sub(c.start).Round(time.Millisecond))
		if c.task == closing {
			o.closed()
		}
		return
	}
	if r, ok := o.dev.Driver.(Retrier); ok {
		o.health.Retries += r.Retried()
	}
	var p *panicked
	if errors.As(out.err, &p) {
		o.log().Error("driver panicked", "err", p.value, "stack", string(p.stack))
	}
	switch c.task {
	case healing:
		o.healed(c, out.err)
	case opening:
		if o.held {
			o.mustClose = true // whatever came of it
			return
		}
		o.finishedOpen(ctx, out.err, now)
	case closing:
		o.closed()
	case commanding:
		o.finishedCommand(ctx, c.cmd, out, now)
	case reading:
		switch {
		case o.mustClose: // the device was given up meanwhile
		case o.pusher != nil:
			o.finishedWait(ctx, c, out, now)
		case c.yielded && out.err != nil: // nothing is wrong with the device
			o.next = now
		default:
			o.took = now.Sub(c.start)
			o.finishedRead(ctx, out, now)
		}
	}
}

func (o *owner) finishedOpen(ctx context.Context, err error, now time.Time) {
	if err != nil {
		o.health.count(err)
		o.failed(ctx, err, now)
		o.reopen(err, now)
		return
	}
	if o.ever {
		o.health.Reopened++
	}
	o.opened, o.ever, o.tries = true, true, 0
	o.next, o.tick = now, now
	o.log().Info("device opened")
}

func (o *owner) closed() {
	o.opened, o.mustClose = false, false
	o.hung = false
	o.outputsUnknown()
	for _, e := range o.entities {
		e.pipe.Reset()
	}
}

// reopen has the driver closed and opened anew. A device that is merely
// unplugged is looked for every second, and one that is held up waits for no
// longer either. One that hangs again within ten minutes holds up others each
// time: it has one try a minute. One that comes late to its bus keeps its place.
func (o *owner) reopen(err error, now time.Time) {
	if o.mustClose && o.next.After(now) || o.call.late() && errors.Is(err, ErrHeldUp) {
		return
	}
	most := time.Minute
	if r := ReasonOf(err); (r == Unplugged || r == NotFound) && !o.health.LastOK.IsZero() {
		most = time.Second
	}
	o.mustClose = true
	if errors.Is(err, ErrHeldUp) {
		o.next = now.Add(time.Second)
	} else {
		o.ladder.climb(err, o.dev.Power != nil)
		o.next = now.Add(o.wait.after(most))
	}
	if _, onBus := o.dev.Driver.(BusUser); onBus && hangs(err) {
		if now.Sub(o.hungAt) < 10*time.Minute {
			o.next = now.Add(most)
		}
		o.hungAt = now
	}
	if o.call != nil && o.call.task == reading {
		o.call.cancel()
	}
}

// finishedRead handles a Read that is made once an interval.
func (o *owner) finishedRead(ctx context.Context, out outcome, now time.Time) {
	good, rejected := o.takeAll(out.readings, now)
	err := out.err
	switch {
	case err != nil:
		o.health.count(err)
	case good == 0 && rejected != nil:
		err = rejected // take has counted it
	case good == 0:
		err = faultf(NoData, "the driver read nothing")
		o.health.count(err)
	}
	if good > 0 {
		o.proven(now)
	}
	if err == nil {
		o.nextInterval(now)
		o.settle(ctx, now)
		return
	}
	if good > 0 {
		o.settle(ctx, now)
	}
	switch r := ReasonOf(err); {
	case r == Panic || r == Unplugged || hangs(err):
		o.failed(ctx, err, now)
		o.reopen(err, now)
	case good > 0:
		o.nextInterval(now)
	case o.retry(now):
	default:
		if o.failed(ctx, err, now); !o.mustClose {
			o.nextInterval(now)
		}
	}
}

// proven records a valid reading.
func (o *owner) proven(now time.Time) {
	o.health.good(now)
	o.assume(now)
	o.wait.reset()
	o.tries, o.ladder.rung = 0, 0
}

// retry plans another try inside the interval, after an eighth of it and then
// a quarter; false when the interval has failed for good.
func (o *owner) retry(now time.Time) bool {
	again := now.Add(o.dev.Interval / 8 << o.tries)
	if o.tries >= retries || !again.Before(o.tick.Add(o.dev.Interval)) {
		return false
	}
	o.tries++
	o.health.Retries++
	o.next = again
	return true
}

// nextInterval keeps to the grid of intervals; those that were missed are
// skipped.
func (o *owner) nextInterval(now time.Time) {
	o.tries = 0
	o.tick = o.tick.Add(o.dev.Interval)
	if missed := now.Sub(o.tick); missed > 0 {
		o.tick = o.tick.Add(missed.Truncate(o.dev.Interval))
	}
	o.next = o.tick
}

// finishedWait handles a Read that waits for events.
func (o *owner) finishedWait(ctx context.Context, c *call, out outcome, now time.Time) {
	good, rejected := o.takeAll(out.readings, now)
	silent := len(out.readings) == 0 && (out.err == nil || errors.Is(out.err, context.DeadlineExceeded)) && !now.Before(c.limit)
	o.next = now
	if good > 0 {
		o.proven(now)
		o.settle(ctx, now)
	}
	switch {
	case c.yielded && (out.err == nil || errors.Is(out.err, context.Canceled)):
	case silent:
		o.quiet(ctx, now)
	case out.err != nil:
		o.health.count(out.err)
		o.missed(ctx, out.err, now)
	case good == 0 && rejected != nil:
		o.missed(ctx, rejected, now)
	case good == 0:
		o.next = now.Add(10 * time.Millisecond) // a driver that returns nothing at once must not spin
	}
}

// quiet is when an event device has said nothing for as long as it may.
func (o *owner) quiet(ctx context.Context, now time.Time) {
	err := o.pusher.OnSilence()
	if err == nil {
		o.confirm(ctx, now)
		return
	}
	o.health.count(err)
	o.missed(ctx, err, now)
	if o.health.State != Offline {
		o.down(ctx, err, now)
	}
}

// missed is a failure of an event device: it waits a little longer after each
// in a row, so that garbage on a line costs no processor.
func (o *owner) missed(ctx context.Context, err error, now time.Time) {
	r := ReasonOf(err)
	o.failed(ctx, err, now)
	switch {
	case o.mustClose:
	case r == Panic || r == Unplugged || r == Exited:
		o.reopen(err, now)
	default:
		o.next = now.Add(min(time.Second, 20*time.Millisecond<<min(o.health.row, 6)))
	}
}

// failed records a failed interval; the device goes offline by it, or says
// why it still is.
func (o *owner) failed(ctx context.Context, err error, now time.Time) {
	o.log().Debug("interval failed", "reason", string(ReasonOf(err)), "err", err)
	if o.health.bad(err) {
		o.down(ctx, err, now)
		return
	}
	if o.health.State == Offline {
		o.reopen(err, now)
		if o.health.explain(err, now) {
			o.publishHealth(ctx)
		}
	}
}

// down takes the device offline: the reason first, then the abnormal end of
// the session, by which the broker publishes the will.
func (o *owner) down(ctx context.Context, err error, now time.Time) {
	r := ReasonOf(err)
	o.log().Warn("device offline", "reason", string(r), "err", err)
	o.health.Error = err.Error()
	clear(o.health.Failed)
	o.health.become(Offline, r, now)
	o.publishHealth(ctx)
	o.refuseWaiting(ctx, err) // carried out after the outage they would surprise
	o.leave(now)
	for _, e := range o.entities {
		e.has, e.dirty, e.row = false, false, 0
		o.values.set(e.slot, nil, time.Time{})
		e.pipe.Reset()
	}
	o.reopen(err, now)
}
