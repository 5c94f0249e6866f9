package sensors

import (
	"math"
	"slices"
	"sort"
)

// window keeps the newest numbers and decides when a result leaves: the first
// after first samples, then every every-th.
type window struct {
	smoothing
	size, every, first int
	values             []float64 // oldest first
	until              int       // samples until the next result
	compute            func([]float64) float64
}

func newWindow(o WindowOptions, compute func([]float64) float64) *window {
	return &window{size: o.Size, every: o.SendEvery, first: o.SendFirstAt, until: o.SendFirstAt, compute: compute}
}

func (w *window) Apply(s Sample) (Sample, bool, error) {
	v, err := number(s)
	if err != nil {
		return s, false, err
	}
	if len(w.values) == w.size {
		w.values = append(w.values[:0], w.values[1:]...)
	}
	w.values = append(w.values, v)
	if w.until--; w.until > 0 {
		return s, false, nil
	}
	w.until = w.every
	s.Value = w.compute(w.values)
	return s, true, nil
}

func (w *window) Reset() { w.values, w.until = w.values[:0], w.first }

// median is the middle of the values, or the mean of the two middle ones.
func median(values []float64) float64 {
	sorted := ordered(values)
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return sorted[n/2-1]/2 + sorted[n/2]/2
}

// ordered are the values from the least to the greatest, NaN first. A sort of
// numbers alone would be 6 kB of machine code.
func ordered(values []float64) []float64 {
	all := slices.Clone(values)
	sort.Slice(all, func(i, j int) bool {
		a, b := all[i], all[j]
		return a < b || math.IsNaN(a) && !math.IsNaN(b)
	})
	return all
}

// mean divides first: the sum of values near the end of float64 overflows.
func mean(values []float64) float64 {
	var m float64
	for _, v := range values {
		m += v / float64(len(values))
	}
	return m
}

// quantile is the least value that at least the part q of the values do not
// exceed: the nearest rank, as ESPHome has it.
func quantile(values []float64, q float64) float64 {
	sorted := ordered(values)
	rank := int(math.Ceil(q*float64(len(sorted)) - 1e-9))
	return sorted[max(rank, 1)-1]
}

func least(values []float64) float64 { return quantile(values, 0) }

func greatest(values []float64) float64 { return quantile(values, 1) }

// hampel is the newest value, or the median where it is further from it than
// sigmas standard deviations; 1.4826 times the median distance from the median
// estimates one.
func hampel(values []float64, sigmas float64) float64 {
	middle, newest := median(values), values[len(values)-1]
	away := make([]float64, len(values))
	for i, v := range values {
		away[i] = math.Abs(v - middle)
	}
	if math.Abs(newest-middle) > sigmas*1.4826*median(away) {
		return middle
	}
	return newest
}

// exponential is the moving average alpha*x + (1-alpha)*before.
type exponential struct {
	smoothing
	alpha        float64
	every, until int
	first        int
	value        float64
	begun        bool
}

func (f *exponential) Apply(s Sample) (Sample, bool, error) {
	v, err := number(s)
	if err != nil {
		return s, false, err
	}
	if !f.begun {
		f.value, f.begun = v, true
	} else {
		f.value = f.alpha*v + (1-f.alpha)*f.value
	}
	if f.until--; f.until > 0 {
		return s, false, nil
	}
	f.until = f.every
	s.Value = f.value
	return s, true, nil
}

func (f *exponential) Reset() { f.begun, f.until = false, f.first }
