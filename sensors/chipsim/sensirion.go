package chipsim

import (
	"math"
	"math/bits"
	"syscall"
	"time"
)

// crc is the checksum x^8 + x^5 + x^4 + 1 from 0xFF on, worked out on the
// reflected polynomial, unlike a driver would.
func crc(p []byte) byte {
	reg := uint8(0xFF)
	for _, b := range p {
		reg ^= bits.Reverse8(b)
		for range 8 {
			low := reg & 1
			reg >>= 1
			reg ^= low * 0x8C
		}
	}
	return bits.Reverse8(reg)
}

// words frames 16-bit words as Sensirion's chips send them.
func words(list ...uint16) []byte {
	var out []byte
	for _, w := range list {
		b := []byte{byte(w >> 8), byte(w)}
		out = append(out, b[0], b[1], crc(b))
	}
	return out
}

// argument is the word after a command; ok is false when its checksum is not
// right, which makes a chip ignore the command.
func argument(w []byte) (word uint16, ok bool) {
	if len(w) != 3 || crc(w[:2]) != w[2] {
		return 0, false
	}
	return uint16(w[0])<<8 | uint16(w[1]), true
}

// count inverts value = offset + span * count / 65535 to the nearest count.
func count(value, offset, span float64) uint16 {
	return uint16(math.Round(min(max((value-offset)/span*65535, 0), 65535)))
}

// answer is what a chip has ready to be read, from when on, and for how many
// reads.
type answer struct {
	bytes []byte
	ready time.Time
}

// read gives the answer once; a chip that is busy or has nothing to say does
// not acknowledge.
func (a *answer) read(now time.Time, r []byte) error {
	if a.bytes == nil || now.Before(a.ready) {
		return syscall.ENXIO
	}
	for i := range r {
		r[i] = 0xFF
	}
	copy(r, a.bytes)
	a.bytes = nil
	return nil
}
