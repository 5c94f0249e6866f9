package sensors

import "math"

// round keeps digits decimals, half away from zero.
type round struct {
	formatting
	stateless
	digits int
}

func (f *round) Apply(s Sample) (Sample, bool, error) {
	v, err := number(s)
	if err != nil {
		return s, false, err
	}
	if _, fraction := s.Value.(float64); !fraction && f.digits >= 0 {
		return s, true, nil
	}
	scale := math.Pow10(f.digits)
	if r := math.Round(v*scale) / scale; !math.IsInf(r, 0) && !math.IsNaN(r) {
		s.Value = r
	}
	return s, true, nil
}

// clamp brings numbers outside [min, max] to the nearer bound.
type clamp struct {
	formatting
	stateless
	min, max float64
}

func (f *clamp) Apply(s Sample) (Sample, bool, error) {
	v, err := number(s)
	if err != nil {
		return s, false, err
	}
	if v < f.min || v > f.max {
		s.Value = min(max(v, f.min), f.max)
	}
	return s, true, nil
}

// multiple brings numbers to the nearest multiple of one, halves away from
// zero.
type multiple struct {
	formatting
	stateless
	of float64
}

func (f *multiple) Apply(s Sample) (Sample, bool, error) {
	v, err := number(s)
	if err != nil {
		return s, false, err
	}
	if r := math.Round(v/f.of) * f.of; !math.IsInf(r, 0) && !math.IsNaN(r) {
		s.Value = r
	}
	return s, true, nil
}
