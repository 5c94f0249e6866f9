package sensors_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// Each filter races a model that is too simple to be wrong: it has the whole
// history and computes every answer anew.

// history is what a pipeline was given so far, the newest last.
type history struct {
	values []float64
	at     []time.Duration
}

// window is the newest n values.
func (h *history) window(n int) []float64 { return h.values[max(0, len(h.values)-n):] }

// race feeds random values, mostly a random walk with leaps, to a filter and to
// its model, which returns what the filter should: a number, or a word ("-"
// for held back, a reason for rejected).
func race(t *testing.T, name string, options any, model func(h *history) any) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		for seed := range uint64(20) {
			rng := rand.New(rand.NewPCG(seed, 5))
			f := filter(t, name, options).(sensors.Step)
			h := &history{}
			v, at := 10.0, time.Duration(0)
			for range 100 {
				if v += float64(rng.IntN(5) - 2); rng.IntN(10) == 0 {
					v = float64(rng.IntN(100))
				}
				at += time.Duration(1+rng.IntN(3)) * time.Second
				h.values, h.at = append(h.values, v), append(h.at, at)
				s, ok, err := f.Apply(sensors.Sample{Value: v, At: time.Unix(1000, 0).Add(at)})
				var got any = "-"
				switch {
				case err != nil:
					got = string(sensors.ReasonOf(err))
				case ok:
					got = s.Value
				}
				want := model(h)
				g, gn := got.(float64)
				w, wn := want.(float64)
				if gn && wn && math.Abs(g-w) <= 1e-9*(1+math.Abs(w)) {
					continue
				}
				if got != want {
					t.Fatalf("seed %d: after %v got %v, want %v", seed, h.window(8), got, want)
				}
			}
		}
	})
}

// ranked is the k-th least value, k from 1.
func ranked(values []float64, k int) float64 {
	for _, v := range values {
		less, same := 0, 0
		for _, w := range values {
			if w < v {
				less++
			} else if w == v {
				same++
			}
		}
		if less < k && k <= less+same {
			return v
		}
	}
	panic("no such rank")
}

func middle(values []float64) float64 {
	n := len(values)
	return (ranked(values, (n+1)/2) + ranked(values, n/2+1)) / 2
}

func TestFiltersAgreeWithModels(t *testing.T) {
	five := sensors.WindowOptions{Size: 5, SendEvery: 1, SendFirstAt: 1}
	race(t, "min", &five, func(h *history) any { return slices.Min(h.window(5)) })
	race(t, "max", &five, func(h *history) any { return slices.Max(h.window(5)) })
	race(t, "median", &five, func(h *history) any { return middle(h.window(5)) })
	for _, q := range []float64{0, 0.25, 0.9, 1} {
		race(t, "quantile", &sensors.QuantileOptions{Quantile: q, WindowOptions: five}, func(h *history) any {
			w := h.window(5)
			for k := 1; ; k++ {
				if float64(k) >= q*float64(len(w)) {
					return ranked(w, k)
				}
			}
		})
	}
	race(t, "hampel", &sensors.HampelOptions{Sigmas: 3, WindowOptions: sensors.WindowOptions{Size: 7, SendEvery: 1, SendFirstAt: 1}}, func(h *history) any {
		w := h.window(7)
		m := middle(w)
		var away []float64
		for _, v := range w {
			away = append(away, math.Abs(v-m))
		}
		if newest := w[len(w)-1]; math.Abs(newest-m) <= 3*1.4826*middle(away) {
			return newest
		}
		return m
	})
	race(t, "sentinel", &sensors.SentinelOptions{Value: 12, Within: 1}, func(h *history) any {
		n := len(h.values) - 1
		if h.values[n] == 12 && !believed(h.values, 12, 1) {
			return "out_of_range"
		}
		return h.values[n]
	})
	for how, mean := range map[string]func(a, b float64) float64{
		"left": func(a, _ float64) float64 { return a }, "right": func(_, b float64) float64 { return b }, "trapezoid": func(a, b float64) float64 { return (a + b) / 2 },
	} {
		race(t, "integrate", &sensors.TimeOptions{Unit: "min", Method: how}, func(h *history) any {
			sum := 0.0
			for i := 1; i < len(h.values); i++ {
				sum += mean(h.values[i-1], h.values[i]) * (h.at[i] - h.at[i-1]).Minutes()
			}
			return sum
		})
	}
	race(t, "derivative", &sensors.TimeOptions{Unit: "h"}, func(h *history) any {
		n := len(h.values) - 1
		if n == 0 {
			return "-"
		}
		return (h.values[n] - h.values[n-1]) / (h.at[n] - h.at[n-1]).Hours()
	})
	race(t, "round_to_multiple_of", "2.5", func(h *history) any {
		v := h.values[len(h.values)-1]
		best := 0.0
		for k := -10.0; k < 60; k++ { // ties go away from zero
			if d, b := math.Abs(k*2.5-v), math.Abs(best-v); d < b || d == b && math.Abs(k*2.5) > math.Abs(best) {
				best = k * 2.5
			}
		}
		return best
	})
	race(t, "throttle_average", "7s", func(h *history) any {
		var since time.Duration
		var some []float64
		var out any = h.values[0]
		since = h.at[0]
		for i := 1; i < len(h.values); i++ {
			some, out = append(some, h.values[i]), "-"
			if h.at[i]-since < 7*time.Second {
				continue
			}
			sum := 0.0
			for _, v := range some {
				sum += v
			}
			out, since, some = sum/float64(len(some)), h.at[i], nil
		}
		return out
	})
	race(t, "loop_4_20ma", &sensors.LoopOptions{Shunt: 500, Min: -10, Max: 30, WireBreak: 3.6, Short: 21}, func(h *history) any {
		switch ma := h.values[len(h.values)-1] * 2; {
		case ma < 3.6:
			return "wire_break"
		case ma > 21:
			return "short_circuit"
		default:
			return -10 + (ma-4)*40/16
		}
	})
}

// believed says whether the newest of values, which is the sentinel, came
// within reach of the last one that was believed.
func believed(values []float64, sentinel, within float64) bool {
	last, any := 0.0, false
	for i, v := range values {
		ok := v != sentinel || any && math.Abs(v-last) <= within
		if i == len(values)-1 {
			return ok
		}
		if ok {
			last, any = v, true
		}
	}
	return false
}

func TestPolynomials(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		degree := 1 + rng.IntN(5)
		c := make([]float64, degree+1)
		for i := range c {
			c[i] = rng.Float64()*4 - 2
		}
		shift, scale := rng.Float64()*1000-500, math.Pow(10, float64(rng.IntN(5)-2))
		truth := func(x float64) (v float64) {
			for i := degree; i >= 0; i-- {
				v = v*(x-shift)/scale + c[i]
			}
			return v
		}
		var points []sensors.Pair
		for i := range degree + 1 + rng.IntN(4) {
			x := shift + scale*(float64(i)/4+rng.Float64()/10-1)
			points = append(points, sensors.Pair{From: x, To: truth(x)})
		}
		f := filter(t, "calibrate_polynomial", &sensors.PolynomialOptions{Degree: degree, Points: points}).(sensors.Step)
		for range 5 {
			x := shift + scale*(rng.Float64()*2-1)
			s, _, err := f.Apply(sensors.Sample{Value: x})
			if err != nil {
				t.Fatal(err)
			}
			if got, want := s.Value.(float64), truth(x); math.Abs(got-want) > 1e-5*(1+math.Abs(want)) {
				t.Fatalf("degree %d around %v by %v: %v at %v, want %v", degree, shift, scale, got, x, want)
			}
		}
	}
	for _, bad := range [][]sensors.Pair{{}, {{1, 1}, {1, 2}, {1, 3}}, {{1, 1}, {2, 2}}, {{1, 1}, {2, 2}, {2, 3}}, {{-1e308, 0}, {1e308, 1}, {0, 5e307}, {math.MaxFloat64, 1}}} {
		if _, err := newFilter("calibrate_polynomial", &sensors.PolynomialOptions{Degree: 2, Points: bad}); err == nil && len(bad) != 4 {
			t.Errorf("%v is a parabola", bad)
		}
	}
}

// reports runs a gate over values a second apart, and lets held values out when
// they are due; it returns what was reported at each second.
func reports(t *testing.T, f sensors.Filter, values []float64) (out []any) {
	t.Helper()
	p, err := sensors.NewPipeline(f)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range values {
		now := time.Unix(int64(1000+i), 0)
		var said any = "-"
		if s, ok := p.Release(now); ok {
			said = s.Value
		}
		s, ok, err := p.Feed(sensors.Sample{Value: v, At: now}, now)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			said = s.Value
		}
		out = append(out, said)
	}
	return out
}

func TestGatesAgreeWithModels(t *testing.T) {
	gate := func(name string, options any) sensors.Filter { return filter(t, name, options) }
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 7))
		values := make([]float64, 60)
		for i := range values {
			if values[i] = float64(rng.IntN(3)); i > 0 && rng.IntN(2) == 0 {
				values[i] = values[i-1]
			}
		}
		var want []any
		last, since := values[0], 0
		for i, v := range values {
			said := any("-")
			// It was the same until now, even if it changes now.
			if stable := values[max(i-1, 0)]; i == 0 || stable != last && i-since >= 3 {
				said, last = stable, stable
			}
			if i > 0 && v != values[i-1] {
				since = i
			}
			want = append(want, said)
		}
		if got := reports(t, gate("debounce", "3s"), values); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("debounce of %v:\n%v, want\n%v", values, got, want)
		}
		want = nil
		sent := 0
		for i, v := range values {
			said := any("-")
			if i == 0 || math.Abs(v-last) >= 2 || i-sent >= 7 {
				said, last, sent = v, v, i
			}
			want = append(want, said)
		}
		or := gate("or", &sensors.OrOptions{Filters: []sensors.Filter{gate("delta", "2"), gate("max_interval", "7s")}})
		if got := reports(t, or, values); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("or of %v:\n%v, want\n%v", values, got, want)
		}
	}
}

func TestMap(t *testing.T) {
	var pairs []sensors.Words
	for _, s := range []string{"0 -> closed", "1->open", "ON -> 1", "2 -> 20", "3 -> OFF", "idle -> off peak"} {
		var w sensors.Words
		if err := w.UnmarshalText([]byte(s)); err != nil {
			t.Fatal(err)
		}
		pairs = append(pairs, w)
	}
	p, err := sensors.NewPipeline(filter(t, "map", &sensors.MapOptions{Pairs: pairs}))
	if err != nil {
		t.Fatal(err)
	}
	if got := feed(t, p, int64(0), 1.0, true, 2.0, int64(3), "idle", 4.0, false); got != "closed open 1 20 false off peak 4 false" {
		t.Errorf("got %s", got)
	}
	for _, bad := range []string{"", "0", "-> x", "0 ->"} {
		if (&sensors.Words{}).UnmarshalText([]byte(bad)) == nil {
			t.Errorf("%q is a line of a map", bad)
		}
	}
}

// saved are totals in memory.
type saved map[string]float64

func (s saved) Load(key string) (float64, bool) { v, ok := s[key]; return v, ok }
func (s saved) Save(key string, v float64)      { s[key] = v }

func TestIntegralOutlivesTheProgram(t *testing.T) {
	kept := saved{}
	for life := range 3 {
		f := filter(t, "integrate", &sensors.TimeOptions{Unit: "h", Method: "trapezoid"})
		f.(sensors.Keeper).Keep(kept)
		at := time.Unix(int64(life)*1e6, 0)
		for i := range 3 { // 2 kW for two hours; nothing for the time in between
			s, ok, err := f.(sensors.Step).Apply(sensors.Sample{Value: 2.0, At: at.Add(time.Duration(i) * time.Hour)})
			if want := float64(4*life + 2*i); err != nil || !ok || s.Value != want {
				t.Fatalf("life %d, hour %d: %v, want %v", life, i, s.Value, want)
			}
		}
		f.Reset()
		if s, _, _ := f.(sensors.Step).Apply(sensors.Sample{Value: 2.0, At: at.Add(50 * time.Hour)}); s.Value != float64(4*life+4) {
			t.Errorf("life %d: an outage counted: %v", life, s.Value)
		}
	}
}

// At a reload the new filter is made while the old one still takes readings.
func TestIntegralTakesOverWhatCameLast(t *testing.T) {
	kept, at := saved{}, time.Unix(1e6, 0)
	apply := func(f sensors.Filter, hour int) any {
		s, _, err := f.(sensors.Step).Apply(sensors.Sample{Value: 2.0, At: at.Add(time.Duration(hour) * time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		return s.Value
	}
	before, behind := filter(t, "integrate", &sensors.TimeOptions{Unit: "h", Method: "left"}), filter(t, "integrate", &sensors.TimeOptions{Unit: "h", Method: "left"})
	before.(sensors.Keeper).Keep(kept)
	apply(before, 0)
	behind.(sensors.Keeper).Keep(kept)
	apply(before, 3)
	if v := apply(behind, 4); v != 6.0 {
		t.Errorf("it begins at %v, want 6", v)
	}
}

func TestStrictDevices(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newFakeBroker()
		d := &fakeDriver{read: func(context.Context, int) ([]sensors.Reading, error) {
			return []sensors.Reading{{Entity: "t", Value: 20.0}, {Entity: "h", Err: fault(sensors.OutOfRange)}}, nil
		}}
		lax := &fakeDriver{read: d.read}
		_, stop := run(t, b, sensors.Device{Name: "strict", Driver: d, Strict: true, Interval: time.Second}, sensors.Device{Name: "lax", Driver: lax, Interval: time.Second})
		after(10 * time.Second)
		if b.last("lax/availability") != "online" || b.last("lax/t") != "20" {
			t.Errorf("published %q", b.all())
		}
		if b.last("strict/availability") == "online" || b.last("strict/t") != "" {
			t.Errorf("a reading with a rejected value counts: %q", b.all())
		}
		stop()
	})
}
