package bridge

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"
)

// gzipped returns src as a gzip file (RFC 1952) of one block with the fixed
// Huffman codes (RFC 1951, 3.2.6). What repeats, as the keys of JSON do, is
// found with one probe of a hash table. What compress/flate makes of a batch is a
// third smaller; it would add 53,248 bytes to the program.
func gzipped(src []byte) []byte {
	w := bitWriter{out: append(make([]byte, 0, len(src)/2+32), 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff)}
	w.bits(1, 1)             // the last block
	w.bits(1, 2)             // fixed codes
	var seen [gzipHash]int32 // position behind four bytes of this hash
	for i := 0; i < len(src); {
		n, back := 0, 0
		if i+gzipLeast <= len(src) {
			h := binary.LittleEndian.Uint32(src[i:]) * 2654435761 >> (32 - gzipHashBits)
			back = i + 1 - int(seen[h])
			if seen[h] > 0 && back <= gzipWindow {
				n = alike(src, i-back, i)
			}
			seen[h] = int32(i + 1)
		}
		if n < gzipLeast {
			w.symbol(uint(src[i]))
			i++
			continue
		}
		w.match(uint(n), uint(back))
		i += n
	}
	w.symbol(256) // the end of the block
	w.bits(0, 7)  // what is left of the last byte
	w.out = binary.LittleEndian.AppendUint32(w.out, crc32.ChecksumIEEE(src))
	return binary.LittleEndian.AppendUint32(w.out, uint32(len(src)))
}

const (
	gzipHashBits = 11
	gzipHash     = 1 << gzipHashBits
	gzipWindow   = 32 << 10
	gzipLeast    = 4   // bytes of a match
	gzipMost     = 257 // 258 has a code of its own
)

// alike is how many bytes from a are those from b, a being before.
func alike(src []byte, a, b int) (n int) {
	for n < gzipMost && b+n < len(src) && src[a+n] == src[b+n] {
		n++
	}
	return n
}

// bitWriter writes bits, the lowest first.
type bitWriter struct {
	out  []byte
	acc  uint64
	have uint
}

func (w *bitWriter) bits(v, n uint) {
	w.acc |= uint64(v) << w.have
	for w.have += n; w.have >= 8; w.have -= 8 {
		w.out = append(w.out, byte(w.acc))
		w.acc >>= 8
	}
}

// code writes a Huffman code, whose highest bit comes first.
func (w *bitWriter) code(v, n uint) { w.bits(uint(bits.Reverse16(uint16(v))>>(16-n)), n) }

// symbol writes a literal, a length or the end.
func (w *bitWriter) symbol(s uint) {
	switch {
	case s < 144:
		w.code(0x30+s, 8)
	case s < 256:
		w.code(0x190+s-144, 9)
	case s < 280:
		w.code(s-256, 7)
	default:
		w.code(0xC0+s-280, 8)
	}
}

// match repeats n bytes of so many back: the symbol stands for a range, and
// bits behind it for the place in the range.
func (w *bitWriter) match(n, back uint) {
	n, back = n-3, back-1
	extra := uint(max(0, bits.Len(n)-3))
	w.symbol(257 + extra<<2 + n>>extra)
	w.bits(n&(1<<extra-1), extra)
	extra = uint(max(0, bits.Len(back)-2))
	w.code(extra<<1+back>>extra, 5)
	w.bits(back&(1<<extra-1), extra)
}
