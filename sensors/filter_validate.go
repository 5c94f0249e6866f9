package sensors

import (
	"math"
	"time"
)

// validating places a filter in the stage Validate; the types below do the
// same for the other stages.
type (
	validating  struct{}
	calibrating struct{}
	smoothing   struct{}
	formatting  struct{}
	reporting   struct{}
)

func (validating) Stage() Stage  { return Validate }
func (calibrating) Stage() Stage { return Calibrate }
func (smoothing) Stage() Stage   { return Smooth }
func (formatting) Stage() Stage  { return Format }
func (reporting) Stage() Stage   { return Report }

// stateless has nothing to forget.
type stateless struct{}

func (stateless) Reset() {}

// rangeFilter rejects numbers outside [min, max].
type rangeFilter struct {
	validating
	stateless
	min, max float64
}

func (f *rangeFilter) Apply(s Sample) (Sample, bool, error) {
	v, err := number(s)
	if err == nil && (v < f.min || v > f.max) {
		err = faultf(OutOfRange, "%v is outside %v to %v", v, f.min, f.max)
	}
	return s, err == nil, err
}

// filterOut rejects listed values, the sentinels of a chip (85, 65535).
type filterOut struct {
	validating
	stateless
	values []float64
}

func (f *filterOut) Apply(s Sample) (Sample, bool, error) {
	v, err := number(s)
	if err != nil {
		return s, false, err
	}
	for _, bad := range f.values {
		if near(v, bad) {
			return s, false, faultf(OutOfRange, "%v is filtered out", v)
		}
	}
	return s, true, nil
}

// sentinel rejects the value that a sensor shows when it has not measured (85
// of a DS18B20, 65535), unless the reading before was within reach of it.
type sentinel struct {
	validating
	value, within, last float64
	begun               bool
}

func (f *sentinel) Apply(s Sample) (Sample, bool, error) {
	v, err := number(s)
	if err != nil {
		return s, false, err
	}
	if near(v, f.value) && !(f.begun && math.Abs(f.last-v) <= f.within) {
		return s, false, faultf(OutOfRange, "%v is what the sensor shows without a measurement", v)
	}
	f.last, f.begun = v, true
	return s, true, nil
}

func (f *sentinel) Reset() { f.begun = false }

// near reports whether two numbers are the same but for how they were computed.
func near(v, w float64) bool { return math.Abs(v-w) <= 1e-9*math.Max(1, math.Abs(w)) }

// skipInitial holds back the first readings after a start of the device.
type skipInitial struct {
	validating
	count, seen int
}

func (f *skipInitial) Apply(s Sample) (Sample, bool, error) {
	if f.seen < f.count {
		f.seen++
		return s, false, nil
	}
	return s, true, nil
}

func (f *skipInitial) Reset() { f.seen = 0 }

// rateLimit rejects changes faster than perSecond. The allowance grows with
// the time since the last accepted sample, so a true step is accepted in the
// end.
type rateLimit struct {
	validating
	perSecond float64
	last      float64
	at        time.Time
}

func (f *rateLimit) Apply(s Sample) (Sample, bool, error) {
	v, err := number(s)
	if err != nil {
		return s, false, err
	}
	if !f.at.IsZero() {
		change, allowed := math.Abs(v-f.last), f.perSecond*s.At.Sub(f.at).Seconds()
		if change > allowed {
			return s, false, faultf(Rate, "changed by %.6g, at most %.6g is possible", change, allowed)
		}
	}
	f.last, f.at = v, s.At
	return s, true, nil
}

func (f *rateLimit) Reset() { f.at = time.Time{} }

// stuck rejects the count-th identical raw value in a row, and those after.
type stuck struct {
	validating
	count, seen int
	last        any
}

func (f *stuck) Apply(s Sample) (Sample, bool, error) {
	if f.seen > 0 && alike(s.Value, f.last) {
		f.seen++
	} else {
		f.seen, f.last = 1, s.Value
	}
	if f.seen >= f.count {
		return s, false, faultf(Stuck, "%v for %d readings", s.Value, f.seen)
	}
	return s, true, nil
}

// alike reports whether two values are the same, however they were written: a
// program may say 85 and then 85.0.
func alike(v, w any) bool {
	if a, ok := v.(float64); ok {
		b, err := number(Sample{Value: w})
		return err == nil && a == b
	}
	if _, ok := w.(float64); ok {
		return alike(w, v)
	}
	return v == w
}

// Reset forgets the value: a device that was opened anew has to prove again
// that it is stuck.
func (f *stuck) Reset() { f.seen, f.last = 0, nil }

// monotonic rejects a counter that goes back, or forward by more than step
// (0: any).
type monotonic struct {
	validating
	step, last float64
	begun      bool
}

func (f *monotonic) Apply(s Sample) (Sample, bool, error) {
	v, err := number(s)
	if err != nil {
		return s, false, err
	}
	switch {
	case f.begun && v < f.last:
		return s, false, faultf(OutOfRange, "%v is less than %v before", v, f.last)
	case f.begun && f.step > 0 && v-f.last > f.step:
		return s, false, faultf(Rate, "grew by %v, at most %v is possible", v-f.last, f.step)
	}
	f.last, f.begun = v, true
	return s, true, nil
}

func (f *monotonic) Reset() { f.begun = false }
