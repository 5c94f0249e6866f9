package sensors

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// RangeOptions are the bounds of range and clamp, in the entity's unit.
type RangeOptions struct {
	Min float64 `yaml:"min" doc:"smallest value"`
	Max float64 `yaml:"max" doc:"largest value"`
}

// Validate reports bounds that exclude everything.
func (o *RangeOptions) Validate(report func(path, msg string)) {
	if o.Min > o.Max {
		report("max", fmt.Sprintf("%v is less than min, %v", o.Max, o.Min))
	}
}

// NumberOptions is a filter with one number: offset, multiply.
type NumberOptions struct {
	Value float64 `yaml:"value" req:"1" doc:"the number"`
}

// UnmarshalText reads the scalar form, as `offset: -0.5`.
func (o *NumberOptions) UnmarshalText(text []byte) (err error) {
	o.Value, err = finite(string(text))
	return err
}

// CountOptions is a filter with one count of readings: round (decimals),
// skip_initial, stuck.
type CountOptions struct {
	Count int `yaml:"count" req:"1" doc:"the count"`
}

// UnmarshalText reads the scalar form, as `round: 1`.
func (o *CountOptions) UnmarshalText(text []byte) error {
	v, err := finite(string(text))
	if err != nil || v != math.Trunc(v) || v < 0 || v > 1e6 {
		return fmt.Errorf("%q is not a whole number from 0 to 1000000", strings.TrimSpace(string(text)))
	}
	o.Count = int(v)
	return nil
}

// Validate reports a count that cannot be.
func (o *CountOptions) Validate(report func(path, msg string)) {
	if o.Count < 0 || o.Count > 1e6 {
		report("count", "want a whole number from 0 to 1000000")
	}
}

// CalibrateOptions is the list form of calibrate_linear.
type CalibrateOptions struct {
	Pairs []Pair `yaml:",list" doc:"\"measured -> true\" points"`
}

// Validate reports pairs through which there is no line.
func (o *CalibrateOptions) Validate(report func(path, msg string)) {
	if _, _, err := fit(o.Pairs); err != nil {
		report("", err.Error())
	}
}

// WindowOptions are those of the filters that look at several readings.
type WindowOptions struct {
	Size        int `yaml:"window_size" doc:"how many readings are looked at"`
	SendEvery   int `yaml:"send_every" doc:"a result every this many readings"`
	SendFirstAt int `yaml:"send_first_at" doc:"the first result after this many readings"`
}

// Validate reports windows that never give a result.
func (o *WindowOptions) Validate(report func(path, msg string)) {
	if o.Size < 1 || o.Size > 10000 {
		report("window_size", "want 1 to 10000")
	}
	if o.SendEvery < 1 {
		report("send_every", "want at least 1")
	}
	if o.SendFirstAt < 1 || o.SendFirstAt > o.SendEvery && o.SendFirstAt > o.Size {
		report("send_first_at", "want at least 1, at most send_every or window_size")
	}
}

// AlphaOptions are those of exponential_moving_average.
type AlphaOptions struct {
	Alpha       float64 `yaml:"alpha" doc:"weight of the newest reading, above 0 to 1"`
	SendEvery   int     `yaml:"send_every" doc:"a result every this many readings"`
	SendFirstAt int     `yaml:"send_first_at" doc:"the first result after this many readings"`
}

// Validate reports weights and counts that cannot be.
func (o *AlphaOptions) Validate(report func(path, msg string)) {
	if !(o.Alpha > 0 && o.Alpha <= 1) {
		report("alpha", "want more than 0, at most 1")
	}
	if o.SendEvery < 1 {
		report("send_every", "want at least 1")
	}
	if o.SendFirstAt < 1 {
		report("send_first_at", "want at least 1")
	}
}

// DeltaOptions is the least change worth a message.
type DeltaOptions struct {
	Absolute float64 `yaml:"absolute" doc:"in the entity's unit"`
	Percent  float64 `yaml:"percent" doc:"in percent of the value reported last"`
}

// UnmarshalText reads the scalar forms `delta: 0.1` and `delta: 5%`.
func (o *DeltaOptions) UnmarshalText(text []byte) error {
	number, percent := strings.CutSuffix(strings.TrimSpace(string(text)), "%")
	v, err := finite(number)
	switch {
	case err != nil:
		return err
	case v < 0:
		return fmt.Errorf("%v is negative", v)
	case percent:
		o.Percent = v
	default:
		o.Absolute = v
	}
	return nil
}

// Validate reports negative changes.
func (o *DeltaOptions) Validate(report func(path, msg string)) {
	if o.Absolute < 0 {
		report("absolute", "is negative")
	}
	if o.Percent < 0 {
		report("percent", "is negative")
	}
}

// PeriodOptions is a filter with one duration: throttle, max_interval.
type PeriodOptions struct {
	Period time.Duration `yaml:"period" req:"1" doc:"the time, as 10s"`
}

// UnmarshalText reads the scalar form, as `throttle: 10s`; "d" is a day.
func (o *PeriodOptions) UnmarshalText(text []byte) error {
	s := strings.TrimSpace(string(text))
	unit := time.Duration(1)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		s, unit = days+"h", 24
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 || d > 365*24*time.Hour/unit {
		return fmt.Errorf("%q is not a duration as 10s, 5m or 1h", string(text))
	}
	o.Period = d * unit
	return nil
}

// Validate reports durations that are none.
func (o *PeriodOptions) Validate(report func(path, msg string)) {
	if o.Period <= 0 {
		report("period", "want more than 0")
	}
}

// FilterOutOptions lists values that are no measurements.
type FilterOutOptions struct {
	Values []float64 `yaml:",list" doc:"values that the sensor shows instead of a measurement"`
}

// UnmarshalText reads the scalar form, as `filter_out: 85`.
func (o *FilterOutOptions) UnmarshalText(text []byte) error {
	v, err := finite(string(text))
	o.Values = []float64{v}
	return err
}

// StepOptions are those of monotonic.
type StepOptions struct {
	MaxStep float64 `yaml:"max_step" doc:"largest growth between two readings; 0 is any"`
}

// Validate reports a negative step.
func (o *StepOptions) Validate(report func(path, msg string)) {
	if o.MaxStep < 0 {
		report("max_step", "is negative")
	}
}
