package packet

import "encoding/binary"

// cut is how many of n bytes a length prefix of two bytes can announce.
// Strings that came off the wire fit; owners of other messages check them
// first (ValidMessage), so this only keeps the stream in frame.
func cut(n int) int { return min(n, 65535) }

// bytesOf is what a string or binary field may be made of.
type bytesOf interface{ ~string | ~[]byte }

func appendBytes[B bytesOf](dst []byte, b B) []byte {
	n := cut(len(b))
	dst = binary.BigEndian.AppendUint16(dst, uint16(n))
	return append(dst, b[:n]...)
}

// appendHeader writes the fixed header.
func appendHeader(dst []byte, t Type, flags byte, remaining int) []byte {
	return appendVarint(append(dst, byte(t)<<4|flags), remaining)
}

// prefixed is the size of the properties in may with their length.
func (p *Properties) prefixed(may Has) int {
	n := p.size(may)
	return varintSize(n) + n
}
