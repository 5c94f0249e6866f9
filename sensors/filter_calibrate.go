package sensors

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// calibration is a function from raw to real: offset, multiply, and lines and
// curves through points.
type calibration struct {
	calibrating
	stateless
	f func(float64) float64
}

func calibrated(f func(float64) float64) Filter { return &calibration{f: f} }

func (f *calibration) Apply(s Sample) (Sample, bool, error) {
	v, err := number(s)
	if err != nil {
		return s, false, err
	}
	v = f.f(v)
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return s, false, faultf(OutOfRange, "calibrated value is %v", v)
	}
	s.Value = v
	return s, true, nil
}

// loop maps the current of a 4-20 mA loop to min to max. NAMUR NE 43 keeps 3.8
// to 20.5 mA for measurements; below 3.6 and above 21 mA are failures.
type loop struct {
	calibrating
	stateless
	o LoopOptions
}

func (f *loop) Apply(s Sample) (Sample, bool, error) {
	v, err := number(s)
	if err != nil {
		return s, false, err
	}
	if f.o.Shunt != 0 {
		v = v / f.o.Shunt * 1000
	}
	switch {
	case v < f.o.WireBreak:
		return s, false, faultf(WireBreak, "%.4g mA is less than %v mA", v, f.o.WireBreak)
	case v > f.o.Short:
		return s, false, faultf(ShortCircuit, "%.4g mA is more than %v mA", v, f.o.Short)
	}
	s.Value = f.o.Min + (v-4)/16*(f.o.Max-f.o.Min)
	return s, true, nil
}

// mapping replaces values by their names.
type mapping struct {
	calibrating
	stateless
	pairs []Words
}

func (f *mapping) Apply(s Sample) (Sample, bool, error) {
	text := plain(s.Value)
	for _, p := range f.pairs {
		if p.From != text {
			continue
		}
		s.Value = p.To
		if v, err := finite(p.To); err == nil {
			s.Value = v
		} else if p.To == "ON" || p.To == "OFF" {
			s.Value = p.To == "ON"
		}
		break
	}
	return s, true, nil
}

// Words is one line of a map: what is read, and what it is called.
type Words struct{ From, To string }

// UnmarshalText reads "0 -> closed".
func (w *Words) UnmarshalText(text []byte) error {
	from, to, ok := strings.Cut(string(text), "->")
	if w.From, w.To = strings.TrimSpace(from), strings.TrimSpace(to); !ok || w.From == "" || w.To == "" {
		return fmt.Errorf("want \"read -> meant\", as \"0 -> closed\"")
	}
	return nil
}

// Pair is one point of a calibration: the sensor shows From, the truth is To.
type Pair struct{ From, To float64 }

// UnmarshalText reads "0.0 -> 0.4".
func (p *Pair) UnmarshalText(text []byte) error {
	from, to, ok := strings.Cut(string(text), "->")
	if !ok {
		return fmt.Errorf("want \"measured -> true\", as \"0.0 -> 0.4\"")
	}
	var err error
	if p.From, err = finite(from); err != nil {
		return fmt.Errorf("left of \"->\": %w", err)
	}
	if p.To, err = finite(to); err != nil {
		return fmt.Errorf("right of \"->\": %w", err)
	}
	return nil
}

// finite reads a decimal number; NaN and infinities are no numbers here.
func finite(text string) (float64, error) {
	v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%q is not a number", strings.TrimSpace(text))
	}
	return v, nil
}

// maxDegree bounds a calibration: what needs more is no calibration.
const maxDegree = 5

// polynomial is a sum of coefficients times powers of (x-center)/scale, lowest
// power first: centered, high powers stay near 1 and nothing cancels.
type polynomial struct {
	c             [maxDegree + 1]float64
	degree        int
	center, scale float64
}

func (p *polynomial) at(x float64) float64 {
	t := (x - p.center) / p.scale
	v := p.c[p.degree]
	for i := p.degree - 1; i >= 0; i-- {
		v = v*t + p.c[i]
	}
	return v
}

// fit is the polynomial of least squares through the points, which goes through
// them when they are one more than its degree, as ESPHome's calibrations have
// it. One point alone is an offset.
func fit(pairs []Pair, degree int) (*polynomial, error) {
	p := &polynomial{degree: degree, scale: 1}
	if len(pairs) == 0 {
		return nil, fmt.Errorf("wants at least one pair")
	}
	if len(pairs) == 1 {
		p.degree, p.c[0], p.c[1], p.center = 1, pairs[0].To, 1, pairs[0].From
		return p, nil
	}
	low, high := pairs[0].From, pairs[0].From
	for _, q := range pairs {
		low, high = min(low, q.From), max(high, q.From)
	}
	p.center, p.scale = low/2+high/2, high/2-low/2
	if !(p.scale > 0) || math.IsInf(p.scale, 0) {
		return nil, fmt.Errorf("the measured values must differ")
	}
	// The normal equations: m c = m[n], solved by elimination.
	var m [maxDegree + 1][maxDegree + 2]float64
	n := degree + 1
	for _, q := range pairs {
		var powers [maxDegree + 1]float64
		powers[0] = 1
		for i := 1; i < n; i++ {
			powers[i] = powers[i-1] * (q.From - p.center) / p.scale
		}
		for i := range n {
			for j := range n {
				m[i][j] += powers[i] * powers[j]
			}
			m[i][n] += powers[i] * q.To
		}
	}
	if !eliminate(&m, n) {
		return nil, fmt.Errorf("a polynomial of degree %d needs %d measured values that differ", degree, n)
	}
	for i := range n {
		if p.c[i] = m[i][n] / m[i][i]; math.IsNaN(p.c[i]) || math.IsInf(p.c[i], 0) {
			return nil, fmt.Errorf("the measured values must differ")
		}
	}
	return p, nil
}

// eliminate brings the first n columns of m to a diagonal; false: there is no
// single solution.
func eliminate(m *[maxDegree + 1][maxDegree + 2]float64, n int) bool {
	for i := range n {
		best := i
		for j := i; j < n; j++ {
			if math.Abs(m[j][i]) > math.Abs(m[best][i]) {
				best = j
			}
		}
		m[i], m[best] = m[best], m[i]
		if math.Abs(m[i][i]) < 1e-12 {
			return false
		}
		for j := range n {
			if f := m[j][i] / m[i][i]; j != i {
				for k := range n + 1 {
					m[j][k] -= f * m[i][k]
				}
			}
		}
	}
	return true
}
