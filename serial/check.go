package serial

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// Check is a checksum that frames carry: a CRC in the terms of the Rocksoft
// model, or a sum. The zero value is none.
type Check struct {
	bits int // of the result, a multiple of 8
	kind checkKind
	// Of a CRC: the polynomial, what the register starts with, what the result
	// is XORed with, and whether bits go in and come out lowest first. A sum
	// uses flip alone.
	poly, start, flip uint32
	lowFirst          bool
}

type checkKind uint8

const (
	isCRC checkKind = iota
	isSum
	isXOR
	isNegSum // what makes the sum of all bytes zero
)

// checks are the checksums by name, as the catalog of parametrized CRC
// algorithms calls them, with the result for "123456789" behind.
var checks = [...]struct {
	name string
	Check
}{
	{"none", Check{}},
	{"crc8", Check{bits: 8, poly: 0x07}},                                                             // f4, SMBus
	{"crc8_maxim", Check{bits: 8, poly: 0x31, lowFirst: true}},                                       // a1, 1-Wire
	{"crc8_nrsc5", Check{bits: 8, poly: 0x31, start: 0xff}},                                          // f7, Sensirion
	{"crc16_ccitt_false", Check{bits: 16, poly: 0x1021, start: 0xffff}},                              // 29b1
	{"crc16_xmodem", Check{bits: 16, poly: 0x1021}},                                                  // 31c3
	{"crc16_kermit", Check{bits: 16, poly: 0x1021, lowFirst: true}},                                  // 2189
	{"crc16_x25", Check{bits: 16, poly: 0x1021, start: 0xffff, flip: 0xffff, lowFirst: true}},        // 906e
	{"crc16_modbus", Check{bits: 16, poly: 0x8005, start: 0xffff, lowFirst: true}},                   // 4b37
	{"crc16_arc", Check{bits: 16, poly: 0x8005, lowFirst: true}},                                     // bb3d
	{"crc32", Check{bits: 32, poly: 0x04c11db7, start: 1<<32 - 1, flip: 1<<32 - 1, lowFirst: true}},  // cbf43926, Ethernet
	{"crc32c", Check{bits: 32, poly: 0x1edc6f41, start: 1<<32 - 1, flip: 1<<32 - 1, lowFirst: true}}, // e3069283, Castagnoli
	{"crc32_mpeg2", Check{bits: 32, poly: 0x04c11db7, start: 1<<32 - 1}},                             // 0376e6e7, STM32
	{"sum8", Check{bits: 8, kind: isSum}},                                                            // dd
	{"sum16", Check{bits: 16, kind: isSum}},                                                          // 01dd
	{"neg_sum8", Check{bits: 8, kind: isNegSum}},                                                     // 23
	{"xor8", Check{bits: 8, kind: isXOR}},                                                            // 31
}

// CheckNamed returns the checksum with this name: crc8, crc8_maxim, crc8_nrsc5,
// crc16_ccitt_false, crc16_xmodem, crc16_kermit, crc16_x25, crc16_modbus,
// crc16_arc, crc32, crc32c, crc32_mpeg2, sum8, sum16, neg_sum8, xor8 or none.
func CheckNamed(name string) (c Check, ok bool) {
	for i := range checks {
		if checks[i].name == name {
			return checks[i].Check, true
		}
	}
	return Check{}, false
}

// Size returns how many bytes the checksum has in a frame, 0 for none.
func (c *Check) Size() int { return c.bits / 8 }

// Sum returns the checksum of data.
func (c *Check) Sum(data []byte) uint32 {
	r, top := c.start, c.bits
	if top == 0 {
		return 0
	}
	for _, b := range data {
		switch c.kind {
		case isXOR:
			r ^= uint32(b)
		case isSum, isNegSum:
			r += uint32(b)
		default:
			if c.lowFirst {
				b = bits.Reverse8(b)
			}
			r ^= uint32(b) << (top - 8)
			for range 8 {
				out := r>>(top-1)&1 == 1
				if r <<= 1; out {
					r ^= c.poly
				}
			}
		}
	}
	if c.kind == isNegSum {
		r = -r
	}
	r &= 1<<top - 1
	if c.lowFirst {
		r = bits.Reverse32(r) >> (32 - top)
	}
	return r ^ c.flip
}

// bytes is the checksum of b as it stands in a frame.
func (c *Check) bytes(b []byte, bigEndian bool) []byte {
	return ordered(uint64(c.Sum(b)), c.Size(), bigEndian)
}

// ordered is v in n bytes.
func ordered(v uint64, n int, bigEndian bool) []byte {
	b := binary.LittleEndian.AppendUint64(nil, v)[:n]
	if bigEndian {
		slices.Reverse(b)
	}
	return b
}
