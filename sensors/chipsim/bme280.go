package chipsim

import (
	"sync"
	"time"
)

// Registers of the model (BST-BME280-DS002 1.6, Table 18, p. 27).
const (
	regID       = 0xD0
	regReset    = 0xE0
	regCtrlHum  = 0xF2
	regStatus   = 0xF3
	regCtrlMeas = 0xF4
	regConfig   = 0xF5
	regPress    = 0xF7
	regTemp     = 0xFA
	regHum      = 0xFD

	measuring = 1 << 3
	imUpdate  = 1 << 0
)

// startUp is how long the chip copies its trimming words after a reset
// (t_startup, Table 1).
const startUp = 2 * time.Millisecond

// BME280 is a model of Bosch's temperature, pressure and humidity sensor, or
// of a BMP280 when it was made with that chip's id.
type BME280 struct {
	pointer pointer
	mu      sync.Mutex
	id      byte
	cal     Calibration
	regs    [256]byte
	// osrsH is ctrl_hum as it counts: a write takes effect with the next write
	// of ctrl_meas (5.4.3, p. 27).
	osrsH byte
	// The world around the chip, and the converters' counts for it; when raw is
	// set the counts stand by themselves.
	celsius, pascal, percent float64
	adcT, adcP, adcH         int
	raw                      bool
	// done is when the running conversion or, in normal mode, the next one
	// ends; zero when none runs.
	done time.Time
	// ready is when im_update falls.
	ready time.Time
	slow  float64
	stall bool
}

// NewBME280 makes a chip with this trimming that has just been powered. id is
// 0x60 for a BME280, 0x58 for a BMP280. It starts at 20 °C, 1000 hPa, 50 %.
func NewBME280(id byte, cal Calibration) *BME280 {
	c := &BME280{id: id, cal: cal, slow: 1}
	c.reset(time.Time{})
	c.Set(20, 1000, 50)
	return c
}

// Set puts the chip where it is t °C warm at a pressure of p hPa and a
// relative humidity of h %. The next conversion shows it.
func (c *BME280) Set(t, p, h float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.celsius, c.pascal, c.percent, c.raw = t, p*100, h, false
}

// SetRaw gives the converters' counts of the next conversions themselves.
func (c *BME280) SetRaw(adcT, adcP, adcH int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.adcT, c.adcP, c.adcH, c.raw = adcT, adcP, adcH, true
}

// convert finds the counts that stand for the world. Pressure and humidity
// depend on the temperature as it will be read, which tMask makes coarser.
func (c *BME280) convert(tMask int) {
	if c.raw {
		return
	}
	// A model without noise would stay at the count of a skipped measurement.
	beside := func(n, skipped int) int {
		if n == skipped {
			n++
		}
		return n
	}
	c.adcT = beside(invert(1<<20, true, c.celsius, c.cal.celsius), 0x80000)
	fine := c.cal.fine(float64(c.adcT & tMask))
	c.adcP = beside(invert(1<<20, false, c.pascal, func(adc float64) float64 { return c.cal.pascal(adc, fine) }), 0x80000)
	c.adcH = beside(invert(1<<16, true, c.percent, func(adc float64) float64 { return c.cal.percent(adc, fine) }), 0x8000)
}

// Slow makes the chip's oscillator slower by a factor: 1.1 is ten percent.
func (c *BME280) Slow(factor float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slow = factor
}

// Stall makes conversions never end.
func (c *BME280) Stall() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stall = true
}

// BrownOut takes the supply away for a moment: every register is as after
// power-on.
func (c *BME280) BrownOut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reset(time.Now())
}

// Register returns one register as a read of it at this moment would.
func (c *BME280) Register(n byte) byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance(time.Now())
	return c.regs[n]
}

// reset writes the reset states of Table 18, p. 27.
func (c *BME280) reset(now time.Time) {
	c.regs = [256]byte{}
	c.regs[regID] = c.id
	c.cal.registers(&c.regs)
	c.regs[regPress], c.regs[regTemp], c.regs[regHum] = 0x80, 0x80, 0x80
	c.osrsH = 0
	c.done = time.Time{}
	c.ready = now.Add(startUp)
	c.regs[regStatus] = imUpdate
}

// Tx implements Chip: the first byte written sets the register pointer, pairs
// of register and value are written, reads count the pointer up (6.2, p. 32).
func (c *BME280) Tx(now time.Time, w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	w = c.pointer.with(w)
	c.advance(now)
	pointer := w[0]
	if len(r) == 0 {
		for ; len(w) >= 2; w = w[2:] {
			c.write(now, w[0], w[1])
		}
		return nil
	}
	for i := range r {
		r[i] = c.regs[pointer]
		pointer++
	}
	return nil
}

func (c *BME280) write(now time.Time, reg, v byte) {
	switch reg {
	case regReset:
		if v == 0xB6 {
			c.reset(now)
		}
	case regCtrlHum:
		if c.id == 0x60 {
			c.regs[regCtrlHum] = v & 0x07
		}
	case regCtrlMeas:
		c.regs[regCtrlMeas] = v
		c.osrsH = c.regs[regCtrlHum]
		c.start(now)
	case regConfig:
		if c.mode() == 0 { // may be ignored in normal mode (5.4.6, p. 30)
			c.regs[regConfig] = v & 0xFD
		}
	}
}

func (c *BME280) mode() byte { return c.regs[regCtrlMeas] & 3 }

// start begins a conversion unless the mode is sleep.
func (c *BME280) start(now time.Time) {
	c.done = time.Time{}
	c.regs[regStatus] &^= measuring
	if c.mode() != 0 {
		c.done = now.Add(c.conversion())
		c.regs[regStatus] |= measuring
	}
}

// advance lets the chip do what it did until now.
func (c *BME280) advance(now time.Time) {
	if c.regs[regStatus]&imUpdate != 0 && !now.Before(c.ready) {
		c.regs[regStatus] &^= imUpdate
	}
	if c.done.IsZero() || c.stall || now.Before(c.done) {
		return
	}
	c.regs[regStatus] &^= measuring
	c.latch()
	if c.mode() == 3 { // the model's standby time is nil: it converts all the time
		c.done = now.Add(c.conversion())
		return
	}
	c.done = time.Time{}
	c.regs[regCtrlMeas] &^= 3 // forced mode falls back to sleep (3.3.3, p. 13)
}

// conversion is the typical measurement time (Appendix B 9.1, p. 51).
func (c *BME280) conversion() time.Duration {
	ms := 1.0
	ms += 2 * times(c.regs[regCtrlMeas]>>5)
	if n := times(c.regs[regCtrlMeas] >> 2 & 7); n > 0 {
		ms += 2*n + 0.5
	}
	if n := times(c.osrsH); n > 0 {
		ms += 2*n + 0.5
	}
	return time.Duration(ms * c.slow * float64(time.Millisecond))
}

// times is how often an oversampling code samples.
func times(code byte) float64 {
	switch {
	case code == 0:
		return 0
	case code >= 5:
		return 16
	}
	return float64(int(1) << (code - 1))
}

// mask keeps the bits of a 20-bit count that its oversampling resolves: 16 and
// one more a step, all of them with the filter on (3.4.2, p. 16).
func mask(code, config byte) int {
	if config>>2&7 != 0 || code >= 5 {
		return 0xFFFFF
	}
	if code == 0 {
		code = 1
	}
	return 0xFFFFF &^ (1<<(5-code) - 1)
}

// latch moves the counts into the data registers, the skipped ones as 0x80000
// and 0x8000 (Tables 20, 23, 24).
func (c *BME280) latch() {
	t, p, h := 0x80000, 0x80000, 0x8000
	meas, config := c.regs[regCtrlMeas], c.regs[regConfig]
	c.convert(mask(meas>>5, config))
	if code := meas >> 5; code != 0 {
		t = c.adcT & mask(code, config)
	}
	if code := meas >> 2 & 7; code != 0 {
		p = c.adcP & mask(code, config)
	}
	if c.osrsH != 0 {
		h = c.adcH
	}
	c.put20(regPress, p)
	c.put20(regTemp, t)
	if c.id == 0x60 {
		c.regs[regHum], c.regs[regHum+1] = byte(h>>8), byte(h)
	}
}

func (c *BME280) put20(reg int, v int) {
	c.regs[reg], c.regs[reg+1], c.regs[reg+2] = byte(v>>12), byte(v>>4), byte(v<<4)
}
