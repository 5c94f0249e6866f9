package journal

import (
	"encoding/binary"
	"hash/crc32"
)

// A page is 4096 bytes: a header of 32 and the body.
//
//	 0  magic    u16  0xD051
//	 2  used     u16  bytes of the body in use
//	 4  checksum u32  CRC-32C of bytes 8 to 32+used
//	 8  epoch    u64  of the segment's life
//	16  number   u64  of the page in the segment
//	24  first    u16  where in the body the first record starts; 0xFFFF: none does
//	26  flags    u16  bit 0: a group starts here, no record goes on from before
//	28  version  u16  of the format
//	30  pages    u16  of the segment; 0: not said
const (
	pageSize   = 4096
	headerSize = 32
	bodySize   = pageSize - headerSize

	pageMagic  = 0xD051
	noRecord   = 0xFFFF
	groupStart = 1 << 0

	// Version is the format's. A file of a later one is refused and left alone.
	Version = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// page is what a header says.
type page struct {
	epoch, number uint64
	used, first   int
	flags         uint16
	version       uint16
	pages         int // of the whole segment, 0 where that is not said
}

// seal writes the header of p, whose body is in place.
func (h page) seal(p []byte) {
	le := binary.LittleEndian
	le.PutUint16(p, pageMagic)
	le.PutUint16(p[2:], uint16(h.used))
	le.PutUint64(p[8:], h.epoch)
	le.PutUint64(p[16:], h.number)
	le.PutUint16(p[24:], uint16(h.first))
	le.PutUint16(p[26:], h.flags)
	le.PutUint16(p[28:], Version)
	le.PutUint16(p[30:], uint16(h.pages))
	le.PutUint32(p[4:], crc32.Checksum(p[8:headerSize+h.used], castagnoli))
}

// open checks a page against its checksum; whether it is in its place is for
// the caller.
func open(p []byte) (h page, ok bool) {
	le := binary.LittleEndian
	h.used = int(le.Uint16(p[2:]))
	if le.Uint16(p) != pageMagic || h.used > bodySize {
		return h, false
	}
	if crc32.Checksum(p[8:headerSize+h.used], castagnoli) != le.Uint32(p[4:]) {
		return h, false
	}
	h.epoch, h.number = le.Uint64(p[8:]), le.Uint64(p[16:])
	h.first, h.flags, h.version, h.pages = int(le.Uint16(p[24:])), le.Uint16(p[26:]), le.Uint16(p[28:]), int(le.Uint16(p[30:]))
	return h, h.first == noRecord || h.first < h.used
}

// blank reports whether a page was never written.
func blank(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}
