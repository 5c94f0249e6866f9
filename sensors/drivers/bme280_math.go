package drivers

import (
	"errors"
	"math"
)

// bme280Words are the trimming words of a BMP280 or BME280, named as in
// BST-BME280-DS002 1.6, Table 16, p. 24.
type bme280Words struct {
	t1     uint16
	t2, t3 int16

	p1                             uint16
	p2, p3, p4, p5, p6, p7, p8, p9 int16

	h1     uint8
	h2     int16
	h3     uint8
	h4, h5 int16
	h6     int8
}

// parseBME280Words reads the words out of registers 0x88..0xA1 and 0xE1..0xE7.
// hum is nil for a BMP280.
func parseBME280Words(tp, hum []byte) (w bme280Words, err error) {
	u := func(i int) uint16 { return uint16(tp[i]) | uint16(tp[i+1])<<8 }
	s := func(i int) int16 { return int16(u(i)) }
	w.t1, w.t2, w.t3 = u(0), s(2), s(4)
	w.p1 = u(6)
	w.p2, w.p3, w.p4, w.p5 = s(8), s(10), s(12), s(14)
	w.p6, w.p7, w.p8, w.p9 = s(16), s(18), s(20), s(22)
	if w.t1 == 0 || w.p1 == 0 || w.t1 == math.MaxUint16 {
		return w, errors.New("trimming words are empty")
	}
	if hum == nil {
		return w, nil
	}
	w.h1 = tp[25]
	w.h2 = int16(uint16(hum[0]) | uint16(hum[1])<<8)
	w.h3 = hum[2]
	// Two signed 12-bit words share the nibbles of 0xE5.
	w.h4 = int16(int8(hum[3]))<<4 | int16(hum[4]&0x0F)
	w.h5 = int16(int8(hum[5]))<<4 | int16(hum[4]>>4)
	w.h6 = int8(hum[6])
	return w, nil
}

// temperature returns hundredths of a °C, and t_fine for the other two (4.2.3,
// p. 25).
func (w *bme280Words) temperature(adc int32) (centi, fine int32) {
	v1 := ((adc>>3 - int32(w.t1)<<1) * int32(w.t2)) >> 11
	d := adc>>4 - int32(w.t1)
	v2 := (((d * d) >> 12) * int32(w.t3)) >> 14
	fine = v1 + v2
	return (fine*5 + 128) >> 8, fine
}

// pressure returns 1/256 Pa, 0 when the trimming words make no sense (4.2.3,
// p. 25, the 64-bit form).
func (w *bme280Words) pressure(adc, fine int32) int64 {
	v1 := int64(fine) - 128000
	v2 := v1 * v1 * int64(w.p6)
	v2 += (v1 * int64(w.p5)) << 17
	v2 += int64(w.p4) << 35
	v1 = (v1*v1*int64(w.p3))>>8 + (v1*int64(w.p2))<<12
	v1 = ((int64(1)<<47 + v1) * int64(w.p1)) >> 33
	if v1 == 0 {
		return 0
	}
	p := int64(1048576 - adc)
	p = ((p<<31 - v2) * 3125) / v1
	v1 = (int64(w.p9) * (p >> 13) * (p >> 13)) >> 25
	v2 = (int64(w.p8) * p) >> 19
	return (p+v1+v2)>>8 + int64(w.p7)<<4
}

// humidity returns 1/1024 % of relative humidity, limited to 0..100 % (4.2.3,
// p. 25 and 26).
func (w *bme280Words) humidity(adc, fine int32) int32 {
	x := fine - 76800
	scale := (((((x*int32(w.h6))>>10)*(((x*int32(w.h3))>>11)+32768))>>10)+2097152)*int32(w.h2) + 8192
	v := ((adc<<14 - int32(w.h4)<<20 - int32(w.h5)*x + 16384) >> 15) * (scale >> 14)
	v -= (((v >> 15) * (v >> 15)) >> 7) * int32(w.h1) >> 4
	return min(max(v, 0), 419430400) >> 12
}

// seaLevel reduces a pressure measured at altitude m to sea level, with the
// standard atmosphere (ICAO Doc 7488: 288.15 K, 6.5 K/km).
func seaLevel(hPa, m float64) float64 {
	return hPa / math.Pow(1-m/44330.77, 5.25588)
}
