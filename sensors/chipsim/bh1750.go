package chipsim

import (
	"math"
	"sync"
	"syscall"
	"time"
)

// BH1750 is a model of ROHM's illuminance sensor (technical note 2011.11 Rev.
// D, p. 5 and 11).
type BH1750 struct {
	mu     sync.Mutex
	lux    float64
	slow   float64
	on     bool
	mt     byte
	mode   byte
	done   time.Time // zero: no measurement runs
	result uint16
}

// NewBH1750 makes a chip that has just been powered, at 100 lx.
func NewBH1750() *BH1750 { return &BH1750{lux: 100, slow: 1, mt: 69} }

// Set lights the chip.
func (c *BH1750) Set(lux float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lux = lux
}

// Slow makes the chip's oscillator slower by a factor.
func (c *BH1750) Slow(factor float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slow = factor
}

// BrownOut takes the supply away for a moment.
func (c *BH1750) BrownOut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.on, c.mt, c.done, c.result = false, 69, time.Time{}, 0
}

// Tx implements Chip.
func (c *BH1750) Tx(now time.Time, w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance(now)
	for _, op := range w {
		if !c.instruction(now, op) {
			return syscall.ENXIO
		}
	}
	for i := range r {
		r[i] = byte(c.result >> (8 * (1 - i%2)))
	}
	return nil
}

func (c *BH1750) instruction(now time.Time, op byte) bool {
	switch {
	case op == 0x00:
		c.on, c.done = false, time.Time{}
	case op == 0x01:
		c.on = true
	case op == 0x07:
		if c.on { // not accepted in power-down
			c.result = 0
		}
	case op&0xF8 == 0x40:
		c.mt = c.mt&0x1F | op<<5
	case op&0xE0 == 0x60:
		c.mt = c.mt&0xE0 | op&0x1F
	case op == 0x20, op == 0x21, op == 0x23:
		ms := 120.0
		if op == 0x23 {
			ms = 16
		}
		ms *= float64(c.mt) / 69
		c.mode, c.done = op, now.Add(time.Duration(ms*c.slow*float64(time.Millisecond)))
	default:
		return false
	}
	return true
}

// advance ends a one-time measurement, after which the chip powers down.
func (c *BH1750) advance(now time.Time) {
	if c.done.IsZero() || now.Before(c.done) {
		return
	}
	n := c.lux * 1.2 * float64(c.mt) / 69
	switch c.mode {
	case 0x21:
		n *= 2
	case 0x23:
		n = math.Round(n/4) * 4 // steps of 4 lx
	}
	c.result = uint16(min(math.Round(n), 0xFFFF))
	c.on, c.done = false, time.Time{}
}
