package sensors

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// grace is how long after its deadline a driver may take to come back before
// the call counts as hung.
const grace = time.Second

// calls are those into the driver.
type calls struct {
	call  *call // nil: none
	begun *call // in this turn, and to be run after it; nil: none
	aside *call // Close beside a hung call
	hung  bool  // call did not come back in time
	// hungAt is when it was last so that this device kept its bus from others.
	hungAt time.Time
}

// wire is a bus that several devices share: one transfer at a time, a slot
// instead of a mutex because transfers block.
type wire struct {
	slot chan struct{}
	hung atomic.Bool // the transfer in the slot did not come back
}

func newWire() *wire { return &wire{slot: make(chan struct{}, 1)} }

// take waits for the bus; give must follow when it returns nil.
func (w *wire) take(ctx context.Context) error {
	if w == nil {
		return nil
	}
	if !w.hung.Load() {
		select {
		case w.slot <- struct{}{}:
			return nil
		case <-ctx.Done():
		}
	}
	switch {
	case w.hung.Load():
		return faultf(Hung, "%w and never returned", ErrHeldUp)
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	}
	return faultf(Timeout, "%w, which was never free", ErrHeldUp)
}

func (w *wire) give() {
	if w != nil {
		w.hung.Store(false)
		<-w.slot
	}
}

// task is what a call does.
type task uint8

const (
	opening task = iota
	reading
	commanding
	closing
	healing
)

// call is one driver method on its way, outside of turns so that a method that
// never returns holds up nobody.
type call struct {
	task   task
	ctx    context.Context
	wire   *wire
	method method
	cancel context.CancelFunc
	start  time.Time
	limit  time.Time // the deadline of its context
	done   chan outcome
	cmd    *command
	step   remedy
	// yielded: it was canceled to make way for a command, or for what an output
	// had to do at once.
	yielded bool
}

// outcome is what a driver method returned.
type outcome struct {
	readings []Reading
	err      error
}

// method is a driver method in the form that call runs.
type method func(ctx context.Context) ([]Reading, error)

// newCall makes a call of m under a deadline that begins now; by overdue the
// owner finds that it hangs.
func newCall(ctx context.Context, t task, limit time.Duration, w *wire, m method) *call {
	now := time.Now()
	ctx, cancel := context.WithDeadline(ctx, now.Add(limit))
	return &call{task: t, ctx: ctx, wire: w, method: m, cancel: cancel, start: now, limit: now.Add(limit), done: make(chan outcome, 1)}
}

// run calls the method, alone on its bus, and leaves the outcome in done.
func (c *call) run() {
	var out outcome
	if out.err = c.wire.take(c.ctx); out.err == nil {
		out = protect(c.ctx, c.method)
		c.wire.give()
	}
	c.cancel()
	c.done <- out
}

// overdue reports whether the call hangs at now.
func (c *call) overdue(now time.Time) bool { return !now.Before(c.limit.Add(grace)) }

// protect turns a panic of a driver into its fault.
func protect(ctx context.Context, m method) (out outcome) {
	defer func() {
		if p := recover(); p != nil {
			out = outcome{err: &Fault{Reason: Panic, Err: &panicked{p, debug.Stack()}}}
		}
	}()
	out.readings, out.err = m(ctx)
	return out
}

// panicked is a panic as an error; its stack is for the log only.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprint(p.value) }
