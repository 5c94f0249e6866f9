package sensors

import (
	"sync"
	"time"
)

// deadman falls when nobody holds it: a client that is connected holds it, a
// heartbeat holds it for a while. Its lock is never held while fall runs.
type deadman struct {
	after time.Duration
	fall  func() // on a goroutine of its own

	mu     sync.Mutex
	timer  *time.Timer // nil: held by a client, or closed
	fallen time.Time   // zero: it is held
	closed bool
	wait   sync.WaitGroup // for fall
}

// newDeadman returns one that nobody holds yet: it has after to be taken.
func newDeadman(after time.Duration, fall func()) *deadman {
	d := &deadman{after: after, fall: fall}
	d.beat()
	return d
}

// beat holds it for a while.
func (d *deadman) beat() {
	d.mu.Lock()
	d.rearm(false)
	d.fallen = time.Time{}
	d.mu.Unlock()
}

// held says whether a client holds it; when one lets go, the time begins.
func (d *deadman) held(by bool) {
	d.mu.Lock()
	if by {
		d.fallen = time.Time{}
	}
	if by || d.timer == nil && d.fallen.IsZero() {
		d.rearm(by)
	}
	d.mu.Unlock()
}

// rearm is called with the lock.
func (d *deadman) rearm(forever bool) {
	if d.timer != nil && d.timer.Stop() {
		d.wait.Done()
	}
	d.timer = nil
	if d.closed || forever {
		return
	}
	d.wait.Add(1)
	var own *time.Timer
	own = time.AfterFunc(d.after, func() {
		defer d.wait.Done()
		d.expire(&own)
	})
	d.timer = own
}

// expire is the timer's end, unless it was stopped too late.
func (d *deadman) expire(own **time.Timer) {
	d.mu.Lock()
	mine := d.timer == *own && d.timer != nil
	if mine {
		d.timer, d.fallen = nil, time.Now()
	}
	d.mu.Unlock()
	if mine {
		d.fall()
	}
}

// down reports when it fell; zero while it is held.
func (d *deadman) down() time.Time {
	if d == nil {
		return time.Time{}
	}
	d.mu.Lock()
	fallen := d.fallen
	d.mu.Unlock()
	return fallen
}

// close ends it and waits for a fall on its way.
func (d *deadman) close() {
	if d == nil {
		return
	}
	d.mu.Lock()
	d.closed = true
	d.rearm(true)
	d.mu.Unlock()
	d.wait.Wait()
}
