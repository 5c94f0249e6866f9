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
	Value    float64 `yaml:"value" req:"1" doc:"the number"`
	positive bool
}

// Validate reports numbers that cannot be.
func (o *NumberOptions) Validate(report func(path, msg string)) {
	if o.positive && !(o.Value > 0) {
		report("value", "want more than 0")
	}
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
	if _, err := fit(o.Pairs, 1); err != nil {
		report("", err.Error())
	}
}

// PolynomialOptions are those of calibrate_polynomial.
type PolynomialOptions struct {
	Degree int    `yaml:"degree" doc:"of the polynomial, 1 to 5"`
	Points []Pair `yaml:"datapoints" req:"1" doc:"\"measured -> true\" points"`
}

// Validate reports points through which there is no such polynomial.
func (o *PolynomialOptions) Validate(report func(path, msg string)) {
	if o.Degree < 1 || o.Degree > maxDegree {
		report("degree", "want 1 to 5")
	} else if _, err := fit(o.Points, o.Degree); err != nil {
		report("datapoints", err.Error())
	}
}

// SentinelOptions is a value that is no measurement.
type SentinelOptions struct {
	Value  float64 `yaml:"value" req:"1" doc:"what the sensor shows without a measurement, as 85"`
	Within float64 `yaml:"within" doc:"it is believed when the reading before was this near; negative: never"`
}

// UnmarshalText reads the scalar form, as `sentinel: 85`.
func (o *SentinelOptions) UnmarshalText(text []byte) (err error) {
	o.Value, err = finite(string(text))
	return err
}

// LoopOptions are those of loop_4_20ma.
type LoopOptions struct {
	Shunt     float64 `yaml:"shunt" doc:"resistor over which the voltage was read, in ohms; 0: the reading is in mA already" ex:"150"`
	Min       float64 `yaml:"min" doc:"measurement at 4 mA"`
	Max       float64 `yaml:"max" doc:"measurement at 20 mA"`
	WireBreak float64 `yaml:"wire_break" doc:"less than this many mA is a broken wire"`
	Short     float64 `yaml:"short_circuit" doc:"more than this many mA is a short circuit"`
}

// Validate reports loops that cannot be.
func (o *LoopOptions) Validate(report func(path, msg string)) {
	if o.Shunt < 0 {
		report("shunt", "is negative")
	}
	if o.Min == o.Max {
		report("max", "is min: every current would be the same")
	}
	if o.WireBreak >= 4 || o.Short <= 20 {
		report("wire_break", "is for less than 4 mA, short_circuit for more than 20")
	}
}

// MapOptions is the list form of map.
type MapOptions struct {
	Pairs []Words `yaml:",list" doc:"\"read -> meant\" lines"`
}

// TimeOptions are those of integrate and derivative.
type TimeOptions struct {
	Unit   string `yaml:"time_unit" doc:"in which time counts" enum:"s|min|h|d"`
	Method string `yaml:"method" doc:"integrate: between two readings the value is their mean, the first, or the second" enum:"trapezoid|left|right"`
}

// seconds is the unit of time.
func (o *TimeOptions) seconds() float64 {
	return map[string]float64{"s": 1, "min": 60, "h": 3600, "d": 86400}[o.Unit]
}

// Validate reports units that are none.
func (o *TimeOptions) Validate(report func(path, msg string)) {
	if o.seconds() == 0 {
		report("time_unit", "want s, min, h or d")
	}
}

// QuantileOptions are those of quantile.
type QuantileOptions struct {
	Quantile float64 `yaml:"quantile" doc:"the part, 0 to 1"`
	WindowOptions
}

// Validate reports parts and windows that cannot be.
func (o *QuantileOptions) Validate(report func(path, msg string)) {
	if !(o.Quantile >= 0 && o.Quantile <= 1) {
		report("quantile", "want 0 to 1")
	}
	o.WindowOptions.Validate(report)
}

// HampelOptions are those of hampel.
type HampelOptions struct {
	Sigmas float64 `yaml:"sigmas" doc:"an outlier is this many standard deviations from the median"`
	WindowOptions
}

// Validate reports bounds and windows that cannot be.
func (o *HampelOptions) Validate(report func(path, msg string)) {
	if !(o.Sigmas > 0) {
		report("sigmas", "want more than 0")
	}
	o.WindowOptions.Validate(report)
}

// OrOptions are the gates of or.
type OrOptions struct{ Filters []Filter }

// Validate reports filters that have no opinion on reporting.
func (o *OrOptions) Validate(report func(path, msg string)) {
	for _, f := range o.Filters {
		if _, ok := f.(Gate); !ok {
			report("", fmt.Sprintf("takes delta, throttle, debounce, max_interval and or, not filters of the stage %s", f.Stage()))
			return
		}
	}
	if len(o.Filters) < 2 {
		report("", "wants two filters or more")
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

const year = 365 * 24 * time.Hour

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
	if err != nil || d <= 0 || d > year/unit {
		return fmt.Errorf("%q is not a duration as 10s, 5m or 1h", string(text))
	}
	o.Period = d * unit
	return nil
}

// Validate reports durations that are none.
func (o *PeriodOptions) Validate(report func(path, msg string)) {
	if o.Period <= 0 || o.Period > year {
		report("period", "want more than 0, at most 365d")
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
