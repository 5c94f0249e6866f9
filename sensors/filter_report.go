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
