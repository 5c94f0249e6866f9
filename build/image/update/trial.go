package update

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

const (
	// trialDeadline is how long a gateway may take: a start, and devices that
	// want a minute to answer.
	trialDeadline = 3 * time.Minute
	// steadyFor is how long it must then be well without a break: one that
	// serves and falls is no better than one that does not serve. Devices are
	// read within a minute, and on a board of 1 GiB a program that only eats
	// memory was killed 40 s after it served.
	steadyFor = time.Minute
	tryEvery  = time.Second // the pause between two looks at it
)

// trial finds out why this slot runs. The default one after a failed trial
// says so in the record; the other one must prove itself, and stays or goes.
// A trial that failed lasts until the restart that it asked for.
func (u *Updater) trial(ctx context.Context) {
	if u.Card.OneSlot || u.Slot == 0 {
		return
	}
	choice, err := u.Card.Choice()
	if err != nil {
		u.Logf("update: %v", err)
		return
	}
	rec, err := load(u.Record)
	if err != nil {
		u.Logf("update: the record of the last one: %v", err)
		rec = Record{}
	}
	if u.Slot == choice.Default {
		u.judge(rec)
		return
	}
	u.Logf("update: this version, in slot %d, is on trial", u.Slot)
	u.doing(onTrial)
	if rec.Phase != Written || rec.Slot != u.Slot {
		rec = Record{} // of another update than the one that brought this version
	}
	if err = errVolatile; !u.Volatile() {
		err = u.prove(ctx, rec.Before)
	}
	switch {
	case ctx.Err() != nil:
		return
	case err == nil:
		err = u.Card.Choose(u.Slot)
	}
	if seal, sealErr := u.Card.Seal(u.Slot); sealErr == nil {
		rec.Version = seal.Version
	}
	rec.Slot = u.Slot
	if err == nil {
		rec.Phase, rec.Reason = Committed, ""
		u.note(rec)
		return
	}
	rec.Phase, rec.Reason = FellBack, err.Error()
	u.note(rec)
	u.Restart("") // the default slot
	<-ctx.Done()
}

// judge completes a record whose trial nobody could write about.
func (u *Updater) judge(rec Record) {
	switch {
	case rec.Phase != Written:
		return
	case rec.Slot == u.Slot:
		// The power went between the choice and the record of it.
		rec.Phase = Committed
	default:
		rec.Phase, rec.Reason = FellBack, "it did not come as far as its own test"
	}
	u.note(rec)
}

// prove asks the gateway until it has been as it should be for a while, or
// the deadline has passed and it is not; then the error is the last reason. A
// device must have been online in that time, not throughout: one that comes and
// goes did so with the version before, too.
func (u *Updater) prove(ctx context.Context, before Health) error {
	deadline, steady := cmp.Or(u.Deadline, trialDeadline), cmp.Or(u.Steady, steadyFor)
	end := time.Now().Add(deadline)
	ctx, cancel := context.WithTimeout(ctx, deadline+steady+2*askIn)
	defer cancel()
	var last error
	var well time.Time // since when
	devices := 0       // that have been online since the gateway answers
	for {
		h, err := u.Gateway.Health(ctx)
		if err == nil {
			devices = max(devices, h.Devices)
			h.Devices = devices
			err = h.worse(before)
		} else {
			devices = 0
		}
		switch now := time.Now(); {
		case err == nil && well.IsZero():
			well = now
		case err == nil && now.Sub(well) >= steady:
			return nil
		case err != nil:
			well = time.Time{}
			if last == nil || ctx.Err() == nil { // an error of the end itself explains nothing
				last = err
			}
			if now.After(end) {
				cancel()
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not up after %v: %w", deadline, last)
		case <-time.After(tryEvery):
		}
	}
}
