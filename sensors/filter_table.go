package sensors

import (
	"fmt"
	"math"
	"reflect"
)

// spec makes a FilterSpec. New runs the options' Validate, so that it is as
// strict for a caller without a configuration.
func spec(doc string, options func() any, build func(options any) Filter) FilterSpec {
	return FilterSpec{Doc: doc, Options: options, New: func(o any) (Filter, error) {
		if want := options(); reflect.TypeOf(o) != reflect.TypeOf(want) {
			return nil, fmt.Errorf("options are %T, want %T", o, want)
		}
		var err error
		if v, ok := o.(interface{ Validate(func(string, string)) }); ok {
			v.Validate(func(path, msg string) {
				if err == nil && path != "" {
					msg = path + ": " + msg
				}
				if err == nil {
					err = fmt.Errorf("%s", msg)
				}
			})
		}
		if err != nil {
			return nil, err
		}
		return build(o), nil
	}}
}

// Options that several filters share.
func anyNumber() any         { return &NumberOptions{} }
func anyCount() any          { return &CountOptions{} }
func anyPeriod() any         { return &PeriodOptions{} }
func anyRange() any          { return &RangeOptions{Min: math.Inf(-1), Max: math.Inf(1)} }
func five() any              { return &WindowOptions{5, 1, 1} }
func perHour() any           { return &TimeOptions{"h", "trapezoid"} }
func anyValues() any         { return &FilterOutOptions{} }
func number64(o any) float64 { return o.(*NumberOptions).Value }

// over makes the filters that compute one number of the newest readings.
func over(compute func([]float64) float64) func(any) Filter {
	return func(o any) Filter { return newWindow(*o.(*WindowOptions), compute) }
}

// builtin are the filters there are.
var builtin = []struct {
	name, doc string
	options   func() any
	build     func(options any) Filter
}{
	{"range", "rejects readings outside min to max", anyRange,
		func(o any) Filter { r := o.(*RangeOptions); return &rangeFilter{min: r.Min, max: r.Max} }},
	{"filter_out", "rejects listed values", anyValues,
		func(o any) Filter { return &filterOut{values: o.(*FilterOutOptions).Values} }},
	{"sentinel", "rejects the value that a sensor shows without a measurement, unless the reading before was near it",
		func() any { return &SentinelOptions{Within: 5} },
		func(o any) Filter { s := o.(*SentinelOptions); return &sentinel{value: s.Value, within: s.Within} }},
	{"skip_initial", "holds back the first readings after a start", anyCount,
		func(o any) Filter { return &skipInitial{count: o.(*CountOptions).Count} }},
	{"rate_limit", "rejects changes faster than this much per second", anyNumber,
		func(o any) Filter { return &rateLimit{perSecond: math.Abs(number64(o))} }},
	{"stuck", "rejects the same raw value this many times in a row", anyCount,
		func(o any) Filter { return &stuck{count: max(o.(*CountOptions).Count, 2)} }},
	{"monotonic", "rejects a counter that goes back or leaps", func() any { return &StepOptions{} },
		func(o any) Filter { return &monotonic{step: o.(*StepOptions).MaxStep} }},

	{"offset", "adds a number", anyNumber,
		func(o any) Filter { n := number64(o); return calibrated(func(v float64) float64 { return v + n }) }},
	{"multiply", "multiplies by a number", func() any { return &NumberOptions{Value: 1} },
		func(o any) Filter { n := number64(o); return calibrated(func(v float64) float64 { return v * n }) }},
	{"calibrate_linear", "maps measured to true values along the line through the points", func() any { return &CalibrateOptions{} },
		func(o any) Filter {
			p, _ := fit(o.(*CalibrateOptions).Pairs, 1) // Validate has tried it
			return calibrated(p.at)
		}},
	{"calibrate_polynomial", "maps measured to true values along the polynomial nearest to the points", func() any { return &PolynomialOptions{Degree: 2} },
		func(o any) Filter {
			p, _ := fit(o.(*PolynomialOptions).Points, o.(*PolynomialOptions).Degree) // Validate has tried it
			return calibrated(p.at)
		}},
	{"loop_4_20ma", "maps the current of a loop to a measurement, and finds broken wires", func() any { return &LoopOptions{Max: 100, WireBreak: 3.6, Short: 21} },
		func(o any) Filter { return &loop{o: *o.(*LoopOptions)} }},
	{"map", "replaces listed values by words or numbers; others stay", func() any { return &MapOptions{} },
		func(o any) Filter { return &mapping{pairs: o.(*MapOptions).Pairs} }},

	{"median", "the middle of the newest readings", five, over(median)},
	{"min", "the least of the newest readings", five, over(least)},
	{"max", "the greatest of the newest readings", five, over(greatest)},
	{"sliding_window_moving_average", "the mean of the newest readings", func() any { return &WindowOptions{15, 1, 1} }, over(mean)},
	{"quantile", "the reading that a part of the newest does not exceed", func() any { return &QuantileOptions{0.9, WindowOptions{5, 1, 1}} },
		func(o any) Filter {
			q := o.(*QuantileOptions)
			return newWindow(q.WindowOptions, func(values []float64) float64 { return quantile(values, q.Quantile) })
		}},
	{"hampel", "replaces outliers among the newest readings by their median", func() any { return &HampelOptions{3, WindowOptions{7, 1, 1}} },
		func(o any) Filter {
			h := o.(*HampelOptions)
			return newWindow(h.WindowOptions, func(values []float64) float64 { return hampel(values, h.Sigmas) })
		}},
	{"exponential_moving_average", "a mean that forgets", func() any { return &AlphaOptions{0.1, 1, 1} },
		func(o any) Filter {
			a := o.(*AlphaOptions)
			return &exponential{alpha: a.Alpha, every: a.SendEvery, first: a.SendFirstAt, until: a.SendFirstAt}
		}},
	{"integrate", "sums up over time, as W to Wh; the sum outlives the program", perHour,
		func(o any) Filter { return &integral{unit: o.(*TimeOptions).seconds(), how: o.(*TimeOptions).Method} }},
	{"derivative", "the change in a time", perHour,
		func(o any) Filter { return &derivative{unit: o.(*TimeOptions).seconds()} }},

	{"clamp", "brings values outside min to max to the nearer bound", anyRange,
		func(o any) Filter { r := o.(*RangeOptions); return &clamp{min: r.Min, max: r.Max} }},
	{"round", "keeps this many decimals", anyCount,
		func(o any) Filter { return &round{digits: o.(*CountOptions).Count} }},
	{"round_to_multiple_of", "the nearest multiple of a number", func() any { return &NumberOptions{positive: true} },
		func(o any) Filter { return &multiple{of: number64(o)} }},

	{"delta", "reports changes of at least this much, or this many percent", func() any { return &DeltaOptions{} },
		func(o any) Filter { d := o.(*DeltaOptions); return &delta{abs: d.Absolute, percent: d.Percent} }},
	{"throttle", "reports at most this often; the newest value follows when the time is over", anyPeriod,
		func(o any) Filter { return &throttle{period: o.(*PeriodOptions).Period} }},
	{"throttle_average", "reports the mean of the readings in each such time", anyPeriod,
		func(o any) Filter { return &throttleAverage{period: o.(*PeriodOptions).Period} }},
	{"debounce", "reports a value that has stayed the same for this long", anyPeriod,
		func(o any) Filter { return &debounce{period: o.(*PeriodOptions).Period} }},
	{"or", "reports what one of the listed filters would report", func() any { return &OrOptions{} },
		func(o any) Filter { return newEither(o.(*OrOptions).Filters) }},
	{"max_interval", repeats, anyPeriod, repeat},
	{"heartbeat", repeats, anyPeriod, repeat}, // another name of it
}

const repeats = "reports a fresh reading at least this often, whatever delta and throttle say"

func repeat(o any) Filter { return &maxInterval{period: o.(*PeriodOptions).Period} }

// Filters returns every built-in filter by name.
func Filters() map[string]FilterSpec {
	all := make(map[string]FilterSpec, len(builtin))
	for _, f := range builtin {
		all[f.name] = spec(f.doc, f.options, f.build)
	}
	return all
}
