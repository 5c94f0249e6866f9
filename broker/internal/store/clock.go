package store

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Times of one boot are told apart from each other by the monotonic clock; on
// disk there is only the clock on the wall, which a board without a battery
// begins in 1970 and sets later. A step says so: what was written before it was
// off.
type step struct {
	from, to time.Time // by the clock of before: from the boot to when it was set
	offset   time.Duration
	files    uint64 // spill files up to this number may have such times
}

// manySteps is how many steps are remembered, for what they found in files.
const manySteps = 8

// leastStep is less than what anybody sets a clock by.
const leastStep = 2 * time.Second

// neverSet is when no clock that was set is: the program is younger.
var neverSet = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// clock is what the wall's clock was set by since the store was opened.
type clock struct {
	start  time.Time
	offset atomic.Int64 // a time.Duration
}

// set returns by how much it was set since it was last asked; 0 for not.
func (c *clock) set(now time.Time) time.Duration {
	d := now.Round(0).Sub(c.start.Round(0)) - now.Sub(c.start) - time.Duration(c.offset.Load())
	if max(d, -d) < leastStep {
		return 0
	}
	return d
}

// off reports whether a time is one that the step corrects.
func (s *step) off(t time.Time) bool {
	return !t.IsZero() && !t.Before(s.from) && !t.After(s.to)
}

// shift corrects the times of a message that was queued at *at.
func (s *step) shift(at *time.Time, m **mqtt.Message, copies map[*mqtt.Message]*mqtt.Message) {
	if !s.off(*at) {
		return
	}
	*at = at.Add(s.offset)
	expires(m, copies, func(t time.Time) time.Time { return t.Add(s.offset) })
}

// expires changes when a message expires. Messages are shared and immutable:
// copies has those that were made.
func expires(m **mqtt.Message, copies map[*mqtt.Message]*mqtt.Message, f func(time.Time) time.Time) {
	old := *m
	if old.Expires.IsZero() {
		return
	}
	c := copies[old]
	if c == nil {
		later := *old
		later.Expires = f(old.Expires)
		c = &later
		copies[old] = c
	}
	*m = c
}

// shift corrects what was recovered.
func (s *State) shift(by *step) {
	copies := make(map[*mqtt.Message]*mqtt.Message)
	for _, l := range s.Lines {
		if by.off(l.Left) {
			l.Left = l.Left.Add(by.offset)
		}
		for i := range l.Entries {
			by.shift(&l.Entries[i].At, &l.Entries[i].Message, copies)
		}
		if l.disk == nil {
			continue
		}
		for i := range l.disk.runs {
			for _, t := range []*time.Time{&l.disk.runs[i].Since, &l.disk.runs[i].Until} {
				if by.off(*t) {
					*t = t.Add(by.offset)
				}
			}
		}
	}
	for name, r := range s.Retained {
		// One that does not say when it was written is corrected only if nobody
		// would mean what it says.
		came := s.retainedAt[name]
		if by.off(came) || came.IsZero() && r.Message.Expires.Before(neverSet) && by.to.Before(neverSet) {
			expires(&r.Message, copies, func(t time.Time) time.Time { return t.Add(by.offset) })
			s.Retained[name] = r
			if !came.IsZero() {
				s.retainedAt[name] = came.Add(by.offset)
			}
		}
	}
}

// note remembers a step for what is in files.
func (s *State) note(by *step) {
	if s.steps = append(s.steps, *by); len(s.steps) > manySteps {
		s.steps = s.steps[1:]
	}
}

// recovered puts the times of what was found in order. Those that a clock wrote
// which nobody set are taken to be from just before now, for want of better;
// those of this boot get a monotonic reading, so that a step to come does not
// touch them. It reports whether a checkpoint must say so.
func (s *State) recovered(now time.Time, up time.Duration, files uint64) (changed bool) {
	if now.After(neverSet) {
		by := &step{from: time.Unix(0, 0), files: files}
		s.eachTime(func(t time.Time) {
			if t.Before(neverSet) && t.After(by.to) {
				by.to = t
			}
		})
		if changed = !by.to.IsZero(); changed {
			by.offset = now.Round(0).Sub(by.to)
			s.shift(by)
			s.note(by)
		}
	}
	here := &step{from: now.Round(0).Add(-up), to: now.Round(0)}
	copies := make(map[*mqtt.Message]*mqtt.Message)
	reading := func(t time.Time) time.Time { return now.Add(t.Sub(now)) }
	for _, l := range s.Lines {
		if l.LeftBefore = !l.Left.IsZero() && !here.off(l.Left); here.off(l.Left) {
			l.Left = reading(l.Left)
		}
		for i := range l.Entries {
			if e := &l.Entries[i]; here.off(e.At) {
				e.At = reading(e.At)
				expires(&e.Message, copies, reading)
			}
		}
	}
	for name, came := range s.retainedAt {
		if r, ok := s.Retained[name]; ok && here.off(came) {
			expires(&r.Message, copies, reading)
			s.Retained[name] = r
		}
	}
	s.retainedAt = nil
	return changed
}

// date says when a retained message is written, if its expiry is by the clock
// of now.
func (r *Record) date() {
	if r.Kind == RetainedSet && r.Message.Expires != r.Message.Expires.Round(0) {
		r.At = time.Now()
	}
}

// eachTime calls f for the times when something happened.
func (s *State) eachTime(f func(time.Time)) {
	for _, l := range s.Lines {
		if !l.Left.IsZero() {
			f(l.Left)
		}
		for i := range l.Entries {
			if at := l.Entries[i].At; !at.IsZero() {
				f(at)
			}
		}
		if l.disk != nil {
			for i := range l.disk.runs {
				if t := l.disk.runs[i].Until; !t.IsZero() {
					f(t)
				}
			}
		}
	}
}

// timely gives a record the times that the clock of now would have shown.
func (s *Durable) timely(r *Record) *Record {
	r.date()
	if s.clock.offset.Load() == 0 {
		return r
	}
	now := time.Now()
	shown := func(t time.Time) time.Time {
		if t.IsZero() {
			return t
		}
		return now.Add(t.Sub(now))
	}
	r.At = shown(r.At)
	if r.Message != nil {
		expires(&r.Message, map[*mqtt.Message]*mqtt.Message{}, shown)
	}
	if r.run != nil {
		run := *r.run
		run.Since, run.Until = shown(run.Since), shown(run.Until)
		r.run = &run
	}
	return r
}

// Look has Run see whether there is something to do.
func (s *Durable) Look() { s.j.Nudge() }

// lookAtClock finds out whether the clock was set, and writes it down. It is
// for who has the disk.
func (s *Durable) lookAtClock() (set bool) {
	now := time.Now()
	d := s.clock.set(now)
	if d == 0 {
		return false
	}
	to := now.Round(0).Add(-d)
	from := to.Add(-s.opts.Uptime())
	if to.Before(neverSet) {
		from = time.Unix(0, 0)
	}
	s.clock.offset.Add(int64(d))
	s.setClock(from, to, d)
	return true
}

// setClock writes down that times from one to another were off.
func (s *Durable) setClock(from, to time.Time, offset time.Duration) {
	m := &s.mu
	m.Lock()
	for _, l := range m.state.Lines {
		if l.disk != nil {
			l.disk.log.End() // what comes now is in other files
		}
	}
	by := &step{from, to, offset, s.spill.Last()}
	m.state.note(by)
	m.body = appendRecord(m.body[:0], &Record{Kind: ClockSet, step: by})
	s.j.Append(byte(ClockSet), m.body, true)
	m.Unlock()
	s.j.Commit()
	s.opts.Log.Info("store: the clock was set; what was written before is corrected", "by", offset.Round(time.Second))
	if s.opts.ClockSet != nil {
		s.opts.ClockSet()
	}
}

// inTime corrects the times of what was read from a spill file. The caller
// holds mu.
func (s *Durable) inTime(batch []Entry, file uint64) {
	copies := map[*mqtt.Message]*mqtt.Message{}
	for k := range s.mu.state.steps {
		if by := &s.mu.state.steps[k]; file <= by.files {
			for i := range batch {
				by.shift(&batch[i].At, &batch[i].Message, copies)
			}
		}
	}
}

// millis is a time as a record has it.
func millis(t time.Time) uint64 { return uint64(min(max(t.UnixMilli(), 0), math.MaxInt64)) }
