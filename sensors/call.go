package sensors

import (
	"context"
	"fmt"
	"log/slog"
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
// instead of a mutex because transfers block. Who waits for it is served in the
// order of coming, however long that takes: whoever gave up would come back as
// the last one, and on a bus with too much to carry some would never be read.
type wire struct {
	id   string
	log  *slog.Logger
	slot chan struct{}
	hung atomic.Bool // the transfer in the slot did not come back
	late int         // calls in a row that came late to the slot, of who has it
}

// take waits for the bus; give must follow when it returns nil.
func (w *wire) take(ctx context.Context) error {
	select {
	case w.slot <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tooMany calls in a row are more than come late behind one that hung.
const tooMany = 100

// give frees the bus after a call, which came late or not.
func (w *wire) give(late bool) {
	w.hung.Store(false)
	switch {
	case w.late >= tooMany: // it was said
	case !late:
		w.late = 0
	default:
		if w.late++; w.late == tooMany {
			w.log.Warn("bus is busy all the time: give its devices longer intervals", "bus", w.id)
		}
	}
	<-w.slot
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
	span   time.Duration // that the method may take
	limit  time.Time     // its deadline, if it had its bus at once
	waited atomic.Int64  // how long it had to wait for that; less than 0 while it does
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

// newCall makes a call of m under a deadline that begins when it has its bus; by
// overdue the owner finds that it hangs.
func newCall(ctx context.Context, t task, span time.Duration, w *wire, m method) *call {
	now := time.Now()
	c := &call{task: t, wire: w, method: m, start: now, span: span, limit: now.Add(span), done: make(chan outcome, 1)}
	if w == nil {
		c.ctx, c.cancel = context.WithDeadline(ctx, c.limit)
	} else {
		c.ctx, c.cancel = context.WithCancel(ctx)
		c.waited.Store(-1)
	}
	return c
}

// run calls the method, alone on its bus, and leaves the outcome in done.
func (c *call) run() {
	var out outcome
	if c.wire == nil {
		out = protect(c.ctx, c.method)
	} else if out.err = c.wire.take(c.ctx); out.err == nil {
		c.waited.Store(int64(time.Since(c.start)))
		ctx, cancel := context.WithTimeout(c.ctx, c.span)
		out = protect(ctx, c.method)
		cancel()
		c.wire.give(out.err == nil && c.late())
	}
	c.cancel()
	c.done <- out
}

// late reports whether it waits for its bus, or had to wait for longer than it
// may take: that there is no reading is not its device's fault.
func (c *call) late() bool {
	if c == nil {
		return false
	}
	waited := c.waited.Load()
	return waited < 0 || waited > int64(c.span)
}

// overdueAt is when the call hangs; one that waits for its bus has all of its
// time before it.
func (c *call) overdueAt(now time.Time) time.Time {
	if waited := c.waited.Load(); waited >= 0 {
		return c.limit.Add(time.Duration(waited) + grace)
	}
	return now.Add(c.span + grace)
}

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
