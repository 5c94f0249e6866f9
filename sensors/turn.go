package sensors

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"
)

// eventsATurn bounds a turn: after so many others see how the device is.
const eventsATurn = 16

// turn takes a turn, then runs the driver method that was begun in it, takes a
// turn with what that brought, and so on: a reading is one goroutine from the
// alarm to what is published. The alarm and nudge start one, never with
// something that waits behind it.
func (o *owner) turn() {
	for c := o.takeTurn(); c != nil; c = o.takeTurn() {
		c.run()
	}
}

// takeTurn handles what has happened and does what is due; it waits for the
// turn before it. It returns what the caller has to run.
func (o *owner) takeTurn() (begun *call) {
	o.turnSlot <- struct{}{}
	defer func() { <-o.turnSlot }()
	o.nudged.Store(false)
	if o.over || o.ctx.Err() != nil {
		return nil // the end is on its way; it sees to what is left
	}
	defer o.survive()
	o.enter()
	if o.again.Swap(false) {
		o.repeat(o.ctx)
	}
	o.heed(o.ctx, time.Now())
	o.handle(o.ctx)
	o.advance(o.ctx, time.Now())
	for n := 1; n < eventsATurn && o.handle(o.ctx); n++ {
		o.advance(o.ctx, time.Now())
	}
	o.publishStatus()
	now := time.Now()
	o.alarm.Load().Reset(o.wake(now).Sub(now))
	if !o.inbox.empty() {
		o.nudge()
	}
	begun, o.begun = o.begun, nil
	return begun
}

// handle takes one event; false when there was none.
func (o *owner) handle(ctx context.Context) bool {
	select {
	case out := <-o.call.ended():
		c := o.call
		o.call = nil
		o.finished(ctx, c, out)
	case out := <-o.aside.ended():
		if c := o.aside; c.task == healing {
			o.healed(c, out.err)
		}
		o.aside = nil
	default:
		return o.letter(ctx)
	}
	return true
}

// letter takes a message out of the inbox; false when there was none.
func (o *owner) letter(ctx context.Context) bool {
	m, ok, full, lost := o.inbox.take()
	switch {
	case ok:
		if full {
			o.dispatcher.notify(o)
		}
		o.accept(ctx, m)
	case lost:
		o.lose(ctx)
	}
	return ok || lost
}

// nudge has somebody take a turn soon, who looks again at what is due.
func (o *owner) nudge() {
	if !o.nudged.Swap(true) && o.alarm.Load() != nil {
		go o.turn() // ends with this device's turns, as what the alarm starts
	}
}

// begin starts a driver method: it runs when this turn is over, in the place of
// whoever takes it. A second one of a turn, and one that waits for the device to
// say something, has a goroutine of its own, with no more stack than that needs.
func (o *owner) begin(ctx context.Context, t task, limit time.Duration, w *wire, m method) *call {
	o.listening.on = false
	c := newCall(ctx, t, limit, w, m)
	if waits := t == reading && o.pusher != nil && !o.listening.rang.Load(); waits || o.begun != nil {
		go func() { c.run(); o.turn() }()
	} else {
		o.begun = c
	}
	return c
}

// begins starts the turns, the first one after a while.
func (o *owner) begins(ctx context.Context, after time.Duration) {
	o.turnSlot <- struct{}{}
	o.ctx = ctx
	o.alarm.Store(time.AfterFunc(after, o.turn))
	<-o.turnSlot
}

// enter does what comes before everything else.
func (o *owner) enter() {
	if o.entered {
		return
	}
	o.entered = true
	now := time.Now()
	o.health = newTracker(o.dev.FailAfter, o.dev.StaleAfter, now)
	o.next = now
	o.watchOutputs(o.ctx)
	o.attach(o.ctx)
}

// ends is the last turn, if there was a first. A turn that waits for this one
// finds nobody there.
func (o *owner) ends() {
	o.turnSlot <- struct{}{}
	defer func() { <-o.turnSlot }()
	alarm := o.alarm.Load()
	if alarm == nil || o.over {
		return
	}
	alarm.Stop()
	defer o.survive()
	o.enter()
	o.leaveOutputs()
	o.stop(o.ctx)
	o.over = true
}

// survive is deferred. A panic that is not the driver's ends this device and no
// other: its session ends abnormally, so subscribers see it offline.
func (o *owner) survive() {
	p := recover()
	if p == nil {
		return
	}
	o.over = true
	o.alarm.Load().Stop()
	o.log().Error("device given up", "err", fmt.Sprint(p), "stack", string(debug.Stack()))
	o.leaveOutputs()
	o.health.count(&Fault{Reason: Panic, Err: fmt.Errorf("%v", p)})
	o.health.become(Offline, Panic, time.Now())
	o.publishHealth(o.ctx)
	o.tellDied(o.ctx)
	o.leave(time.Now())
	o.publishStatus()
}
