package chipsim

import (
	"math"
	"sync"
	"time"
)

// MCP3x08 is a model of an MCP3008 (Microchip DS21295D, 5.0) or, with 12 bits,
// of an MCP3208 (DS21298E, 5.0), clock by clock. It has no state but what is at
// its pins.
type MCP3x08 struct {
	mu        sync.Mutex
	bits      int
	pins      [8]float64
	reference float64
}

// NewMCP3008 makes a chip with 3.3 V at VREF and 1 V at each pin.
func NewMCP3008() *MCP3x08 { return newMCP(10) }

// NewMCP3208 makes a chip with 3.3 V at VREF and 1 V at each pin.
func NewMCP3208() *MCP3x08 { return newMCP(12) }

func newMCP(bits int) *MCP3x08 {
	return &MCP3x08{bits: bits, reference: 3.3, pins: [8]float64{1, 1, 1, 1, 1, 1, 1, 1}}
}

// Set puts voltages to the pins.
func (c *MCP3x08) Set(pins [8]float64, reference float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pins, c.reference = pins, reference
}

// BrownOut changes nothing: the next conversion is as good as any.
func (c *MCP3x08) BrownOut() {}

// Slow changes nothing: the clock is the master's.
func (c *MCP3x08) Slow(float64) {}

// Tx implements Chip: w is clocked in and r out at the same time.
func (c *MCP3x08) Tx(_ time.Time, w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var asked []int // start bit, SGL/DIFF, D2, D1, D0
	var out []int   // what follows the clock to sample in
	clock := 0      // since D0
	for i := range 8 * len(w) {
		in := int(w[i/8] >> (7 - i%8) & 1)
		bit := 1 // nobody drives the line
		switch {
		case len(asked) == 0 && in == 0: // leading zeros
		case len(asked) < 5:
			asked = append(asked, in)
			if len(asked) == 5 {
				out = c.result(asked)
			}
		default:
			if clock > 0 { // the first one samples
				bit = 0
				if clock <= len(out) {
					bit = out[clock-1]
				}
			}
			clock++
		}
		r[i/8] = r[i/8]&^(1<<(7-i%8)) | byte(bit)<<(7-i%8)
	}
	return nil
}

// result is the null bit, the result from its highest bit, and again from its
// lowest but one.
func (c *MCP3x08) result(asked []int) []int {
	channel := asked[2]<<2 | asked[3]<<1 | asked[4]
	volts := c.pins[channel]
	if asked[1] == 0 {
		volts -= c.pins[channel^1]
	}
	full := math.Ldexp(1, c.bits)
	n := int(min(max(math.Round(volts/c.reference*full), 0), full-1))
	out := []int{0}
	for b := c.bits - 1; b >= 0; b-- {
		out = append(out, n>>b&1)
	}
	for b := 1; b < c.bits; b++ {
		out = append(out, n>>b&1)
	}
	return out
}
