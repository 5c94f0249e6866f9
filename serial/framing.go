package serial

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// Framing is how frames lie in a stream of bytes. Start from the kind and fill
// in what it needs:
//
//	cobs      COBS(payload check) 00
//	slip      C0 SLIP(payload check) C0
//	length8   sync length payload check tail   one byte of length
//	length16  sync length payload check tail   two bytes of length
//	fixed     sync payload check tail          Length bytes of payload
//	stx_etx   02 payload 03 check              the checksum covers payload and 03
//	telegram  / ... ! ... LF                   returned whole
//
// COBS is that of Cheshire and Baker (IEEE/ACM Transactions on Networking 7(2),
// 1999), SLIP is RFC 1055, stx_etx is ISO 1745, telegram is the D0 readout of
// IEC 62056-21 as meters send it on their P1 port.
type Framing struct {
	Kind string
	// Sync starts every frame, Tail ends it; of length8, length16 and fixed.
	Sync, Tail []byte
	// Length is the payload's, of fixed.
	Length int
	// Counted is what the length field counts beside the payload, in bytes.
	Counted int
	// Max is the longest payload in bytes.
	Max   int
	Check Check
	// CheckAll has the checksum cover sync and length too.
	CheckAll bool
	// BigEndian is the order of length and checksum.
	BigEndian bool
	// Tell has Frames report every frame that is dropped.
	Tell bool
}

// Validate reports what no stream can be, with the key it is about: framing,
// sync, tail, length, max_length.
func (f *Framing) Validate(report func(path, msg string)) {
	headed := slices.Contains([]string{"length8", "length16", "fixed"}, f.Kind)
	for _, w := range [...]struct {
		wrong     bool
		path, msg string
	}{
		{!headed && !slices.Contains([]string{"cobs", "slip", "stx_etx", "telegram"}, f.Kind), "framing",
			"is not cobs, slip, length8, length16, fixed or stx_etx"},
		{!headed && len(f.Sync) > 0, "sync", "is for framing length8, length16 or fixed"},
		{!headed && len(f.Tail) > 0, "tail", "is for framing length8, length16 or fixed"},
		{headed && len(f.Sync) == 0 && f.Check.bits == 0, "sync", "without it and without crc nothing tells where a frame starts"},
		{f.Length != 0 && f.Kind != "fixed", "length", "is for framing fixed"},
		{f.Kind == "fixed" && (f.Length < 1 || f.Length > f.Max), "length", "is not between 1 and max_length"},
		{f.Max < 1 || f.Max > MaxFrame, "max_length", "is not between 1 and 1048576"},
	} {
		if w.wrong {
			report(w.path, w.msg)
		}
	}
}

// MaxFrame is the longest payload that a Framing may allow.
const MaxFrame = 1 << 20

const (
	stx, etx         = 0x02, 0x03
	slipEnd, slipEsc = 0xc0, 0xdb
	slipEscEnd       = 0xdc // stands for slipEnd
	slipEscEsc       = 0xdd // stands for slipEsc
)

// longest is the most bytes that a frame takes in the stream.
func (f *Framing) longest() int {
	n := f.Max + f.Check.Size()
	switch f.Kind {
	case "slip":
		return 2*n + 2
	case "cobs":
		return n + n/254 + 2
	}
	return n + len(f.Sync) + len(f.Tail) + 2
}

// delimited reports whether a byte that is in no payload ends a frame, and
// which.
func (f *Framing) delimited() (byte, bool) {
	switch f.Kind {
	case "cobs":
		return 0, true
	case "slip":
		return slipEnd, true
	}
	return 0, false
}

// width is the size of the length field.
func (f *Framing) width() int {
	switch f.Kind {
	case "length8":
		return 1
	case "length16":
		return 2
	}
	return 0
}

// Append adds payload to dst as a frame. An error says why there is no such
// frame; then dst is returned as it was.
func (f *Framing) Append(dst, payload []byte) ([]byte, error) {
	n := len(payload) + f.Counted
	if len(payload) > f.Max || f.Kind == "fixed" && len(payload) != f.Length || f.width() > 0 && n>>(8*f.width()) != 0 {
		return dst, fmt.Errorf("a payload of %d bytes goes into no frame", len(payload))
	}
	var head []byte
	covered := payload
	switch f.Kind {
	case "cobs", "slip":
		body := slices.Concat(payload, f.Check.bytes(payload, f.BigEndian))
		if f.Kind == "cobs" {
			return append(appendCOBS(dst, body), 0), nil
		}
		return append(appendSLIP(append(dst, slipEnd), body), slipEnd), nil
	case "stx_etx":
		if bytes.ContainsAny(payload, "\x02\x03") {
			return dst, errors.New("STX or ETX is in it")
		}
		head, covered = []byte{stx}, slices.Concat(payload, []byte{etx})
		payload = covered
	default:
		head = slices.Concat(f.Sync, ordered(uint64(n), f.width(), f.BigEndian))
	}
	if f.CheckAll {
		covered = slices.Concat(head, payload)
	}
	return slices.Concat(dst, head, payload, f.Check.bytes(covered, f.BigEndian), f.Tail), nil
}

// appendCOBS adds src, encoded without a zero byte, to dst.
func appendCOBS(dst, src []byte) []byte {
	code := len(dst) // where the length of the current block goes
	dst = append(dst, 1)
	for i, b := range src {
		if b != 0 {
			dst = append(dst, b)
			dst[code]++
		}
		if b == 0 || dst[code] == 0xff && i+1 < len(src) {
			code = len(dst)
			dst = append(dst, 1)
		}
	}
	return dst
}

// decodeCOBS decodes b, which has no zero byte, in place.
func decodeCOBS(b []byte) ([]byte, bool) {
	out := b[:0]
	for i := 0; i < len(b); {
		code := int(b[i])
		if i+code > len(b) {
			return nil, false
		}
		out = append(out, b[i+1:i+code]...)
		if i += code; code < 0xff && i < len(b) {
			out = append(out, 0)
		}
	}
	return out, true
}

// appendSLIP adds src, encoded without slipEnd, to dst.
func appendSLIP(dst, src []byte) []byte {
	for _, b := range src {
		switch b {
		case slipEnd:
			dst = append(dst, slipEsc, slipEscEnd)
		case slipEsc:
			dst = append(dst, slipEsc, slipEscEsc)
		default:
			dst = append(dst, b)
		}
	}
	return dst
}

// decodeSLIP decodes b, which has no slipEnd, in place.
func decodeSLIP(b []byte) ([]byte, bool) {
	out := b[:0]
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c == slipEsc {
			if i++; i == len(b) {
				return nil, false
			}
			switch b[i] {
			case slipEscEnd:
				c = slipEnd
			case slipEscEsc:
				c = slipEsc
			default:
				return nil, false
			}
		}
		out = append(out, c)
	}
	return out, true
}
