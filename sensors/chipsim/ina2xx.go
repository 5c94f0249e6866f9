package chipsim

import (
	"math"
	"sync"
	"syscall"
	"time"
)

// INA is a model of an INA219 (TI SBOS448G, 8.5 and 8.6) or INA226 (SBOS547B,
// 6.5 and 7.1).
type INA struct {
	pointer pointer
	mu      sync.Mutex
	ina26   bool
	regs    map[byte]uint16
	bus     float64 // V
	shunt   float64 // V
	slow    float64
	done    time.Time // when the conversion under way is over; zero when none runs
}

// NewINA219 makes a chip that has just been powered, with 5 V and no current.
func NewINA219() *INA { return newINA(false) }

// NewINA226 makes a chip that has just been powered, with 5 V and no current.
func NewINA226() *INA { return newINA(true) }

func newINA(ina226 bool) *INA {
	c := &INA{ina26: ina226, slow: 1, bus: 5}
	c.reset()
	return c
}

// reset writes the power-on values, with which the chip measures all the time.
func (c *INA) reset() {
	c.regs = map[byte]uint16{0: 0x399F, 1: 0, 2: 0, 3: 0, 4: 0, 5: 0}
	if c.ina26 {
		c.regs[0], c.regs[6], c.regs[7], c.regs[0xFE], c.regs[0xFF] = 0x4127, 0, 0, 0x5449, 0x2260
	}
	c.done = time.Time{}
}

// Set applies a voltage to the bus and to the shunt.
func (c *INA) Set(bus, shunt float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bus, c.shunt = bus, shunt
}

// Register returns what a register holds.
func (c *INA) Register(reg byte) uint16 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.regs[reg]
}

// Slow makes the chip's oscillator slower by a factor.
func (c *INA) Slow(factor float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slow = factor
}

// BrownOut takes the supply away for a moment.
func (c *INA) BrownOut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reset()
}

// Tx implements Chip.
func (c *INA) Tx(now time.Time, w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	w = c.pointer.with(w)
	if _, ok := c.regs[w[0]]; !ok {
		return syscall.ENXIO
	}
	c.advance(now)
	if len(w) == 3 {
		c.write(now, w[0], uint16(w[1])<<8|uint16(w[2]))
	}
	v := c.regs[w[0]]
	for i := range r {
		r[i] = byte(v >> (8 * (1 - i%2)))
	}
	switch {
	case len(r) == 0:
	case c.ina26 && w[0] == 6:
		c.regs[6] &^= 1 << 3 // CVRF
	case !c.ina26 && w[0] == 3:
		c.regs[2] &^= 1 << 1 // CNVR
	}
	return nil
}

func (c *INA) write(now time.Time, reg byte, v uint16) {
	switch {
	case reg == 0:
		if c.ina26 {
			c.regs[6] &^= 1 << 3
			v = v&0x8FFF | 4<<12
		} else if v&7 != c.regs[0]&7 {
			c.regs[2] &^= 1 << 1 // a new mode clears CNVR (8.6.3.2)
		}
		c.regs[0], c.done = v, time.Time{}
		if v&3 != 0 {
			c.done = now.Add(c.period())
		}
	case reg == 5 && c.ina26:
		c.regs[5] = v & 0x7FFF
	case reg == 5:
		c.regs[5] = v &^ 1
	case reg == 6, reg == 7:
		c.regs[reg] = v
	}
}

// period is the time of both voltages, at most.
func (c *INA) period() time.Duration {
	v := c.regs[0]
	us := 0.0
	if c.ina26 {
		times := [8]float64{154, 224, 365, 646, 1210, 2328, 4572, 9068}
		n := [8]float64{1, 4, 16, 64, 128, 256, 512, 1024}[v>>9&7]
		us = n * (times[v>>6&7] + times[v>>3&7])
	} else {
		for _, adc := range []uint16{v >> 7 & 15, v >> 3 & 15} {
			if adc < 8 {
				us += [4]float64{93, 163, 304, 586}[adc&3]
			} else {
				us += 586 * math.Ldexp(1, int(adc-8))
			}
		}
	}
	return time.Duration(us * c.slow * 1000)
}

func (c *INA) advance(now time.Time) {
	if c.done.IsZero() && c.regs[0]&4 != 0 {
		c.done = now.Add(c.period()) // it was powered or set up just now
	}
	if c.done.IsZero() || now.Before(c.done) {
		return
	}
	c.done = time.Time{}
	if c.regs[0]&4 != 0 {
		c.done = now.Add(c.period())
	}
	c.convert()
}

// convert fills in the results, current and power by the formulas of the data
// sheets: INA219 equations 4 and 5, INA226 equations 3 and 4.
func (c *INA) convert() {
	if c.ina26 {
		shunt := clamp(c.shunt/2.5e-6, -0x8000, 0x7FFF)
		bus := clamp(c.bus/1.25e-3, 0, 0x7FFF)
		current := shunt * int(c.regs[5]) / 2048
		c.regs[1], c.regs[2], c.regs[4] = uint16(shunt), uint16(bus), uint16(current)
		c.regs[3] = uint16(current * bus / 20000)
		c.regs[6] |= 1 << 3
		return
	}
	most := 4000 << (c.regs[0] >> 11 & 3)
	shunt, bus := clamp(c.shunt/10e-6, -most, most), clamp(c.bus/4e-3, 0, 4000<<(c.regs[0]>>13&1))
	current := shunt * int(c.regs[5]) / 4096
	c.regs[1], c.regs[4], c.regs[3] = uint16(shunt), uint16(current), uint16(current*bus/5000)
	c.regs[2] = uint16(bus<<3 | 1<<1)
}

func clamp(v float64, low, high int) int { return min(max(int(math.Round(v)), low), high) }
