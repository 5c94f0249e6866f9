package chipsim

import (
	"math"
	"syscall"
	"time"
)

// SCD4x is a model of Sensirion's CO2 sensors SCD40 and SCD41 (SCD4x data
// sheet, version 1.7).
type SCD4x struct {
	climate
	ppm float64
	// The settings in working memory.
	offset, altitude, pressure uint16

	measuring bool
	next      time.Time // when the measurement under way is over
	fresh     []byte    // one that was not read
	busy      time.Time // until then nothing is acknowledged
}

// NewSCD4x makes a chip that has just been powered, at 600 ppm, 20 °C, 50 %.
func NewSCD4x() *SCD4x {
	c := &SCD4x{climate: climate{celsius: 20, percent: 50, slow: 1}, ppm: 600}
	c.reset()
	return c
}

// SetCO2 puts the chip into air with so many ppm of CO2, at t °C and h %.
func (c *SCD4x) SetCO2(ppm, t, h float64) {
	c.Set(t, h)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ppm = ppm
}

// Settings returns the altitude in m and the pressure in hPa that the chip
// works with, and its temperature offset in °C.
func (c *SCD4x) Settings() (altitude, pressure int, offset float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int(c.altitude), int(c.pressure), float64(c.offset) * 175 / 65535
}

// BrownOut takes the supply away for a moment: the chip is idle, with the
// settings of its EEPROM.
func (c *SCD4x) BrownOut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reset()
}

func (c *SCD4x) reset() {
	c.measuring, c.fresh, c.out = false, nil, answer{}
	c.offset, c.altitude, c.pressure = 1498, 0, 0 // 4 °C
}

// Tx implements Chip.
func (c *SCD4x) Tx(now time.Time, w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance(now)
	if now.Before(c.busy) {
		return syscall.ENXIO
	}
	if len(w) > 0 && (len(w) < 2 || !c.command(now, uint16(w[0])<<8|uint16(w[1]), w[2:])) {
		return syscall.ENXIO
	}
	if len(r) == 0 {
		return nil
	}
	return c.out.read(now, r)
}

// advance measures every 5 s (3.6.1).
func (c *SCD4x) advance(now time.Time) {
	for c.measuring && !now.Before(c.next) {
		c.next = c.next.Add(time.Duration(5 * c.slow * float64(time.Second)))
		c.fresh = words(
			uint16(math.Round(c.ppm)),
			count(c.celsius, -45, 175),
			count(c.percent, 0, 100))
	}
}

// command carries out one of Table 9.
func (c *SCD4x) command(now time.Time, cmd uint16, arg []byte) bool {
	after := now.Add(time.Millisecond)
	switch cmd {
	case 0xEC05:
		c.out, c.fresh = answer{c.fresh, after}, nil
		return true
	case 0xE4B8:
		status := uint16(0x8000)
		if c.fresh != nil {
			status |= 6
		}
		c.out = answer{words(status), after}
		return true
	case 0x3F86:
		c.measuring, c.fresh, c.busy = false, nil, now.Add(500*time.Millisecond)
		return true
	case 0xE000:
		return set(&c.pressure, arg)
	}
	if c.measuring {
		return false // all others only while idle (3.5)
	}
	switch cmd {
	case 0x21B1:
		c.measuring, c.next = true, c.after(now, 5000)
	case 0x3682:
		c.out = answer{words(0xF896, 0x9F07, 0x3BBE), after}
	case 0x241D:
		return set(&c.offset, arg)
	case 0x2427:
		return set(&c.altitude, arg)
	default:
		return false
	}
	return true
}

func set(to *uint16, arg []byte) bool {
	v, ok := argument(arg)
	if ok {
		*to = v
	}
	return ok
}
