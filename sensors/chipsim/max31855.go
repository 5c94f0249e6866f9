package chipsim

import (
	"math"
	"sync"
	"time"
)

// Thermocouple is a model of a MAX31855 (Maxim 19-5793 Rev 5, Tables 2 to 5,
// p. 10) or a MAX6675 (19-2235 Rev 2, Table 2, p. 5).
type Thermocouple struct {
	mu       sync.Mutex
	bits     int
	period   time.Duration // of a conversion, at most
	slow     float64
	celsius  float64
	internal float64
	faults   uint32
	word     uint32
	// high is when the chip select was released: a conversion begins.
	high time.Time
}

// The faults of a thermocouple, as a MAX31855 shows them. A MAX6675 knows Open.
const (
	Open          = 1 << 0
	ShortToGround = 1 << 1
	ShortToSupply = 1 << 2
)

// NewMAX31855 makes a chip at 25 °C that has measured.
func NewMAX31855() *Thermocouple {
	return &Thermocouple{bits: 32, period: 100 * time.Millisecond, slow: 1, celsius: 25, internal: 25}
}

// NewMAX6675 makes a chip at 25 °C that has measured.
func NewMAX6675() *Thermocouple {
	return &Thermocouple{bits: 16, period: 220 * time.Millisecond, slow: 1, celsius: 25}
}

// Set makes the hot end and the chip itself so warm, and breaks the wires.
func (c *Thermocouple) Set(celsius, internal float64, faults uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.celsius, c.internal, c.faults = celsius, internal, faults
}

// Slow makes the chip's oscillator slower by a factor.
func (c *Thermocouple) Slow(factor float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slow = factor
}

// BrownOut takes the supply away for a moment: nothing has been measured.
func (c *Thermocouple) BrownOut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.word, c.high = 0, time.Now()
}

// Tx implements Chip. The chip converts while it is not selected; a read ends
// the conversion under way, and the last whole one is what is read.
func (c *Thermocouple) Tx(now time.Time, _, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.high) >= time.Duration(float64(c.period)*c.slow) {
		c.word = c.measure()
	}
	c.high = now
	if c.bits == 16 {
		c.word ^= 1 // D0 floats
	}
	for i := range r {
		r[i] = byte(c.word >> (c.bits - 8 - 8*i))
	}
	return nil
}

func (c *Thermocouple) measure() uint32 {
	if c.bits == 16 {
		n := uint32(clamp(c.celsius*4, 0, 4095))
		return n<<3 | c.faults&Open<<2
	}
	word := uint32(int32(math.Round(c.celsius*4)))<<18 | uint32(int32(math.Round(c.internal*16))&0xFFF)<<4 | c.faults
	if c.faults != 0 {
		word |= 1 << 16
	}
	return word
}
