package chipsim

import (
	"sync"
	"syscall"
	"time"
)

// climate is the world of a temperature and humidity sensor, and its
// oscillator.
type climate struct {
	mu               sync.Mutex
	celsius, percent float64
	slow             float64
	out              answer
}

// Set puts the chip where it is t °C warm at a relative humidity of h %.
func (c *climate) Set(t, h float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.celsius, c.percent = t, h
}

// Slow makes the chip's oscillator slower by a factor: 1.1 is ten percent.
func (c *climate) Slow(factor float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slow = factor
}

func (c *climate) after(now time.Time, ms float64) time.Time {
	return now.Add(time.Duration(ms * c.slow * float64(time.Millisecond)))
}

// SHT3x is a model of Sensirion's SHT30, SHT31 and SHT35 (SHT3x-DIS data
// sheet, December 2022).
type SHT3x struct {
	climate
	wasReset bool // bit 4 of the status, Table 18
}

// NewSHT3x makes a chip that has just been powered, at 20 °C and 50 %.
func NewSHT3x() *SHT3x {
	return &SHT3x{climate: climate{celsius: 20, percent: 50, slow: 1}, wasReset: true}
}

// BrownOut takes the supply away for a moment.
func (c *SHT3x) BrownOut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wasReset, c.out = true, answer{}
}

// Tx implements Chip.
func (c *SHT3x) Tx(now time.Time, w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(w) > 0 {
		if len(w) != 2 || !c.command(now, uint16(w[0])<<8|uint16(w[1])) {
			return syscall.ENXIO
		}
	}
	if len(r) == 0 {
		return nil
	}
	return c.out.read(now, r)
}

func (c *SHT3x) command(now time.Time, cmd uint16) bool {
	ms := 0.0
	switch cmd {
	case 0x2400:
		ms = 12.5 // typical times, Table 4
	case 0x240B:
		ms = 4.5
	case 0x2416:
		ms = 2.5
	case 0xF32D:
		status := uint16(0)
		if c.wasReset {
			status = 0x8010 // Table 18
		}
		c.out = answer{words(status), now}
		return true
	case 0x3041:
		c.wasReset = false
		return true
	case 0x30A2:
		c.wasReset, c.out = true, answer{}
		return true
	default:
		return false
	}
	c.out = answer{words(
		count(c.celsius, -45, 175),
		count(c.percent, 0, 100)), c.after(now, ms)}
	return true
}

// SHT4x is a model of Sensirion's SHT40, SHT41, SHT43 and SHT45 (SHT4x data
// sheet, version 6.6).
type SHT4x struct{ climate }

// NewSHT4x makes a chip that has just been powered, at 20 °C and 50 %.
func NewSHT4x() *SHT4x { return &SHT4x{climate{celsius: 20, percent: 50, slow: 1}} }

// BrownOut takes the supply away for a moment.
func (c *SHT4x) BrownOut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = answer{}
}

// Tx implements Chip.
func (c *SHT4x) Tx(now time.Time, w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(w) > 0 {
		if len(w) != 1 || !c.command(now, w[0]) {
			return syscall.ENXIO
		}
	}
	if len(r) == 0 {
		return nil
	}
	return c.out.read(now, r)
}

func (c *SHT4x) command(now time.Time, cmd byte) bool {
	ms := 0.0
	switch cmd {
	case 0xFD:
		ms = 6.9 // typical times, Table 5
	case 0xF6:
		ms = 3.7
	case 0xE0:
		ms = 1.3
	case 0x89:
		c.out = answer{words(0x1234, 0x5678), now}
		return true
	case 0x94:
		c.out = answer{}
		return true
	default:
		return false
	}
	c.out = answer{words(
		count(c.celsius, -45, 175),
		count(c.percent, -6, 125)), c.after(now, ms)}
	return true
}
