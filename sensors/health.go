package sensors

import (
	"errors"
	"maps"
	"time"
)

// State is what a device is, as health.state says it.
type State string

// The states of a device.
const (
	Starting State = "starting" // nothing was said of it yet
	Online   State = "online"
	Offline  State = "offline"
)

// Health is the document on a device's health topic.
type Health struct {
	State  State
	Reason Reason // "" while all is well
	// Error is the last failure in words; "" when the last interval was good.
	Error    string
	Since    time.Time // when State or Reason last changed
	LastOK   time.Time // the newest valid reading; zero: there never was one
	OK       uint64    // intervals, or events, that gave a valid reading
	Err      uint64    // failed reads and rejected readings
	Reopened uint64    // how often the device was opened anew
	// The rungs of the ladder: tries inside an interval that had failed, and
	// transfers that were repeated, Reopened, bus recoveries, power cycles.
	Retries, Recovered, PowerCycled uint64
	Refused                         uint64 // commands that an interlock or a fail-safe kept from an output
	// Reasons counts Err by reason.
	Reasons map[Reason]uint64
	// Failed names the entities without a valid reading while others have one.
	Failed map[string]Reason
}

// MarshalJSON writes times in UTC with milliseconds and leaves out what is
// empty.
func (h Health) MarshalJSON() ([]byte, error) {
	now := time.Now()
	doc := struct {
		State       State             `json:"state"`
		Reason      Reason            `json:"reason"`
		Error       string            `json:"error,omitempty"`
		Since       string            `json:"since"`
		LastOK      *string           `json:"last_ok"`
		OK          uint64            `json:"ok"`
		Err         uint64            `json:"err"`
		Reopened    uint64            `json:"reopened"`
		Retries     uint64            `json:"retries,omitempty"`
		Recovered   uint64            `json:"bus_recovered,omitempty"`
		PowerCycled uint64            `json:"power_cycled,omitempty"`
		Refused     uint64            `json:"refused,omitempty"`
		Reasons     map[Reason]uint64 `json:"reasons,omitempty"`
		Failed      map[string]Reason `json:"failed,omitempty"`
	}{h.State, h.Reason, h.Error, stamp(byClock(h.Since, now)), nil, h.OK, h.Err, h.Reopened, h.Retries, h.Recovered, h.PowerCycled, h.Refused, h.Reasons, h.Failed}
	if !h.LastOK.IsZero() {
		s := stamp(byClock(h.LastOK, now))
		doc.LastOK = &s
	}
	return document(doc)
}

// tracker decides from good and bad intervals what a device is. It is a
// value: time comes in as now.
type tracker struct {
	Health
	failAfter  int
	staleAfter time.Duration
	row        int       // failed intervals in a row
	fresh      time.Time // the last proof of life, or the start
	cause      error     // the last failure since then
}

func newTracker(failAfter int, staleAfter time.Duration, now time.Time) tracker {
	return tracker{
		Health:    Health{State: Starting, Since: now},
		failAfter: failAfter, staleAfter: staleAfter, fresh: now,
	}
}

// good records an interval with a valid reading. The caller turns the state
// to Online when it has said so.
func (t *tracker) good(now time.Time) {
	t.OK++
	t.alive(now)
	t.LastOK, t.Error = now, ""
}

// alive records that the device works although it had nothing to say.
func (t *tracker) alive(now time.Time) { t.row, t.fresh, t.cause = 0, now, nil }

// count records one failure among the counters.
func (t *tracker) count(err error) {
	t.Err++
	if t.Reasons == nil {
		t.Reasons = map[Reason]uint64{}
	}
	t.Reasons[ReasonOf(err)]++
	t.Error, t.cause = err.Error(), err
}

// fails names an entity without a valid reading.
func (t *tracker) fails(entity string, r Reason) {
	if t.Failed == nil {
		t.Failed = map[string]Reason{}
	}
	t.Failed[entity] = r
}

// bad records an interval that failed; it reports whether the device is to go
// offline by it. A device that is gone or hangs does so at once, one that another
// one on its bus holds up does not.
func (t *tracker) bad(err error) (down bool) {
	t.row++
	if t.State == Offline {
		return false
	}
	r := ReasonOf(err)
	return r == Unplugged && t.State == Online || hangs(err) || t.row >= t.failAfter
}

// hangs reports whether it is the device itself that hangs.
func hangs(err error) bool { return ReasonOf(err) == Hung && !errors.Is(err, ErrHeldUp) }

// stale reports whether the newest proof of life is too old.
func (t *tracker) stale(now time.Time) bool {
	return t.State != Offline && !now.Before(t.fresh.Add(t.staleAfter))
}

// become changes the state; changed says that there is something to publish.
func (t *tracker) become(s State, r Reason, now time.Time) (changed bool) {
	if t.State == s && t.Reason == r {
		return false
	}
	t.State, t.Reason, t.Since = s, r, now
	return true
}

// explain replaces the reason of an offline device by that of a newer
// failure. An unplugged device that is not found stays unplugged: the first
// says more.
func (t *tracker) explain(err error, now time.Time) (changed bool) {
	r := ReasonOf(err)
	if t.State != Offline || r == NotFound && t.Reason == Unplugged {
		return false
	}
	return t.become(Offline, r, now)
}

// clone is a copy that others may keep.
func (h Health) clone() Health {
	h.Reasons, h.Failed = maps.Clone(h.Reasons), maps.Clone(h.Failed)
	return h
}
