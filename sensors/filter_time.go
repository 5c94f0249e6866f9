package sensors

import (
	"math"
	"time"
)

// span is the time since the sample before; zero for the first, and for one
// that is not newer. Resets end it: nobody knows what was in between.
type span struct {
	smoothing
	last float64
	at   time.Time
}

// next takes a sample's value and returns the one before.
func (f *span) next(s Sample) (v, before, seconds float64, err error) {
	if v, err = number(s); err != nil {
		return
	}
	before = f.last
	if !f.at.IsZero() {
		seconds = max(s.At.Sub(f.at).Seconds(), 0)
	}
	if f.at.IsZero() || seconds > 0 {
		f.last, f.at = v, s.At
	}
	return
}

func (f *span) Reset() { f.at = time.Time{} }

// integral sums up value times time. The sum is a total that outlives the
// program; what happens while the device is away is not in it.
type integral struct {
	span
	unit   float64 // seconds of one unit of time
	how    string
	sum    float64
	kept   Totals
	unread bool // the sum of the last life was not looked up yet
}

// Keep implements Keeper. At a reload the filter in whose place this one comes
// is still at work: its sum is taken with the first reading.
func (f *integral) Keep(t Totals) { f.kept, f.unread = t, true }

func (f *integral) Apply(s Sample) (Sample, bool, error) {
	v, before, seconds, err := f.next(s)
	if err != nil {
		return s, false, err
	}
	if f.unread {
		f.sum, _ = f.kept.Load("integral")
		f.unread = false
	}
	switch f.how {
	case "left":
		v = before
	case "trapezoid":
		v = before/2 + v/2
	}
	sum := f.sum + v*seconds/f.unit
	if math.IsInf(sum, 0) || math.IsNaN(sum) {
		return s, false, faultf(OutOfRange, "the integral is %v", sum)
	}
	if f.sum = sum; f.kept != nil && seconds > 0 {
		f.kept.Save("integral", sum)
	}
	s.Value = sum
	return s, true, nil
}

// derivative is the change in a unit of time; it needs two readings.
type derivative struct {
	span
	unit float64 // seconds
}

func (f *derivative) Apply(s Sample) (Sample, bool, error) {
	v, before, seconds, err := f.next(s)
	if err != nil || seconds == 0 {
		return s, false, err
	}
	rate := (v - before) / seconds * f.unit
	if math.IsInf(rate, 0) || math.IsNaN(rate) {
		return s, false, faultf(OutOfRange, "the change is %v", rate)
	}
	s.Value = rate
	return s, true, nil
}

// throttleAverage holds readings back and passes the mean of those of each
// period; the first one passes at once.
type throttleAverage struct {
	reporting
	period time.Duration
	since  time.Time // the period under way; zero: none
	sum    float64
	count  int
}

func (f *throttleAverage) Apply(s Sample) (Sample, bool, error) {
	v, err := number(s)
	if err != nil {
		return s, false, err
	}
	if f.since.IsZero() {
		f.since = s.At
		return s, true, nil
	}
	f.sum += v
	f.count++
	if s.At.Sub(f.since) < f.period {
		return s, false, nil
	}
	s.Value = f.sum / float64(f.count)
	f.since, f.sum, f.count = s.At, 0, 0
	return s, true, nil
}

func (f *throttleAverage) Reset() { f.since, f.sum, f.count = time.Time{}, 0, 0 }
