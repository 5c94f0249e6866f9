package chipsim

import (
	"math"
	"sync"
	"syscall"
	"time"
)

// ADS1x15 is a model of an ADS1115 (TI SBAS444E, 7.4 and 8.1) or, with 12 bits,
// of an ADS1015 (SBAS473E).
type ADS1x15 struct {
	pointer pointer
	mu      sync.Mutex
	bits    int
	rates   [8]float64
	pins    [4]float64
	slow    float64
	regs    [4]uint16
	// running is the setting of the conversion under way: what is written
	// meanwhile shows in the register and counts for the next.
	running uint16
	done    time.Time // when it is over; zero when none runs
}

// NewADS1115 makes a chip that has just been powered, with 1 V at each pin.
func NewADS1115() *ADS1x15 {
	return newADS(&ADS1x15{bits: 16, rates: [8]float64{8, 16, 32, 64, 128, 250, 475, 860}})
}

// NewADS1015 makes a chip that has just been powered, with 1 V at each pin.
func NewADS1015() *ADS1x15 {
	return newADS(&ADS1x15{bits: 12, rates: [8]float64{128, 250, 490, 920, 1600, 2400, 3300, 3300}})
}

func newADS(c *ADS1x15) *ADS1x15 {
	c.slow, c.pins = 1, [4]float64{1, 1, 1, 1}
	c.reset()
	return c
}

// reset writes the reset values of 8.1: the chip sleeps.
func (c *ADS1x15) reset() {
	c.regs, c.done = [4]uint16{0, 0x8583, 0x8000, 0x7FFF}, time.Time{}
}

// Set puts voltages to the pins.
func (c *ADS1x15) Set(pins [4]float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pins = pins
}

// Slow makes the chip's oscillator slower by a factor.
func (c *ADS1x15) Slow(factor float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slow = factor
}

// BrownOut takes the supply away for a moment.
func (c *ADS1x15) BrownOut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reset()
}

// Tx implements Chip.
func (c *ADS1x15) Tx(now time.Time, w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	w = c.pointer.with(w)
	if w[0] > 3 {
		return syscall.ENXIO
	}
	c.advance(now)
	if len(w) == 3 && w[0] > 0 {
		c.write(now, w[0], uint16(w[1])<<8|uint16(w[2]))
	}
	v := c.regs[w[0]]
	if w[0] == 1 {
		v &^= 1 << 15
		if c.done.IsZero() {
			v |= 1 << 15
		}
	}
	for i := range r {
		r[i] = byte(v >> (8 * (1 - i%2)))
	}
	return nil
}

func (c *ADS1x15) write(now time.Time, reg byte, v uint16) {
	c.regs[reg] = v
	start := v&(1<<15) != 0 || v&(1<<8) == 0 // OS, or continuous mode
	if reg == 1 && start && c.done.IsZero() {
		c.begin(now)
	}
}

func (c *ADS1x15) begin(now time.Time) {
	c.running = c.regs[1]
	seconds := c.slow/c.rates[c.running>>5&7] + 30e-6 // 30 µs to wake
	c.done = now.Add(time.Duration(seconds * 1e9))
}

func (c *ADS1x15) advance(now time.Time) {
	for !c.done.IsZero() && !now.Before(c.done) {
		at := c.done
		c.regs[0], c.done = c.code(), time.Time{}
		if c.regs[1]&(1<<8) == 0 {
			c.begin(at)
		}
	}
}

// code is the voltage of the running setting (7.5.4, two's complement).
func (c *ADS1x15) code() uint16 {
	p := c.pins
	volts := [8]float64{p[0] - p[1], p[0] - p[3], p[1] - p[3], p[2] - p[3], p[0], p[1], p[2], p[3]}[c.running>>12&7]
	full := [8]float64{6.144, 4.096, 2.048, 1.024, 0.512, 0.256, 0.256, 0.256}[c.running>>9&7]
	half := math.Ldexp(1, c.bits-1)
	n := min(max(math.Round(volts/full*half), -half), half-1)
	return uint16(int(n) << (16 - c.bits))
}
