package update

import (
	"fmt"
	"slices"
	"time"

	"github.com/dunlin-mqtt/dunlin/build/image/slots"
)

// A version that passed its trial is given up when its gateway crashes
// regretEnds times within regretWithin, in the time of probation, or when so
// many starts of the board, one after the other, end within shortRun by
// themselves: while it does so, no other update can be sent to it.
const (
	probation    = 24 * time.Hour
	regretEnds   = 5
	regretWithin = 30 * time.Minute
	shortRun     = regretWithin / regretEnds
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
	rec, ok := u.onProbation()
	if !ok {
		return
	}
	now := time.Now().UTC()
	// Two starts of a board without a clock chip may differ in what time it is.
	rec.Crashes = append(slices.DeleteFunc(rec.Crashes, func(t time.Time) bool { return now.Sub(t).Abs() > regretWithin }), now)
	if len(rec.Crashes) < regretEnds {
		u.keep(rec)
		return
	}
	u.giveUp(rec, fmt.Sprintf("it crashed %d times within %v: %s", regretEnds, regretWithin, words))
}

// begun counts a start of the board, and gives this version up after too many
// that did not last: the kernel panicked or hung, which init does not see. A
// power cut looks the same. The channel tells when this one has lasted; nil
// when none is counted. The card is the caller's.
func (u *Updater) begun() <-chan time.Time {
	rec, ok := u.onProbation()
	if !ok {
		return nil
	}
	if rec.Starts >= regretEnds {
		u.giveUp(rec, fmt.Sprintf("the board started %d times, and did not run for %v", regretEnds, shortRun))
		return nil
	}
	rec.Starts++
	u.keep(rec)
	return time.After(shortRun)
}

// lasted forgets the starts: this one has lasted, or ends in order.
func (u *Updater) lasted() {
	select {
	case u.busy <- struct{}{}:
		defer func() { <-u.busy }()
	default:
		return // an update is written, and with it another record
	}
	if rec, ok := u.onProbation(); ok {
		rec.Starts = 0
		u.keep(rec)
	}
}

// onProbation is the record of this version, if it passed its trial of late.
func (u *Updater) onProbation() (rec Record, ok bool) {
	rec, err := load(u.Record)
	return rec, err == nil && rec.Phase == Committed && rec.Slot == u.Slot && time.Since(rec.Time) <= probation
}

func (u *Updater) keep(rec Record) {
	if err := rec.save(u.Record); err != nil {
		u.Logf("update: keeping the record: %v", err)
	}
}

// giveUp restarts into the version before this one, if that is there.
func (u *Updater) giveUp(rec Record, why string) {
	if err := u.goBack(); err != nil {
		u.Logf("update: %s, and %v", why, err)
		return
	}
	rec.Phase, rec.Reason, rec.Crashes, rec.Starts = FellBack, why, nil, 0
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
