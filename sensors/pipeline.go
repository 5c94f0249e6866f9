package sensors

import (
	"fmt"
	"math"
	"time"
)

// Stage is the place of a filter in the pipeline. The places are fixed, so no
// order of listing can hide a dead sensor behind an average.
type Stage uint8

// The stages in the order in which a reading passes them. Decoding is the
// pipeline's own: every number becomes an int64, a uint64 that is none, or a
// float64, and NaN is rejected.
const (
	Validate  Stage = iota // reject what cannot be true
	Calibrate              // raw to real units
	Smooth                 // several readings to one
	Format                 // what the value looks like
	Report                 // whether it is worth a message
)

// String returns the stage's name in the documentation.
func (s Stage) String() string {
	return [...]string{"validate", "calibrate", "smooth", "format", "report"}[s]
}

// Sample is a value on its way through a pipeline.
type Sample struct {
	Value any       // float64, int64, uint64, bool or string
	At    time.Time // when it was captured
}

// Filter is one step of a pipeline: a Step that changes, holds back or
// rejects samples, or a Gate that decides which ones are reported. A filter
// belongs to one pipeline; it has no clock but Sample.At and the now that it
// is given, and no goroutine.
type Filter interface {
	// Stage says where the filter works.
	Stage() Stage
	// Reset forgets what the filter has seen; the device was restarted.
	Reset()
}

// Step is a Filter of the stages Validate to Format.
type Step interface {
	Filter
	// Apply returns what becomes of s. ok false holds it back without a
	// failure (a window that is not full); an error, a *Fault, rejects it.
	Apply(s Sample) (out Sample, ok bool, err error)
}

// Gate is a Filter of the stage Report. A sample is reported when no gate
// refuses it, or when one forces it.
type Gate interface {
	Filter
	// Decide compares s with the sample reported last, at sent.
	Decide(s, last Sample, sent time.Time) Verdict
}

// Verdict is a Gate's opinion. The zero value lets the sample pass.
type Verdict struct {
	// Force reports the sample whatever the other gates say.
	Force bool
	// Refuse holds the sample back.
	Refuse bool
	// Until is when a refused sample may be reported after all, unless a newer
	// one has come: the trailing value of a throttle. Zero is never.
	Until time.Time
}

// Pipeline is the filters of one entity with their memory. Not safe for
// concurrent use.
type Pipeline struct {
	*filters
	renew time.Duration // reports what gates hold back after so long; 0: never

	last     Sample    // reported last; until the next also after Reset
	sent     time.Time // and when
	newest   any       // came through the steps last
	pending  *pending  // nil: nothing
	reported bool      // something was, since Reset
	through  bool      // newest is of the last Feed
}

// filters are those of a pipeline in the order of their stages. Most have none.
type filters struct {
	steps []Step
	gates []Gate
}

var noFilters filters // nobody adds to them

// pending is a sample that a gate holds back, until a time that it names.
type pending struct {
	Sample
	due time.Time
}

// NewPipeline sorts the filters into their stages; within a stage the order
// of listing stays. A filter that is neither Step nor Gate is an error.
func NewPipeline(filters ...Filter) (*Pipeline, error) {
	p := &Pipeline{}
	return p, p.fill(filters)
}

func (p *Pipeline) fill(list []Filter) error {
	if p.filters = &noFilters; len(list) > 0 {
		p.filters = &filters{}
	}
	for stage := Validate; stage <= Report; stage++ {
		for _, f := range list {
			if f.Stage() != stage {
				continue
			}
			switch f := f.(type) {
			case Gate:
				p.gates = append(p.gates, f)
			case Step:
				p.steps = append(p.steps, f)
			default:
				return fmt.Errorf("filter %T is neither a Step nor a Gate", f)
			}
		}
	}
	return nil
}

// Feed passes one sample through. ok says that out is to be reported now. An
// error, a *Fault, means that the sample was rejected.
func (p *Pipeline) Feed(s Sample, now time.Time) (out Sample, ok bool, err error) {
	p.through = false
	if s.Value, err = decode(s.Value); err != nil {
		return s, false, err
	}
	for _, f := range p.steps {
		if s, ok, err = f.Apply(s); err != nil || !ok {
			return s, false, err
		}
	}
	return p.report(s, now)
}

func (p *Pipeline) report(s Sample, now time.Time) (Sample, bool, error) {
	p.pending = nil
	p.newest, p.through = s.Value, true
	if !p.reported {
		return p.accept(s, now), true, nil
	}
	var refused, never bool
	forced := p.renew > 0 && s.At.Sub(p.sent) >= p.renew
	var until time.Time
	for _, g := range p.gates {
		v := g.Decide(s, p.last, p.sent)
		forced = forced || v.Force
		if v.Refuse {
			refused = true
			never = never || v.Until.IsZero()
			if v.Until.After(until) {
				until = v.Until
			}
		}
	}
	switch {
	case forced || !refused:
		return p.accept(s, now), true, nil
	case !never:
		p.pending = &pending{s, until}
	}
	return s, false, nil
}

func (p *Pipeline) accept(s Sample, now time.Time) Sample {
	p.last, p.sent, p.reported = s, s.At, true
	if now.After(p.sent) {
		p.sent = now
	}
	return s
}

// force makes the next sample that comes through be reported.
func (p *Pipeline) force() { p.reported = false }

// interrupt is when the entity's value was withdrawn while its device goes on:
// what comes next is reported, and has nothing to do with what was before. Only
// filters that heal by themselves go on.
func (p *Pipeline) interrupt() {
	for _, f := range p.steps {
		switch f.(type) {
		case *stuck, *rateLimit, *skipInitial:
		default:
			f.Reset()
		}
	}
	for _, g := range p.gates {
		g.Reset()
	}
	p.pending, p.reported = nil, false
}

// gathers is how long the steps take for one result, of readings at this pace;
// years of it are as good as for ever.
func (p *Pipeline) gathers(pace time.Duration) (d time.Duration) {
	n := 1.0
	for _, f := range p.steps {
		switch f := f.(type) {
		case *window:
			n *= float64(f.every)
		case *exponential:
			n *= float64(f.every)
		case *throttleAverage:
			d += f.period
		}
	}
	return d + time.Duration(min((n-1)*float64(pace), float64(10*year)))
}

// hold is the longest time for which the gates keep a new value back.
func (p *Pipeline) hold() (d time.Duration) {
	for _, g := range p.gates {
		d = max(d, hold(g))
	}
	return d
}

// Due is when Release has something to give; zero when nothing is held back.
func (p *Pipeline) Due() time.Time {
	if p.pending == nil {
		return time.Time{}
	}
	return p.pending.due
}

// Release returns the held sample once its time has come.
func (p *Pipeline) Release(now time.Time) (s Sample, ok bool) {
	if p.pending == nil || now.Before(p.pending.due) {
		return Sample{}, false
	}
	s = p.pending.Sample
	p.pending = nil
	return p.accept(s, now), true
}

// Reset forgets everything seen, so that the next sample is reported: the
// device was opened anew.
func (p *Pipeline) Reset() {
	for _, f := range p.steps {
		f.Reset()
	}
	for _, g := range p.gates {
		g.Reset()
	}
	p.pending, p.reported = nil, false
}

// decode brings every number to float64, int64, or uint64 where that is too
// small.
func decode(v any) (any, error) {
	switch v := v.(type) {
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, faultf(OutOfRange, "value is %v", v)
		}
		return v, nil
	case int64, bool, string:
		return v, nil
	case float32:
		return decode(float64(v))
	case int:
		return int64(v), nil
	case uint64:
		if v > math.MaxInt64 {
			return v, nil
		}
		return int64(v), nil
	}
	return nil, faultf(Parse, "value of type %T", v)
}

// number is a sample's value as a float64.
func number(s Sample) (float64, error) {
	switch v := s.Value.(type) {
	case float64:
		return v, nil
	case int64:
		return float64(v), nil
	case uint64:
		return float64(v), nil
	}
	return 0, faultf(Parse, "filter wants a number, got %v", s.Value)
}

func faultf(r Reason, format string, args ...any) *Fault {
	return &Fault{Reason: r, Err: fmt.Errorf(format, args...)}
}
