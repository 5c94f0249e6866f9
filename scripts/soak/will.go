package main

import (
	"fmt"
	"sync"
	"time"
)

// early is how much before its time a will may come: the server looks at the
// clock once for all that one round of its loop reads, before it reads.
const early = time.Second / 2

// wills knows of each will whether and when it must be published. A client
// that never leaves subscribes to all of them.
type wills struct {
	mu   sync.Mutex
	all  []*will // by number
	late time.Duration
}

// will is one CONNECT's will. due and until are set when the connection ends.
type will struct {
	number int
	owner  string
	delay  time.Duration // until it is published after an end, the session's end included
	how    string        // how the connection ended

	published time.Time
	due       time.Time // not before; zero: not
	until     time.Time // not after
	may       bool      // both are right
}

func (w *wills) add(owner string, delay time.Duration) *will {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := &will{number: len(w.all), owner: owner, delay: delay, how: "has not ended"}
	w.all = append(w.all, n)
	return n
}

// discard says that the will must not be published.
func (w *wills) discard(o *will, how string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o.how = how
}

// expect says that the connection ended between from and to without
// DISCONNECT: the will is due after its delay.
func (w *wills) expect(o *will, how string, from, to time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o.how = how
	o.due, o.until = from.Add(o.delay), to.Add(o.delay+w.late)
}

// cancel says that the client was back between from and to with the same
// session: a will that was not due yet must not be published [MQTT-3.1.3-9].
func (w *wills) cancel(o *will, from, to time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case o.due.IsZero() || from.After(o.until):
	case to.Before(o.due):
		o.due, o.how = time.Time{}, o.how+", back before its delay"
	default:
		o.may = true
	}
}

// hasten says that the session ended between from and to: a will that still
// waits is published then [MQTT-3.1.2-8].
func (w *wills) hasten(o *will, from, to time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !o.due.IsZero() && from.Before(o.until) {
		o.how += ", session ended"
		o.due, o.until = minTime(o.due, from), minTime(o.until, to.Add(w.late))
	}
}

// take records that a will came.
func (w *wills) take(number int, at time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if number < 0 || number >= len(w.all) {
		return fmt.Errorf("will %d was never made", number)
	}
	o := w.all[number]
	if !o.published.IsZero() {
		return fmt.Errorf("will %d of %s came twice", number, o.owner)
	}
	o.published = at
	return nil
}

// judge is called when every will had its time.
func (w *wills) judge() (errs []error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.all {
		came, must := !o.published.IsZero(), !o.due.IsZero()
		switch {
		case o.may:
		case came && !must:
			errs = append(errs, fmt.Errorf("will %d of %s came, but: %s", o.number, o.owner, o.how))
		case !came && must:
			errs = append(errs, fmt.Errorf("will %d of %s never came: %s, delay %v", o.number, o.owner, o.how, o.delay))
		case came && o.published.Before(o.due.Add(-early)):
			errs = append(errs, fmt.Errorf("will %d of %s came %v early: %s, delay %v", o.number, o.owner, o.due.Sub(o.published), o.how, o.delay))
		case came && o.published.After(o.until):
			errs = append(errs, fmt.Errorf("will %d of %s came %v late: %s, delay %v", o.number, o.owner, o.published.Sub(o.until), o.how, o.delay))
		}
	}
	return errs
}

func minTime(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
