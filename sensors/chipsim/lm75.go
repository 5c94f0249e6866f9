package chipsim

import (
	"math"
	"sync"
	"syscall"
	"time"
)

// thermoRegister is a register of a thermometer: its power-on value, how many
// bytes it has and which bits can be written.
type thermoRegister struct {
	reset    uint16
	bytes    int
	writable uint16
}

// Thermometer is a model of a chip of the LM75 family: a pointer register, the
// temperature and limits behind it.
type Thermometer struct {
	pointer     pointer
	mu          sync.Mutex
	registers   map[byte]thermoRegister
	temperature byte
	// encode inverts the chip's coding at the resolution in force.
	encode func(c *Thermometer, celsius float64) uint16
	period func(c *Thermometer) float64 // of a conversion, in ms

	regs    map[byte]uint16
	celsius float64
	slow    float64
	next    time.Time // when the conversion under way is over
}

func newThermometer(c *Thermometer) *Thermometer {
	c.slow, c.celsius = 1, 20
	c.reset()
	return c
}

// limits are the registers that LM75, TMP102 and TMP105 have in common, from
// T_HYST (75 °C) and T_OS (80 °C) on.
func limits(config thermoRegister, writable uint16) map[byte]thermoRegister {
	return map[byte]thermoRegister{
		0: {0, 2, 0}, 1: config,
		2: {0x4B00, 2, writable}, 3: {0x5000, 2, writable},
	}
}

// steps codes a temperature left-justified in two's complement with so many
// bits.
func steps(celsius float64, n int) uint16 {
	unit := math.Ldexp(1, 8-n) // 9 bits: 0.5 °C
	v := int(math.Round(celsius / unit))
	v = min(max(v, -1<<(n-1)), 1<<(n-1)-1)
	return uint16(v << (16 - n))
}

// NewLM75 makes an LM75 as National made it: 9 bits, 0.5 °C.
func NewLM75() *Thermometer {
	return newThermometer(&Thermometer{
		registers: limits(thermoRegister{0, 1, 0x1F}, 0xFF80),
		encode:    func(_ *Thermometer, t float64) uint16 { return steps(t, 9) },
		period:    func(*Thermometer) float64 { return 100 },
	})
}

// NewTMP102 makes a TMP102: 12 bits, 0.0625 °C (SBOS397H).
func NewTMP102() *Thermometer {
	return newThermometer(&Thermometer{
		registers: limits(thermoRegister{0x60A0, 2, 0x9FD0}, 0xFFF0),
		encode:    func(_ *Thermometer, t float64) uint16 { return steps(t, 12) },
		period:    func(*Thermometer) float64 { return 26 },
	})
}

// NewTMP105 makes a TMP105, whose configuration says if it has 9 to 12 bits
// (SBOS648C).
func NewTMP105() *Thermometer {
	bits := func(c *Thermometer) int { return 9 + int(c.regs[1]>>5&3) }
	return newThermometer(&Thermometer{
		registers: limits(thermoRegister{0, 1, 0x7F}, 0xFFF0),
		encode:    func(c *Thermometer, t float64) uint16 { return steps(t, bits(c)) },
		period:    func(c *Thermometer) float64 { return 27.5 * math.Ldexp(1, bits(c)-9) },
	})
}

// NewMCP9808 makes an MCP9808: 13 bits with the sign in bit 12, 0.0625 °C, and
// the comparisons with its limits above (DS25095A, 5.1.3).
func NewMCP9808() *Thermometer {
	return newThermometer(&Thermometer{
		registers: map[byte]thermoRegister{
			0: {0, 2, 0}, 1: {0, 2, 0x07FF}, 2: {0, 2, 0x1FFC}, 3: {0, 2, 0x1FFC}, 4: {0, 2, 0x1FFC}, 5: {0, 2, 0},
			6: {0x0054, 2, 0}, 7: {0x0400, 2, 0}, 8: {3, 1, 3},
		},
		temperature: 5,
		encode:      encodeMCP9808,
		period:      func(c *Thermometer) float64 { return 31.25 * math.Ldexp(1, int(c.regs[8]&3)) },
	})
}

func encodeMCP9808(c *Thermometer, t float64) uint16 {
	unit := math.Ldexp(0.5, -int(c.regs[8]&3))
	sixteenths := int(math.Round(t/unit) * unit * 16)
	raw := uint16(sixteenths) & 0x1FFF
	limit := func(reg byte) int { return int(int16(c.regs[reg]<<3)) >> 3 }
	if sixteenths >= limit(4) {
		raw |= 1 << 15
	}
	if sixteenths > limit(2) {
		raw |= 1 << 14
	}
	if sixteenths < limit(3) {
		raw |= 1 << 13
	}
	return raw
}

// Set makes the chip t °C warm; the conversion after the one under way shows
// it.
func (c *Thermometer) Set(t float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.celsius = t
}

// Slow makes the chip's oscillator slower by a factor.
func (c *Thermometer) Slow(factor float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slow = factor
}

// BrownOut takes the supply away for a moment: the temperature reads 0 °C until
// the first conversion is over.
func (c *Thermometer) BrownOut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reset()
}

func (c *Thermometer) reset() {
	c.regs = map[byte]uint16{}
	for n, r := range c.registers {
		c.regs[n] = r.reset
	}
	c.next = time.Time{}
}

// Tx implements Chip.
func (c *Thermometer) Tx(now time.Time, w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	w = c.pointer.with(w)
	c.advance(now)
	reg, ok := c.registers[w[0]]
	if !ok {
		return syscall.ENXIO
	}
	if v := w[1:]; len(v) > 0 {
		word := uint16(v[0])
		if reg.bytes == 2 {
			if len(v) < 2 {
				return nil // a byte short: not taken over
			}
			word = word<<8 | uint16(v[1])
		}
		c.regs[w[0]] = c.regs[w[0]]&^reg.writable | word&reg.writable
	}
	for i := range r { // a chip asked for more repeats its register
		shift := 8 * (reg.bytes - 1 - i%reg.bytes)
		r[i] = byte(c.regs[w[0]] >> shift)
	}
	return nil
}

// advance converts when a conversion is over; all chips convert all the time.
func (c *Thermometer) advance(now time.Time) {
	period := time.Duration(c.period(c) * c.slow * float64(time.Millisecond))
	switch {
	case c.next.IsZero():
		c.next = now.Add(period)
	case !now.Before(c.next):
		c.regs[c.temperature] = c.encode(c, c.celsius)
		c.next = now.Add(period)
	}
}
