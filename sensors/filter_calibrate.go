package sensors

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// linear is slope*x + offset: offset, multiply and calibrate_linear.
type linear struct {
	calibrating
	stateless
	slope, offset float64
}

func (f *linear) Apply(s Sample) (Sample, bool, error) {
	v, err := number(s)
	if err != nil {
		return s, false, err
	}
	v = v*f.slope + f.offset
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return s, false, faultf(OutOfRange, "calibrated value is %v", v)
	}
	s.Value = v
	return s, true, nil
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

// fit is the line of least squares through the points, which is the line
// through them when there are two, as ESPHome's calibrate_linear has it. One
// point is an offset.
func fit(pairs []Pair) (slope, offset float64, err error) {
	switch len(pairs) {
	case 0:
		return 0, 0, fmt.Errorf("wants at least one pair")
	case 1:
		return 1, pairs[0].To - pairs[0].From, nil
	}
	n := float64(len(pairs))
	var meanX, meanY float64
	for _, p := range pairs {
		meanX += p.From / n
		meanY += p.To / n
	}
	var xx, xy float64
	for _, p := range pairs {
		dx := p.From - meanX
		xx += dx * dx
		xy += dx * (p.To - meanY)
	}
	slope = xy / xx
	offset = meanY - slope*meanX
	if xx == 0 || math.IsNaN(slope) || math.IsInf(slope, 0) || math.IsNaN(offset) || math.IsInf(offset, 0) {
		return 0, 0, fmt.Errorf("the measured values must differ")
	}
	return slope, offset, nil
}
