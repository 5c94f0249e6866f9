package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// gauge is one value of a device: what the device said, and what a subscriber
// has of it.
//
// The number n that a device says under a gauge is n*gauges + id, so that each
// value tells whose it is and when it was said. Simulated values are known by
// their bounds instead, which no two of them share.
type gauge struct {
	id       int     // 0: not numbered
	min, max float64 // bounds of one that is not numbered; both 0: any value

	said []time.Time // when the device said number n
	last int         // the newest number that came
	read time.Time   // when what stands was read; zero: nothing stands
}

// gauges is more than there are numbered ones.
const gauges = 8

// say returns what the device says now.
func (g *gauge) say(now time.Time) int {
	g.said = append(g.said, now)
	return (len(g.said)-1)*gauges + g.id
}

// take checks a value that a subscriber got. captured is when the server says
// that it was read.
func (g *gauge) take(value string, captured time.Time) error {
	if g.read = captured; value == "" { // withdrawn
		g.read = time.Time{}
		return nil
	}
	if captured.IsZero() {
		return errors.New("nothing says when it was read")
	}
	if g.id == 0 && g.min == g.max {
		return nil
	}
	v, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return err
	}
	if g.id == 0 {
		if v < g.min || v > g.max {
			return fmt.Errorf("%s is not between %v and %v", value, g.min, g.max)
		}
		return nil
	}
	n := int(v) / gauges
	if n >= len(g.said) || v != float64(n*gauges+g.id) {
		return fmt.Errorf("%s is nothing that it said", value)
	}
	if n < g.last {
		return fmt.Errorf("number %d after number %d", n, g.last)
	}
	g.last, g.read = n, g.said[n]
	return nil
}

// judge reports a value that is older than it may be beside online. It does so
// once.
func (g *gauge) judge(now time.Time, most time.Duration) error {
	age := now.Sub(g.read)
	if g.read.IsZero() || age <= most {
		return nil
	}
	g.read = time.Time{}
	return fmt.Errorf("online beside a value that is %v old", age.Round(time.Millisecond))
}
