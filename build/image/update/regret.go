package update

import (
	"fmt"
	"slices"
	"time"

	"github.com/dunlin-mqtt/dunlin/build/image/slots"
)

// A version that passed its trial is given up when its gateway crashes
// regretEnds times within regretWithin, in the time of probation: while it
// does so, no other update can be sent to it.
const (
	probation    = 24 * time.Hour
	regretEnds   = 5
	regretWithin = 30 * time.Minute
)

// Crashed tells that the gateway has ended by a fault, and with which words.
// It returns at once but for the time that it takes to read a slot.
func (u *Updater) Crashed(words string) {
	select {
	case u.busy <- struct{}{}:
		defer func() { <-u.busy }()
	default:
		return // a trial sees it by itself, and an update may be its end
	}
	rec, err := load(u.Record)
	now := time.Now().UTC()
	if err != nil || rec.Phase != Committed || rec.Slot != u.Slot || now.Sub(rec.Time) > probation {
		return
	}
	// Two starts of a board without a clock chip may differ in what time it is.
	rec.Crashes = append(slices.DeleteFunc(rec.Crashes, func(t time.Time) bool { return now.Sub(t).Abs() > regretWithin }), now)
	if len(rec.Crashes) < regretEnds {
		if err := rec.save(u.Record); err != nil {
			u.Logf("update: keeping the record: %v", err)
		}
		return
	}
	if err := u.goBack(rec); err != nil {
		u.Logf("update: this version crashes, and %v", err)
		return
	}
	rec.Phase, rec.Reason = FellBack, fmt.Sprintf("it crashed %d times within %v: %s", regretEnds, regretWithin, words)
	rec.Crashes = nil
	u.note(rec)
	u.Restart("")
}

// goBack has the version start that was before an update.
func (u *Updater) goBack(rec Record) error {
	other := slots.Other(u.Slot)
	state, m, err := u.Card.Slot(other)
	switch {
	case err != nil:
		return err
	case state != slots.Whole:
		return fmt.Errorf("slot %d is %v", other, state)
	case m.Version != rec.From:
		return fmt.Errorf("slot %d has %s, not %s", other, m.Version, rec.From)
	}
	return u.Card.Choose(other)
}
