package chipsim

// Calibration is the trimming block of a BMP280 or BME280, named as the data
// sheet names it (BST-BME280-DS002 1.6, Table 16, p. 24).
type Calibration struct {
	T1     uint16
	T2, T3 int16

	P1                             uint16
	P2, P3, P4, P5, P6, P7, P8, P9 int16

	H1     uint8
	H2     int16
	H3     uint8
	H4, H5 int16 // 12 bits, signed
	H6     int8
}

// Typical is a calibration whose temperature and pressure words are the data
// sheet's own example (BST-BMP280-DS001, 3.12) and whose humidity words are
// those of an ordinary BME280.
func Typical() Calibration {
	return Calibration{
		T1: 27504, T2: 26435, T3: -1000,
		P1: 36477, P2: -10685, P3: 3024, P4: 2855, P5: 140, P6: -7, P7: 15500, P8: -14600, P9: 6000,
		H1: 75, H2: 365, H3: 0, H4: 313, H5: 50, H6: 30,
	}
}

// fine is the data sheet's t_fine as a real number (Appendix A 8.1, p. 49).
func (c *Calibration) fine(adc float64) float64 {
	v1 := (adc/16384 - float64(c.T1)/1024) * float64(c.T2)
	d := adc/131072 - float64(c.T1)/8192
	return v1 + d*d*float64(c.T3)
}

// celsius is the temperature of a reading in °C.
func (c *Calibration) celsius(adc float64) float64 { return c.fine(adc) / 5120 }

// pascal is the pressure of a reading in Pa (Appendix A 8.1, p. 49).
func (c *Calibration) pascal(adc, fine float64) float64 {
	v1 := fine/2 - 64000
	v2 := v1 * v1 * float64(c.P6) / 32768
	v2 += v1 * float64(c.P5) * 2
	v2 = v2/4 + float64(c.P4)*65536
	v1 = (float64(c.P3)*v1*v1/524288 + float64(c.P2)*v1) / 524288
	v1 = (1 + v1/32768) * float64(c.P1)
	p := 1048576 - adc
	p = (p - v2/4096) * 6250 / v1
	v1 = float64(c.P9) * p * p / 2147483648
	v2 = p * float64(c.P8) / 32768
	return p + (v1+v2+float64(c.P7))/16
}

// percent is the relative humidity of a reading, not limited to 0..100
// (Appendix A 8.1, p. 49).
func (c *Calibration) percent(adc, fine float64) float64 {
	h := fine - 76800
	h = (adc - (float64(c.H4)*64 + float64(c.H5)/16384*h)) *
		(float64(c.H2) / 65536 * (1 + float64(c.H6)/67108864*h*(1+float64(c.H3)/67108864*h)))
	return h * (1 - float64(c.H1)*h/524288)
}

// invert finds the count below limit at which f comes nearest to want, by
// bisection; rising says how f runs.
func invert(limit int, rising bool, want float64, f func(adc float64) float64) int {
	lo, hi := 0, limit-1
	for lo < hi {
		mid := (lo + hi) / 2
		if below := f(float64(mid)) < want; below == rising {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo > 0 && abs(f(float64(lo-1))-want) < abs(f(float64(lo))-want) {
		lo--
	}
	return lo
}

func abs(x float64) float64 {
	if x < 0 {
		return -x
	}
	return x
}

// registers writes the words to where the chip shows them (Table 16, p. 24).
func (c *Calibration) registers(regs *[256]byte) {
	words := []uint16{
		c.T1, uint16(c.T2), uint16(c.T3),
		c.P1, uint16(c.P2), uint16(c.P3), uint16(c.P4), uint16(c.P5),
		uint16(c.P6), uint16(c.P7), uint16(c.P8), uint16(c.P9),
	}
	for i, w := range words {
		regs[0x88+2*i], regs[0x89+2*i] = byte(w), byte(w>>8)
	}
	regs[0xA1] = c.H1
	regs[0xE1], regs[0xE2] = byte(c.H2), byte(uint16(c.H2)>>8)
	regs[0xE3] = c.H3
	regs[0xE4] = byte(c.H4 >> 4)
	regs[0xE5] = byte(c.H4&0x0F) | byte(c.H5&0x0F)<<4
	regs[0xE6] = byte(c.H5 >> 4)
	regs[0xE7] = byte(c.H6)
}
