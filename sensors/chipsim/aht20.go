package chipsim

import (
	"math"
	"syscall"
	"time"
)

// AHT20 is a model of Aosong's temperature and humidity sensor (product manual
// A1, 5.3 to 6.2).
type AHT20 struct {
	climate
	// Later is a chip of later years: it comes up calibrated, and does not
	// acknowledge the command to be.
	Later            bool
	calibrated, busy bool
	done             time.Time
	data             [5]byte
}

// NewAHT20 makes a chip that has just been powered, at 20 °C and 50 %.
func NewAHT20() *AHT20 { return &AHT20{climate: climate{celsius: 20, percent: 50, slow: 1}} }

// BrownOut takes the supply away for a moment.
func (c *AHT20) BrownOut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reset()
}

func (c *AHT20) reset() { c.calibrated, c.busy, c.data = c.Later, false, [5]byte{} }

// Tx implements Chip.
func (c *AHT20) Tx(now time.Time, w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy && !now.Before(c.done) {
		c.convert()
	}
	if len(w) > 0 && !c.command(now, w) {
		return syscall.ENXIO
	}
	frame := append([]byte{0x10}, c.data[:]...)
	if c.calibrated {
		frame[0] |= 1 << 3
	}
	if c.busy {
		frame[0] |= 1 << 7
	}
	frame = append(frame, crc(frame))
	for i := range r {
		r[i] = 0xFF
	}
	copy(r, frame)
	return nil
}

func (c *AHT20) command(now time.Time, w []byte) bool {
	switch {
	case w[0] == 0xBA && len(w) == 1:
		c.reset()
	case w[0] == 0xBE && len(w) == 3 && w[1] == 0x08 && !c.Later:
		c.calibrated = true
	case w[0] == 0xAC && len(w) == 3 && w[1] == 0x33:
		c.busy, c.done = true, c.after(now, 75)
	default:
		return w[0] == 0x71 // the status
	}
	return true
}

// convert inverts the formulas of 6.1 and 6.2.
func (c *AHT20) convert() {
	const full = 1 << 20
	h := min(int(math.Round(c.percent/100*full)), full-1)
	t := min(max(int(math.Round((c.celsius+50)/200*full)), 0), full-1)
	c.busy = false
	c.data = [5]byte{byte(h >> 12), byte(h >> 4), byte(h<<4) | byte(t>>16), byte(t >> 8), byte(t)}
}
