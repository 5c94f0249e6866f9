package sensors

import (
	"math"
	"time"
)

// delta refuses changes smaller than abs, or than percent of the value
// reported last. What is no number passes when it changed.
type delta struct {
	reporting
	stateless
	abs, percent float64
}

func (f *delta) Decide(s, last Sample, _ time.Time) Verdict {
	v, err := number(s)
	before, errBefore := number(last)
	if err != nil || errBefore != nil {
		return Verdict{Refuse: s.Value == last.Value}
	}
	least := f.abs + f.percent/100*math.Abs(before)
	change := math.Abs(v - before)
	// A step of exactly delta counts although 0.3-0.2 < 0.1 in float64.
	return Verdict{Refuse: change == 0 || change < least*(1-1e-9)}
}

// throttle refuses what comes less than period after the last report; the
// newest of it is reported when the period is over.
type throttle struct {
	reporting
	stateless
	period time.Duration
}

func (f *throttle) Decide(s, _ Sample, sent time.Time) Verdict {
	if s.At.Sub(sent) >= f.period {
		return Verdict{}
	}
	return Verdict{Refuse: true, Until: sent.Add(f.period)}
}

// maxInterval forces a report when the last is period ago. It forces only
// what was just read: a silent sensor is never repeated.
type maxInterval struct {
	reporting
	stateless
	period time.Duration
}

func (f *maxInterval) Decide(s, _ Sample, sent time.Time) Verdict {
	return Verdict{Force: s.At.Sub(sent) >= f.period}
}

// debounce refuses a value until it has stayed the same for period.
type debounce struct {
	reporting
	period time.Duration
	value  any
	since  time.Time
}

func (f *debounce) Decide(s, last Sample, _ time.Time) Verdict {
	if f.since.IsZero() || s.Value != f.value {
		f.value, f.since = s.Value, s.At
	}
	if s.Value == last.Value {
		return Verdict{Refuse: true}
	}
	stable := f.since.Add(f.period)
	return Verdict{Refuse: s.At.Before(stable), Until: stable}
}

func (f *debounce) Reset() { f.since = time.Time{} }

// either lets pass what one of its gates lets pass. A gate that only forces
// has no other opinion.
type either struct {
	reporting
	gates []Gate
}

// newEither takes filters that OrOptions has found to be gates.
func newEither(filters []Filter) Filter {
	e := &either{}
	for _, f := range filters {
		e.gates = append(e.gates, f.(Gate))
	}
	return e
}

func (e *either) Decide(s, last Sample, sent time.Time) (all Verdict) {
	all.Refuse = true
	for _, g := range e.gates {
		v := g.Decide(s, last, sent)
		_, forces := g.(*maxInterval)
		switch {
		case v.Force:
			all.Force = true
		case forces:
		case !v.Refuse:
			all.Refuse = false
		case !v.Until.IsZero() && (all.Until.IsZero() || v.Until.Before(all.Until)):
			all.Until = v.Until
		}
	}
	return all
}

func (e *either) Reset() {
	for _, g := range e.gates {
		g.Reset()
	}
}

// hold is how long a gate may keep a new value back.
func hold(f Gate) (d time.Duration) {
	switch f := f.(type) {
	case *throttle:
		return f.period
	case *debounce:
		return f.period
	case *either:
		for _, g := range f.gates {
			d = max(d, hold(g))
		}
	}
	return d
}
