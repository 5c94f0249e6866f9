package plain

import "encoding/binary"

const (
	header  = 10 // of gzip, without a name
	trailer = 8  // checksum and size
)

// Bytes returns what a gzip file of one member without a name holds; nil for
// what is none. It panics on a file that is damaged inside.
func Bytes(file []byte) []byte {
	if len(file) < header+trailer || file[0] != 0x1f || file[1] != 0x8b || file[3] != 0 {
		return nil
	}
	size := binary.LittleEndian.Uint32(file[len(file)-4:])
	r := reader{in: file[header : len(file)-trailer], out: make([]byte, 0, size)}
	for last := false; !last; {
		last = r.bits(1) == 1
		switch r.bits(2) {
		case 0:
			r.stored()
		case 1:
			r.compressed(fixed())
		case 2:
			r.compressed(r.codes())
		default:
			panic("plain: no such kind of block")
		}
	}
	return r.out
}

// reader takes bits from in, the lowest of a byte first.
type reader struct {
	in    []byte
	have  uint32 // bits that were read and not taken
	count uint   // how many these are
	out   []byte
}

func (r *reader) bits(n uint) int {
	for r.count < n {
		r.have |= uint32(r.in[0]) << r.count
		r.in, r.count = r.in[1:], r.count+8
	}
	v := r.have & (1<<n - 1)
	r.have, r.count = r.have>>n, r.count-n
	return int(v)
}

// stored copies a block that is not compressed (3.2.4).
func (r *reader) stored() {
	r.have, r.count = 0, 0 // the rest of the byte
	n := int(binary.LittleEndian.Uint16(r.in))
	r.out = append(r.out, r.in[4:4+n]...) // its complement is between them
	r.in = r.in[4+n:]
}

// code is a canonical Huffman code (3.2.2): how many codes there are of each
// length, and the symbols in the order of their codes.
type code struct {
	lengths [16]int
	symbols []int
}

func newCode(lengths []uint8) *code {
	c := new(code)
	for n := uint8(1); n < 16; n++ {
		for symbol, has := range lengths {
			if has == n {
				c.lengths[n]++
				c.symbols = append(c.symbols, symbol)
			}
		}
	}
	return c
}

// next reads one symbol. first is the lowest code of a length, before the
// number of shorter ones.
func (r *reader) next(c *code) int {
	value, first, before := 0, 0, 0
	for n := 1; n < 16; n++ {
		value |= r.bits(1)
		if value-first < c.lengths[n] {
			return c.symbols[before+value-first]
		}
		before += c.lengths[n]
		first = (first + c.lengths[n]) << 1
		value <<= 1
	}
	panic("plain: no such code")
}

// fixed are the codes of 3.2.6.
func fixed() (literals, distances *code) {
	var lengths [288]uint8
	for i := range lengths {
		switch {
		case i < 144, i >= 280:
			lengths[i] = 8
		case i < 256:
			lengths[i] = 9
		default:
			lengths[i] = 7
		}
	}
	var far [30]uint8
	for i := range far {
		far[i] = 5
	}
	return newCode(lengths[:]), newCode(far[:])
}

// codes reads the codes of a block (3.2.7).
func (r *reader) codes() (literals, distances *code) {
	near, far, n := r.bits(5)+257, r.bits(5)+1, r.bits(4)+4
	var order [19]uint8
	for _, i := range []int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}[:n] {
		order[i] = uint8(r.bits(3))
	}
	c := newCode(order[:])
	lengths := make([]uint8, 0, near+far)
	for len(lengths) < near+far {
		length, times := uint8(0), 1
		switch symbol := r.next(c); symbol {
		case 16:
			length, times = lengths[len(lengths)-1], 3+r.bits(2)
		case 17:
			times = 3 + r.bits(3)
		case 18:
			times = 11 + r.bits(7)
		default:
			length = uint8(symbol)
		}
		for range times {
			lengths = append(lengths, length)
		}
	}
	return newCode(lengths[:near]), newCode(lengths[near:])
}

// compressed copies a block of literals and of lengths with distances (3.2.5).
func (r *reader) compressed(literals, distances *code) {
	for {
		symbol := r.next(literals)
		switch {
		case symbol < 256:
			r.out = append(r.out, byte(symbol))
			continue
		case symbol == 256:
			return
		}
		length := 258 // of the last symbol
		if symbol < 285 {
			length = r.amount(symbol-257, 4) + 3
		}
		distance := r.amount(r.next(distances), 2) + 1
		for range length { // what is copied may be of this very copy
			r.out = append(r.out, r.out[len(r.out)-distance])
		}
	}
}

// amount reads a length or a distance from 0: symbols come in groups of so
// many, of which each but the first has twice the reach.
func (r *reader) amount(symbol, group int) int {
	if symbol < 2*group {
		return symbol
	}
	extra := symbol/group - 1
	return (group+symbol%group)<<extra + r.bits(uint(extra))
}
