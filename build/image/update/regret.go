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
// It returns at once.
func (u *Updater) Crashed(words string) {
	select {
	case u.crashes <- words:
	default: // one is being looked at
	}
}

// regret counts a crash, and gives this version up after too many. To read the
// slot of the other one takes seconds, for which the gateway need not wait.
func (u *Updater) regret(words string) {
	select {
	case u.busy <- struct{}{}:
		defer func() { <-u.busy }()
	default:
		return // an update is written, which may be the cure
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
	if err := u.goBack(); err != nil {
		u.Logf("update: this version crashes, and %v", err)
		return
	}
	rec.Phase, rec.Reason = FellBack, fmt.Sprintf("it crashed %d times within %v: %s", regretEnds, regretWithin, words)
	rec.Crashes = nil
	u.note(rec)
	u.Restart("")
}

// goBack has the version start that was before the last update.
func (u *Updater) goBack() error {
	other := slots.Other(u.Slot)
	state, _, err := u.Card.Slot(other)
	if err == nil && state != slots.Whole {
		err = fmt.Errorf("slot %d is %v", other, state)
	}
	if err != nil {
		return err
	}
	return u.Card.Choose(other)
}
