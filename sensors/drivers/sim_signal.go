package drivers

import (
	"hash/fnv"
	"math"
	"time"
)

// at is the signal's value at one moment: a function of time, seed and name
// and of nothing else.
func (e simEntity) at(now time.Time, seed uint64, name string) any {
	slot, phase := e.phase(now)
	noise := func(n int64) float64 { return noiseAt(seed, name, n) }
	span := e.Max - e.Min
	switch e.Signal {
	case "sine":
		return round(e.Min+span*(0.5+0.5*math.Sin(2*math.Pi*phase)), 2)
	case "step": // another level each period
		return round(e.Min+span*noise(slot), 2)
	case "square": // half the period high, half low
		if phase < 0.5 {
			return e.Max
		}
		return e.Min
	case "binary":
		return noise(slot) < 0.5
	}
	// random_walk: from one random level to the next without a corner.
	ease := phase * phase * (3 - 2*phase)
	return round(e.Min+span*(noise(slot)*(1-ease)+noise(slot+1)*ease), 2)
}

// phase counts periods since 1970 and says where in the current one now is,
// from 0 to below 1.
func (e simEntity) phase(now time.Time) (slot int64, phase float64) {
	ns, period := now.UnixNano(), int64(e.Period)
	slot = ns / period
	return slot, float64(ns-slot*period) / float64(period)
}

// noiseAt is a number from 0 to below 1 that looks random.
func noiseAt(seed uint64, name string, n int64) float64 {
	h := fnv.New64a()
	var b [16]byte
	for i := range 8 {
		b[i], b[8+i] = byte(seed>>(8*i)), byte(uint64(n)>>(8*i))
	}
	h.Write(b[:])
	h.Write([]byte(name))
	x := h.Sum64() // FNV mixes its last bytes little: finish as splitmix64 does
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return float64((x^x>>31)>>11) / (1 << 53)
}
