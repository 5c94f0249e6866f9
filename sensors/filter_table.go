package sensors

import (
	"fmt"
	"math"
)

// spec makes a FilterSpec from typed functions. It runs the options' Validate,
// so that New is as strict for a caller without a configuration.
func spec[O any](doc string, defaults O, build func(*O) Filter) FilterSpec {
	return FilterSpec{
		Doc:     doc,
		Options: func() any { o := defaults; return &o },
		New: func(options any) (Filter, error) {
			o, ok := options.(*O)
			if !ok {
				return nil, fmt.Errorf("options are %T, want %T", options, o)
			}
			var err error
			if v, ok := options.(interface{ Validate(func(string, string)) }); ok {
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
		},
	}
}

// Filters returns every built-in filter by name. heartbeat is another name of
// max_interval.
func Filters() map[string]FilterSpec {
	everything := RangeOptions{Min: math.Inf(-1), Max: math.Inf(1)}
	repeat := spec("reports a fresh reading at least this often, whatever delta and throttle say", PeriodOptions{},
		func(o *PeriodOptions) Filter { return &maxInterval{period: o.Period} })
	return map[string]FilterSpec{
		"range": spec("rejects readings outside min to max", everything,
			func(o *RangeOptions) Filter { return &rangeFilter{min: o.Min, max: o.Max} }),
		"filter_out": spec("rejects listed values", FilterOutOptions{},
			func(o *FilterOutOptions) Filter { return &filterOut{values: o.Values} }),
		"skip_initial": spec("holds back the first readings after a start", CountOptions{},
			func(o *CountOptions) Filter { return &skipInitial{count: o.Count} }),
		"rate_limit": spec("rejects changes faster than this much per second", NumberOptions{},
			func(o *NumberOptions) Filter { return &rateLimit{perSecond: math.Abs(o.Value)} }),
		"stuck": spec("rejects the same raw value this many times in a row", CountOptions{},
			func(o *CountOptions) Filter { return &stuck{count: max(o.Count, 2)} }),
		"monotonic": spec("rejects a counter that goes back or leaps", StepOptions{},
			func(o *StepOptions) Filter { return &monotonic{step: o.MaxStep} }),
		"offset": spec("adds a number", NumberOptions{},
			func(o *NumberOptions) Filter { return &linear{slope: 1, offset: o.Value} }),
		"multiply": spec("multiplies by a number", NumberOptions{Value: 1},
			func(o *NumberOptions) Filter { return &linear{slope: o.Value} }),
		"calibrate_linear": spec("maps measured to true values along the line through the points", CalibrateOptions{},
			func(o *CalibrateOptions) Filter {
				slope, offset, _ := fit(o.Pairs) // Validate has tried it
				return &linear{slope: slope, offset: offset}
			}),
		"median": spec("the middle of the newest readings", WindowOptions{5, 1, 1},
			func(o *WindowOptions) Filter { return newWindow(*o, median) }),
		"sliding_window_moving_average": spec("the mean of the newest readings", WindowOptions{15, 1, 1},
			func(o *WindowOptions) Filter { return newWindow(*o, mean) }),
		"exponential_moving_average": spec("a mean that forgets", AlphaOptions{0.1, 1, 1},
			func(o *AlphaOptions) Filter {
				return &exponential{alpha: o.Alpha, every: o.SendEvery, first: o.SendFirstAt, until: o.SendFirstAt}
			}),
		"clamp": spec("brings values outside min to max to the nearer bound", everything,
			func(o *RangeOptions) Filter { return &clamp{min: o.Min, max: o.Max} }),
		"round": spec("keeps this many decimals", CountOptions{},
			func(o *CountOptions) Filter { return &round{digits: o.Count} }),
		"delta": spec("reports changes of at least this much, or this many percent", DeltaOptions{},
			func(o *DeltaOptions) Filter { return &delta{abs: o.Absolute, percent: o.Percent} }),
		"throttle": spec("reports at most this often; the newest value follows when the time is over", PeriodOptions{},
			func(o *PeriodOptions) Filter { return &throttle{period: o.Period} }),
		"max_interval": repeat,
		"heartbeat":    repeat,
	}
}
