package sensors

import (
	"context"
	"sync/atomic"
	"time"
)

// listening is an event device that calls when there is something to read, and
// that nobody waits for meanwhile.
type listening struct {
	on    bool
	until time.Time   // longer is silence
	rang  atomic.Bool // it has called
}

// listens has the driver call when there is something to read, and reports
// whether there is nothing to do until then. False means that it is time for a
// Read, or that the driver cannot tell.
func (o *owner) listens(ctx context.Context, now time.Time) bool {
	l := &o.listening
	switch {
	case o.caller == nil || now.Before(o.next):
		return false
	case l.on && l.rang.Load():
		return false
	case l.on && now.Before(l.until):
		return true
	case l.on:
		l.on = false
		o.next = now
		o.quiet(ctx, now)
		o.nudge() // for what follows from that
		return true
	}
	l.rang.Store(false)
	l.on = o.caller.Call(o.waiter, o.rings)
	l.until = now.Add(o.readLimit(now))
	return l.on
}

// rings is the driver's call.
func (o *owner) rings() {
	o.listening.rang.Store(true)
	o.nudge()
}
