package sensors_test

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// filter makes a filter from its text form or from its options.
func filter(t *testing.T, name string, options any) sensors.Filter {
	t.Helper()
	f, err := newFilter(name, options)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return f
}

func newFilter(name string, options any) (sensors.Filter, error) {
	s := sensors.Filters()[name]
	switch o := options.(type) {
	case string:
		options = s.Options()
		if err := options.(encoding.TextUnmarshaler).UnmarshalText([]byte(o)); err != nil {
			return nil, err
		}
	case []sensors.Pair:
		options = &sensors.CalibrateOptions{Pairs: o}
	case nil:
		options = s.Options()
	}
	return s.New(options)
}

// feed passes values through a pipeline, a second apart, and shows what comes
// out: the value, "-" for held back, "!reason" for rejected.
func feed(t *testing.T, p *sensors.Pipeline, values ...any) string {
	t.Helper()
	at := time.Unix(1000, 0)
	var out []string
	for _, v := range values {
		at = at.Add(time.Second)
		s, ok, err := p.Feed(sensors.Sample{Value: v, At: at}, at)
		switch {
		case err != nil:
			out = append(out, "!"+string(sensors.ReasonOf(err)))
		case !ok:
			out = append(out, "-")
		default:
			text := fmt.Sprint(s.Value)
			if f, number := s.Value.(float64); number {
				text = fmt.Sprintf("%.10g", f)
			}
			out = append(out, text)
		}
	}
	return strings.Join(out, " ")
}

func TestFilters(t *testing.T) {
	for _, tc := range []struct {
		name    string
		options any
		in      []any
		want    string
	}{
		{"range", &sensors.RangeOptions{Min: -40, Max: 85}, []any{-40.0, 85.0, 85.1, -41, true}, "-40 85 !out_of_range !out_of_range !parse"},
		{"filter_out", "85", []any{85.0, int64(85), 84.9}, "!out_of_range !out_of_range 84.9"},
		{"skip_initial", "2", []any{1.0, 2.0, 3.0, 4.0}, "- - 3 4"},
		{"rate_limit", "2", []any{10.0, 12.0, 20.0, 20.0, 20.0, 20.0}, "10 12 !rate !rate !rate 20"},
		{"stuck", "3", []any{5.0, 5.0, 5.0, 5.0, 6.0}, "5 5 !stuck !stuck 6"},
		{"stuck", "3", []any{int64(85), 85.0, int64(85), "85", true, true, int64(1 << 60), int64(1<<60 + 1), int64(1<<60 + 2)},
			"85 85 !stuck 85 true true 1152921504606846976 1152921504606846977 1152921504606846978"},
		{"monotonic", &sensors.StepOptions{MaxStep: 5}, []any{10.0, 12.0, 11.0, 18.0, 17.0}, "10 12 !out_of_range !rate 17"},
		{"monotonic", &sensors.StepOptions{}, []any{-5.0, -5.0, 6.0, 6.0, 1e9, 0.0, 1e9}, "-5 -5 6 6 1000000000 !out_of_range 1000000000"},
		{"sentinel", "85", []any{85.0, 20.0, 85.0, 82.0, 85.0, int64(0)}, "!out_of_range 20 !out_of_range 82 85 0"},
		{"offset", "-0.5", []any{1.0, int64(2)}, "0.5 1.5"},
		{"multiply", "10", []any{1.5}, "15"},
		{"multiply", "1e308", []any{1e10}, "!out_of_range"},
		{"calibrate_linear", []sensors.Pair{{0, 0.4}, {25, 25.1}}, []any{0.0, 25.0, 12.5, 50.0}, "0.4 25.1 12.75 49.8"},
		{"calibrate_linear", []sensors.Pair{{1, 3}}, []any{0.0, 5.0}, "2 7"},
		{"median", &sensors.WindowOptions{Size: 3, SendEvery: 1, SendFirstAt: 1}, []any{1.0, 9.0, 2.0, 3.0, 100.0}, "1 5 2 3 3"},
		{"median", &sensors.WindowOptions{Size: 5, SendEvery: 2, SendFirstAt: 3}, []any{1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0}, "- - 2 - 3 - 5"},
		{"sliding_window_moving_average", &sensors.WindowOptions{Size: 2, SendEvery: 1, SendFirstAt: 1}, []any{1.0, 3.0, 5.0}, "1 2 4"},
		{"exponential_moving_average", &sensors.AlphaOptions{Alpha: 0.5, SendEvery: 1, SendFirstAt: 1}, []any{4.0, 8.0, 8.0}, "4 6 7"},
		{"clamp", &sensors.RangeOptions{Min: 0, Max: 100}, []any{-3.0, 50.0, 103.0}, "0 50 100"},
		{"round", "1", []any{1.25, -1.25, int64(7), 1e308}, "1.3 -1.3 7 1e+308"},
		{"delta", "0.1", []any{1.0, 1.05, 1.1, 1.1, 1.21, "x", "x"}, "1 - 1.1 - 1.21 x -"},
		{"delta", "10%", []any{100.0, 105.0, 110.0, 120.0, 121.0}, "100 - 110 - 121"},
		{"delta", "0", []any{1.0, 1.0, 1.001, true, true, false}, "1 - 1.001 true - false"},
		{"throttle", "3s", []any{1.0, 2.0, 3.0, 4.0, 5.0}, "1 - - 4 -"},
		{"max_interval", "2s", []any{1.0, 1.0}, "1 1"},
	} {
		t.Run(fmt.Sprint(tc.name, tc.options), func(t *testing.T) {
			p, err := sensors.NewPipeline(filter(t, tc.name, tc.options))
			if err != nil {
				t.Fatal(err)
			}
			if got := feed(t, p, tc.in...); got != tc.want {
				t.Errorf("%v gave %q, want %q", tc.in, got, tc.want)
			}
			p.Reset()
			if got := feed(t, p, tc.in...); got != tc.want {
				t.Errorf("after Reset %v gave %q, want %q", tc.in, got, tc.want)
			}
		})
	}
}

func TestPipeline(t *testing.T) {
	t.Run("stages are fixed: a dead sensor cannot hide behind an average", func(t *testing.T) {
		smooth := &sensors.WindowOptions{Size: 5, SendEvery: 1, SendFirstAt: 1}
		filters := []sensors.Filter{
			filter(t, "delta", "0.1"), filter(t, "round", "1"), filter(t, "median", smooth),
			filter(t, "offset", "1"), filter(t, "range", &sensors.RangeOptions{Min: 0, Max: 50}),
		}
		p, err := sensors.NewPipeline(filters...)
		if err != nil {
			t.Fatal(err)
		}
		if got := feed(t, p, 20.0, -127.0, 20.04, 85.0, 21.26); got != "21 !out_of_range - !out_of_range -" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("the listed order holds within a stage", func(t *testing.T) {
		p, err := sensors.NewPipeline(filter(t, "offset", "1"), filter(t, "multiply", "10"))
		q, qerr := sensors.NewPipeline(filter(t, "multiply", "10"), filter(t, "offset", "1"))
		if err != nil || qerr != nil {
			t.Fatal(err, qerr)
		}
		if a, b := feed(t, p, 1.0), feed(t, q, 1.0); a != "20" || b != "11" {
			t.Errorf("got %s and %s, want 20 and 11", a, b)
		}
	})
	t.Run("NaN, infinities and strange types are rejected", func(t *testing.T) {
		p, err := sensors.NewPipeline()
		if err != nil {
			t.Fatal(err)
		}
		got := feed(t, p, math.NaN(), math.Inf(1), struct{}{}, nil, float32(0.5), 7, uint64(math.MaxUint64))
		if want := "!out_of_range !out_of_range !parse !parse 0.5 7 18446744073709551615"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
	t.Run("max_interval overrules delta, whatever the order", func(t *testing.T) {
		p, err := sensors.NewPipeline(filter(t, "heartbeat", "3s"), filter(t, "delta", "1"))
		if err != nil {
			t.Fatal(err)
		}
		if got := feed(t, p, 1.0, 1.1, 1.2, 1.3, 1.4); got != "1 - - 1.3 -" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("a throttle gives its newest value when the time is over", func(t *testing.T) {
		p, err := sensors.NewPipeline(filter(t, "throttle", "10s"), filter(t, "delta", "0.5"))
		if err != nil {
			t.Fatal(err)
		}
		if got := feed(t, p, 1.0, 2.0, 3.0); got != "1 - -" {
			t.Errorf("got %q", got)
		}
		due := time.Unix(1011, 0)
		if p.Due() != due {
			t.Errorf("due at %v, want %v", p.Due(), due)
		}
		if s, ok := p.Release(due.Add(-1)); ok {
			t.Errorf("%v came too early", s)
		}
		if s, ok := p.Release(due); !ok || s.Value != 3.0 || s.At != time.Unix(1003, 0) {
			t.Errorf("released %v, %v", s, ok)
		}
		if _, ok := p.Release(due.Add(time.Hour)); ok {
			t.Error("released twice")
		}
	})
	t.Run("a value that went back is not released", func(t *testing.T) {
		p, err := sensors.NewPipeline(filter(t, "throttle", "10s"), filter(t, "delta", "0.5"))
		if err != nil {
			t.Fatal(err)
		}
		feed(t, p, 1.0, 2.0, 1.0)
		if !p.Due().IsZero() {
			t.Error("2 would be published although the value is 1 again")
		}
	})
}

func TestEveryFilterHasDefaultsAndRefusesNonsense(t *testing.T) {
	for name, s := range sensors.Filters() {
		if s.Doc == "" || s.Options() == nil {
			t.Errorf("%s: no doc or options", name)
		}
		if reflect.ValueOf(s.Options()).Pointer() == reflect.ValueOf(s.Options()).Pointer() {
			t.Errorf("%s: options are shared between uses", name)
		}
		if _, err := s.New(struct{}{}); err == nil {
			t.Errorf("%s took options of another type", name)
		}
	}
	for _, tc := range []struct {
		name    string
		options any
		want    string
	}{
		{"range", &sensors.RangeOptions{Min: 2, Max: 1}, "max: 1 is less than min, 2"},
		{"median", &sensors.WindowOptions{Size: 0, SendEvery: 1, SendFirstAt: 1}, "window_size: want 1 to 10000"},
		{"calibrate_linear", []sensors.Pair{}, "wants at least one pair"},
		{"calibrate_linear", []sensors.Pair{{1, 2}, {1, 3}}, "the measured values must differ"},
		{"delta", "-1", "-1 is negative"},
		{"throttle", "10", `"10" is not a duration as 10s, 5m or 1h`},
		{"round_to_multiple_of", "0", "value: want more than 0"},
		{"throttle", "-10s", `"-10s" is not a duration as 10s, 5m or 1h`},
		{"throttle", "366d", `"366d" is not a duration as 10s, 5m or 1h`},
		{"throttle", nil, "period: want more than 0, at most 365d"},
		{"throttle", &sensors.PeriodOptions{Period: 366 * 24 * time.Hour}, "period: want more than 0, at most 365d"},
		{"round", "1.5", `"1.5" is not a whole number from 0 to 1000000`},
		{"offset", "NaN", `"NaN" is not a number`},
		{"exponential_moving_average", &sensors.AlphaOptions{Alpha: 2, SendEvery: 1, SendFirstAt: 1}, "alpha: want more than 0, at most 1"},
	} {
		if _, err := newFilter(tc.name, tc.options); err == nil || err.Error() != tc.want {
			t.Errorf("%s %v: %v, want %s", tc.name, tc.options, err, tc.want)
		}
	}
}

// TestCalibrationIsLeastSquares compares with the normal equations: no other
// line has a smaller sum of squares.
func TestCalibrationIsLeastSquares(t *testing.T) {
	pairs := []sensors.Pair{{0, 0.3}, {10, 10.9}, {20, 20.2}, {30, 31.1}}
	sum := func(slope, offset float64) (s float64) {
		for _, p := range pairs {
			d := slope*p.From + offset - p.To
			s += d * d
		}
		return s
	}
	p, err := sensors.NewPipeline(filter(t, "calibrate_linear", pairs))
	if err != nil {
		t.Fatal(err)
	}
	value := func(x float64) float64 {
		s, _, err := p.Feed(sensors.Sample{Value: x}, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		return s.Value.(float64)
	}
	p.Reset()
	offset := value(0)
	p.Reset()
	slope := value(1) - offset
	best := sum(slope, offset)
	for _, d := range []float64{-0.01, 0.01} {
		if sum(slope+d, offset) < best || sum(slope, offset+d) < best {
			t.Errorf("line %v x + %v is not the best", slope, offset)
		}
	}
}

func TestPairsThatAreNone(t *testing.T) {
	for _, text := range []string{"", "->", "1", "1 - 2", "-> 1", "1 ->", "a -> 1", "1 -> b", "1 -> 2S", "1 -> NaN", "inf -> 1", "1 -> 2 -> 3"} {
		if err := new(sensors.Pair).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

func FuzzPair(f *testing.F) {
	for _, s := range []string{"0.0 -> 0.4", "25->25.1", "-1e3 -> .5", "1 - > 2", "->", "NaN -> 1", "1 -> 2 -> 3", "0x1p-2 -> 1_0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var p sensors.Pair
		if p.UnmarshalText([]byte(s)) != nil {
			return
		}
		if math.IsNaN(p.From) || math.IsNaN(p.To) || math.IsInf(p.From, 0) || math.IsInf(p.To, 0) {
			t.Fatalf("%q gave %v", s, p)
		}
		if !strings.Contains(s, "->") {
			t.Fatalf("%q was accepted", s)
		}
		line, err := newFilter("calibrate_linear", []sensors.Pair{p, {From: p.From + 1, To: p.To}})
		if err != nil {
			return // From + 1 is From for large numbers
		}
		if _, ok, err := line.(sensors.Step).Apply(sensors.Sample{Value: p.From}); ok == (err != nil) {
			t.Fatalf("%q: ok %v, %v", s, ok, err)
		}
	})
}

func FuzzFilterText(f *testing.F) {
	names := []string{}
	for name, s := range sensors.Filters() {
		if _, ok := s.Options().(encoding.TextUnmarshaler); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for i := range names {
		for _, s := range []string{"1", "0.5", "10%", "10s", "1d", "-3", "", "1e400", "%", "106751d"} {
			f.Add(uint(i), s)
		}
	}
	f.Fuzz(func(t *testing.T, i uint, s string) {
		name := names[i%uint(len(names))]
		made, err := newFilter(name, s)
		if err != nil {
			return
		}
		p, err := sensors.NewPipeline(made)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Unix(0, 0)
		for _, v := range []any{1.0, -2.5, 1e300, int64(math.MinInt64), true, "x"} {
			at = at.Add(time.Minute)
			out, ok, err := p.Feed(sensors.Sample{Value: v, At: at}, at)
			if err != nil && sensors.ReasonOf(err) == sensors.IO {
				t.Fatalf("%s %q rejected %v without a reason: %v", name, s, v, err)
			}
			if x, number := out.Value.(float64); ok && number && (math.IsNaN(x) || math.IsInf(x, 0)) {
				t.Fatalf("%s %q made %v of %v", name, s, x, v)
			}
		}
	})
}
