package sensors

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"
)

// output is what an owner knows of one output that obeys more than commands.
type output struct {
	Safety
	require *Condition // nil: none
	dead    *deadman   // nil: none, or the owner does not run
	client  string     // who holds dead; "": a heartbeat
	beat    string     // the heartbeat's topic
	unwatch func()

	// gate has one slot. Whoever holds it may drive the output: between the
	// last look at what forbids a command and its write nothing comes.
	gate chan struct{}

	// The rest is the owner's.
	known bool      // on is from a reading or a command since the device was opened
	on    bool      // the output is not at rest, as far as is known
	since time.Time // it came on
	end   time.Time // of on_for; zero: none. A reading that it is off does not end it: it may be from before the command
	safe  time.Time // the fall that was carried out
	again time.Time // no try before
}

// retryForced is how soon what an output has to do is tried again after an
// error.
const retryForced = time.Second

// guardOutputs prepares the outputs of the driver.
func (o *owner) guardOutputs() (err error) {
	d, ok := o.dev.Driver.(Guarded)
	if !ok {
		return nil
	}
	for _, s := range d.Outputs() {
		u := &output{Safety: s, gate: make(chan struct{}, 1)}
		if s.Require != "" {
			if u.require, err = ParseCondition(s.Require); err != nil {
				return err
			}
		}
		if s.Failsafe.Without != "" {
			if u.client, u.beat, err = s.Failsafe.watched(); err != nil {
				return err
			}
			if u.beat == "" {
				u.beat = o.topics.device + "/heartbeat/set"
			}
			if u.client != "" && o.opt.Watch == nil {
				return errors.New("failsafe: nobody says which clients are there")
			}
		}
		o.outputs = append(o.outputs, u)
	}
	return nil
}

// watchOutputs begins to look at what the outputs depend on.
func (o *owner) watchOutputs(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	for _, u := range o.outputs {
		for _, ref := range u.refs() {
			o.values.watch(ref, o)
		}
		if u.Failsafe.Without == "" {
			continue
		}
		u.dead = newDeadman(u.Failsafe.After, func() { o.fall(ctx, u) })
		if u.client != "" {
			u.unwatch = o.opt.Watch(u.client, u.dead.held)
		}
	}
}

// leaveOutputs ends what watchOutputs began; no output falls afterwards.
func (o *owner) leaveOutputs() {
	for _, u := range o.outputs {
		for _, ref := range u.refs() {
			o.values.unwatch(ref, o)
		}
		if u.unwatch != nil {
			u.unwatch()
		}
		u.dead.close()
	}
}

// refs are the values that require asks for.
func (u *output) refs() []string {
	if u.require == nil {
		return nil
	}
	return u.require.Refs()
}

// fall is the end of a dead man's time: outputs that can be driven at once are,
// on this goroutine; the owner does so too, sees to errors and publishes it.
func (o *owner) fall(ctx context.Context, u *output) {
	if d, ok := o.dev.Driver.(Immediate); ok {
		ctx, cancel := context.WithTimeout(ctx, o.dev.Timeout)
		defer cancel()
		u.gate <- struct{}{} // held for no longer than Do of an Immediate takes
		protect(ctx, func(ctx context.Context) ([]Reading, error) {
			return d.Do(ctx, u.Entity, []byte(u.failsafe()))
		})
		<-u.gate
	}
	o.nudge()
}

// heartbeat takes a message that holds outputs; it says whether it was one.
func (o *owner) heartbeat(topic string) (ok bool) {
	for _, u := range o.outputs {
		if u.dead != nil && u.client == "" && u.beat == topic {
			u.dead.beat()
			ok = true
		}
	}
	return ok
}

func (o *owner) output(entity string) *output {
	for _, u := range o.outputs {
		if u.Entity == entity {
			return u
		}
	}
	return nil
}

// carryOut drives an output: the last look at what forbids the command, and
// then at once the driver. It runs on the call's goroutine.
func (o *owner) carryOut(ctx context.Context, c *command) ([]Reading, error) {
	u := o.output(c.entity)
	if u == nil {
		return o.commander.Do(ctx, c.entity, c.payload)
	}
	select {
	case u.gate <- struct{}{}:
		defer func() { <-u.gate }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if c.forced == "" {
		if err := u.permit(o.values, c.payload); err != nil {
			return nil, &refusal{err}
		}
	}
	return o.commander.Do(ctx, c.entity, c.payload)
}

// refusal is a command that was kept from its output.
type refusal struct{ error }

// permit says what forbids a command now.
func (u *output) permit(b *valueTable, payload []byte) error {
	if !u.dead.down().IsZero() {
		return errors.New(u.whyFallen())
	}
	if u.require == nil || u.rests(payload) {
		return nil
	}
	if until, why := u.require.holds(b, time.Now()); until.IsZero() {
		return fmt.Errorf("interlock %s: %s", u.require, why)
	}
	return nil
}

func (u *output) whyFallen() string {
	return fmt.Sprintf("fail-safe: without %s for %v", u.Failsafe.Without, u.Failsafe.After)
}

// timed takes on_for from a command where the manager carries it out, and
// bounds it.
func (u *output) timed(c *command) error {
	if u == nil || !u.Timed {
		return nil
	}
	s, err := ParseSwitch(c.payload)
	if err != nil || !bytes.ContainsRune(c.payload, '{') {
		return nil // for the driver: 1 may be a number
	}
	if u.MaxOn > 0 && s.OnFor > u.MaxOn {
		return fmt.Errorf("on_for %v is longer than max_on %v", s.OnFor, u.MaxOn)
	}
	c.limit = s.OnFor
	switch {
	case s.Toggle:
		return nil
	case s.On:
		c.payload = []byte("ON")
	default:
		c.payload = []byte("OFF")
	}
	return nil
}

// driven notes what a command has done, or may have done:
//
//	it worked, and brings to rest    off, and on_for is over
//	it worked                        on, until its on_for
//	it may have worked               on, and what was to end still does
//	it failed, and brings to rest    as before: it may be on yet
//	it did not reach the output      as before
func (u *output) driven(c *command, err error, now time.Time) {
	if u == nil {
		return
	}
	end := time.Time{}
	if c.limit > 0 {
		end = now.Add(c.limit)
	}
	switch rests := u.rests(c.payload); {
	case err == nil && rests:
		u.noted(false, now)
		u.end = time.Time{}
	case err == nil:
		u.noted(true, now)
		u.end = end
	case !rests && u.reached(c, err):
		u.noted(true, now)
		u.end = earlier(end, u.end)
	}
	if err == nil && !c.fall.IsZero() {
		u.safe = c.fall
	}
}

// reached reports whether a command that failed may have been carried out: only
// its answer may be lost. A TOGGLE that is not the device's fault was refused: a
// device that knows none is not sent any.
func (u *output) reached(c *command, err error) bool {
	var refused *refusal
	var fault *Fault
	s, wrong := ParseSwitch(c.payload)
	return !errors.As(err, &refused) && (errors.As(err, &fault) || u.Timed && wrong == nil && !s.Toggle)
}

// noted records whether the output is on.
func (u *output) noted(on bool, now time.Time) {
	if on && !u.on {
		u.since = now
		if u.end.Before(now) {
			u.end = time.Time{}
		}
	}
	u.on, u.known = on, true
}

// assume takes for on what nothing was heard of when the device has answered: it
// may have been on when the gateway was killed, and what limits it holds for it
// too.
func (o *owner) assume(now time.Time) {
	for _, u := range o.outputs {
		if !u.known && u.Off != "" && (u.require != nil || u.MaxOn > 0 && u.Timed) {
			u.noted(true, now)
		}
	}
}

// off is when the output must be at rest; zero: no limit.
func (u *output) off() time.Time {
	if !u.on || !u.Timed {
		return time.Time{}
	}
	return earlier(u.limit(), u.end)
}

// limit is when max_on ends; zero: never.
func (u *output) limit() time.Time {
	if u.MaxOn == 0 {
		return time.Time{}
	}
	return u.since.Add(u.MaxOn)
}

// seen is a reading of the output.
func (u *output) seen(value any, now time.Time) {
	if u == nil || u.Off == "" {
		return
	}
	on, boolean := value.(bool)
	u.noted(boolean && on || !boolean && plain(value) != u.Off, now)
}

// urgent returns what an output has to do now whatever was commanded, nil when
// nothing is.
func (o *owner) urgent(now time.Time) *command {
	for _, u := range o.outputs {
		if now.Before(u.again) {
			continue
		}
		c := &command{entity: u.Entity, payload: []byte(u.Off)}
		if fall := u.dead.down(); !fall.IsZero() && fall != u.safe {
			c.payload, c.forced, c.fall = []byte(u.failsafe()), u.whyFallen(), fall
			return c
		}
		switch {
		case !u.off().IsZero() && !now.Before(u.off()):
			c.forced = "its time is over"
		case u.on && u.require != nil && u.Off != "":
			if until, why := u.require.holds(o.values, now); until.IsZero() {
				c.forced = fmt.Sprintf("interlock %s: %s", u.require, why)
			}
		}
		if c.forced != "" {
			return c
		}
	}
	return nil
}

// outputsWake is when urgent has something to say again, unless it is nudged.
func (o *owner) outputsWake(sooner func(time.Time)) {
	for _, u := range o.outputs {
		at := time.Time{}
		if u.on && u.require != nil && u.Off != "" {
			at, _ = u.require.holds(o.values, time.Now())
		}
		for _, t := range []time.Time{at, u.off()} {
			if !t.IsZero() {
				sooner(later(t, u.again))
			}
		}
		if u.again.After(time.Now()) {
			sooner(u.again)
		}
	}
}

// inherited hands the outputs over to the device that replaces this one, which
// limits them as this one would have, and reports whether it goes on with them;
// else they are to be stopped.
func (o *owner) inherited() bool {
	if o.heir == nil {
		return false
	}
	for _, u := range o.heir.outputs { // one without an on_stop is not off when it was stopped
		if was := o.output(u.Entity); was != nil {
			u.on, u.since, u.end = was.on, was.since, was.end
		}
	}
	h, ok := o.heir.dev.Driver.(Heir)
	return ok && h.Inherit(o.dev.Driver)
}

// earlier is the first of two times of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// outputsUnknown forgets what was carried out: the device is opened anew, at
// its initial state.
func (o *owner) outputsUnknown() {
	for _, u := range o.outputs {
		u.safe, u.again, u.known = time.Time{}, time.Time{}, false
	}
}
