package chipsim

import (
	"sync"
	"syscall"
	"time"
)

// VEML7700 is a model of Vishay's ambient light sensor (data sheet 84286,
// application note 84323).
type VEML7700 struct {
	pointer pointer
	mu      sync.Mutex
	lux     float64
	slow    float64
	regs    [8]uint16
	next    time.Time // when the integration under way is over
}

// NewVEML7700 makes a chip that has just been powered, at 100 lx.
func NewVEML7700() *VEML7700 {
	c := &VEML7700{lux: 100, slow: 1}
	c.reset()
	return c
}

func (c *VEML7700) reset() { c.regs = [8]uint16{0: 1, 7: 0xC481} }

// Set lights the chip.
func (c *VEML7700) Set(lux float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lux = lux
}

// Slow makes the chip's oscillator slower by a factor.
func (c *VEML7700) Slow(factor float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slow = factor
}

// BrownOut takes the supply away for a moment: the chip is shut down.
func (c *VEML7700) BrownOut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reset()
}

// Tx implements Chip.
func (c *VEML7700) Tx(now time.Time, w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	w = c.pointer.with(w)
	if int(w[0]) >= len(c.regs) {
		return syscall.ENXIO
	}
	c.advance(now)
	if reg := w[0]; len(w) == 3 && reg < 4 {
		c.regs[reg] = uint16(w[1]) | uint16(w[2])<<8
		if reg == 0 {
			c.next = now.Add(c.integration())
		}
	}
	for i := range r {
		r[i] = byte(c.regs[w[0]] >> (8 * (i % 2)))
	}
	return nil
}

// milliseconds is the integration time of the configuration.
func (c *VEML7700) milliseconds() float64 {
	return map[uint16]float64{12: 25, 8: 50, 0: 100, 1: 200, 2: 400, 3: 800}[c.regs[0]>>6&15]
}

func (c *VEML7700) integration() time.Duration {
	return time.Duration((2.5 + c.milliseconds()*c.slow) * float64(time.Millisecond))
}

// advance integrates all the time but in shut-down.
func (c *VEML7700) advance(now time.Time) {
	if c.regs[0]&1 != 0 || now.Before(c.next) {
		return
	}
	c.next = now.Add(c.integration())
	gain := [4]float64{1, 2, 0.125, 0.25}[c.regs[0]>>11&3]
	perCount := 0.0042 * (2 / gain) * (800 / c.milliseconds())
	c.regs[4] = uint16(invert(1<<16, true, c.lux, func(n float64) float64 { return bend(n * perCount) }))
}

// bend is the correction of the application note, from what the chip shows to
// what is there.
func bend(x float64) float64 {
	return 6.0135e-13*x*x*x*x - 9.3924e-9*x*x*x + 8.1488e-5*x*x + 1.0023*x
}
