package modbus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Format says how registers make a value. The protocol knows 16-bit registers
// only; everything wider is a habit of manufacturers, and so is its order.
type Format struct {
	// Type is one of Types.
	Type string
	// Order is one of Orders; "" is big.
	Order string
	// Bit is the lowest bit of bit, bits, uint8 and int8.
	Bit int
	// Length is how many bits bits has, and how many bytes string has.
	Length int
}

// kind is what a type's bits mean.
type kind uint8

const (
	boolean kind = iota
	unsigned
	signed
	float
	bcd
	text
)

// format is a type: its name, its meaning and its width in bits.
type format struct {
	name string
	kind kind
	bits int
}

// formats are the types.
var formats = [...]format{
	{"bit", boolean, 1}, {"bits", unsigned, 0},
	{"uint8", unsigned, 8}, {"uint16", unsigned, 16}, {"uint32", unsigned, 32}, {"uint64", unsigned, 64},
	{"int8", signed, 8}, {"int16", signed, 16}, {"int32", signed, 32}, {"int64", signed, 64},
	{"float32", float, 32}, {"float64", float, 64},
	{"bcd16", bcd, 16}, {"bcd32", bcd, 32}, {"bcd64", bcd, 64},
	{"string", text, 0},
}

// of finds the type; one without a name has none.
func (f Format) of() format {
	for _, t := range formats {
		if t.name == f.Type {
			return t
		}
	}
	return format{}
}

// Orders of bytes A (highest) to D (lowest) in two registers: big is ABCD,
// little DCBA, big_swap BADC, little_swap CDAB; in four registers likewise.
const Orders = "big|little|big_swap|little_swap"

// Types are the types that a Format may have.
const Types = "bit|bits|uint8|int8|uint16|int16|uint32|int32|uint64|int64|float32|float64|bcd16|bcd32|bcd64|string"

// Check reports what no format can be: key is that of the field.
func (f Format) Check() (key string, err error) {
	t := f.of()
	switch {
	case t.name == "":
		return "type", fmt.Errorf("%q is not one of %s", f.Type, Types)
	case !slices.Contains(strings.Split("|"+Orders, "|"), f.Order):
		return "word_order", fmt.Errorf("%q is not one of %s", f.Order, Orders)
	case f.Bit < 0 || f.Bit > 15:
		return "bit", errors.New("a register has bits 0 to 15")
	case f.Bit > 0 && (t.bits >= 16 || t.kind == text), t.bits == 8 && f.Bit%8 != 0:
		return "bit", fmt.Errorf("%s cannot start at bit %d", f.Type, f.Bit)
	case f.Type == "bits" && (f.Length < 1 || f.Bit+f.Length > 16):
		return "length", errors.New("bits needs the number of bits, inside one register")
	case t.kind == text && (f.Length < 1 || f.Length > 2*Holding.MaxRead()):
		return "length", fmt.Errorf("string needs its length in bytes, 1 to %d", 2*Holding.MaxRead())
	case f.Length != 0 && f.Type != "bits" && t.kind != text:
		return "length", fmt.Errorf("%s has a length of its own", f.Type)
	}
	return "", nil
}

// Registers is how many registers a value takes.
func (f Format) Registers() int {
	t := f.of()
	if t.kind == text {
		return (f.Length + 1) / 2
	}
	return max(1, t.bits/16)
}

// width is how many bits of one register a value has, for those that do not
// fill it; 0 for all others.
func (f Format) width() int {
	switch t := f.of(); {
	case f.Type == "bits":
		return f.Length
	case t.bits < 16 && t.kind != text:
		return t.bits
	}
	return 0
}

// Mask is the bits of a register that belong to the value.
func (f Format) Mask() uint16 {
	if w := f.width(); w > 0 {
		return f.ordered([]uint16{uint16(1<<w-1) << f.Bit})[0]
	}
	return math.MaxUint16
}

// bytes puts registers into order A, B, C, ...; it is its own inverse.
func (f Format) bytes(words []uint16) []byte {
	b := make([]byte, 0, 2*len(words))
	for i := range words {
		w := words[i]
		if (f.Order == "little" || f.Order == "little_swap") && f.Type != "string" {
			w = words[len(words)-1-i]
		}
		if f.Order == "little" || f.Order == "big_swap" {
			w = w<<8 | w>>8
		}
		b = binary.BigEndian.AppendUint16(b, w)
	}
	return b
}

// Float32 is the decimal number with the fewest digits that the bits of a
// float32 stand for: 230.2, which a meter means, not 230.1999969482421875.
func Float32(bits uint32) float64 {
	f := float64(math.Float32frombits(bits))
	if v, err := strconv.ParseFloat(strconv.FormatFloat(f, 'g', -1, 32), 64); err == nil {
		return v
	}
	return f
}

// Decode makes a bool, int64, uint64, float64 or string of as many registers as
// Registers says. It fails for BCD digits above 9 and for bytes that are no
// UTF-8.
func (f Format) Decode(words []uint16) (any, error) {
	t, b := f.of(), f.bytes(words)
	if t.kind == text {
		s, _, _ := strings.Cut(string(b[:min(f.Length, len(b))]), "\x00") // the rest is what was there before
		s = strings.TrimRight(s, " ")
		if !utf8.ValidString(s) {
			return nil, fmt.Errorf("% x is no text", s)
		}
		return s, nil
	}
	var raw uint64
	for _, x := range b {
		raw = raw<<8 | uint64(x)
	}
	bits := t.bits
	if w := f.width(); w > 0 {
		raw, bits = raw>>f.Bit&(1<<w-1), w
	}
	switch t.kind {
	case boolean:
		return raw != 0, nil
	case signed:
		return int64(raw<<(64-bits)) >> (64 - bits), nil
	case float:
		if bits == 32 {
			return Float32(uint32(raw)), nil
		}
		return math.Float64frombits(raw), nil
	case bcd:
		return fromBCD(raw, bits)
	}
	return raw, nil
}

func fromBCD(raw uint64, bits int) (any, error) {
	v := uint64(0)
	for at := bits - 4; at >= 0; at -= 4 {
		digit := raw >> at & 15
		if digit > 9 {
			return nil, fmt.Errorf("%0*X is not BCD", bits/4, raw)
		}
		v = 10*v + digit
	}
	return v, nil
}

// Encode makes registers of a float64, of a bool (bit) or of a string. Numbers
// are rounded for types that have no fractions; what does not fit is an error.
// The bits that are not the value's are 0.
func (f Format) Encode(v any) ([]uint16, error) {
	t := f.of()
	var raw uint64
	var err error
	switch v := v.(type) {
	case string:
		if t.kind == text {
			return f.encodeText(v)
		}
		err = f.unfit(v)
	case bool:
		if t.kind != boolean {
			err = f.unfit(v)
		} else if v {
			raw = 1
		}
	case float64:
		raw, err = f.encodeNumber(v)
	default:
		err = f.unfit(v)
	}
	if err != nil {
		return nil, err
	}
	b := binary.BigEndian.AppendUint64(nil, raw<<f.Bit)
	return f.registers(b[8-2*f.Registers():]), nil
}

func (f Format) unfit(v any) error { return fmt.Errorf("%v does not fit into %s", v, f.Type) }

// registers makes registers of bytes in order A, B, C, ...
func (f Format) registers(b []byte) []uint16 {
	words := make([]uint16, len(b)/2)
	for i := range words {
		words[i] = binary.BigEndian.Uint16(b[2*i:])
	}
	return f.ordered(words)
}

// ordered puts registers from order A, B, C, ... into the unit's.
func (f Format) ordered(words []uint16) []uint16 {
	b := f.bytes(words)
	for i := range words {
		words[i] = binary.BigEndian.Uint16(b[2*i:])
	}
	return words
}

func (f Format) encodeNumber(v float64) (uint64, error) {
	t := f.of()
	bits := t.bits
	if w := f.width(); w > 0 {
		bits = w
	}
	// The values are those from low up to below end, both exact in a float64.
	low, end := 0.0, math.Ldexp(1, bits)
	switch t.kind {
	case float:
		low, end = -math.MaxFloat64, math.Inf(1)
		if bits == 32 {
			end = 0x1.ffffffp127 // what is rounded to more than the largest
			low = math.Nextafter(-end, 0)
		}
	case signed:
		low, end = -end/2, end/2
	case bcd:
		end = math.Pow10(bits / 4)
	}
	if t.kind != float {
		v = math.Round(v)
	}
	if t.kind == text || !(v >= low && v < end) {
		return 0, f.unfit(v)
	}
	switch {
	case t.kind == float && bits == 32:
		return uint64(math.Float32bits(float32(v))), nil
	case t.kind == float:
		return math.Float64bits(v), nil
	case t.kind == bcd:
		return toBCD(uint64(v)), nil
	case v < 0:
		return uint64(int64(v)) & (math.MaxUint64 >> (64 - bits)), nil
	}
	return uint64(v), nil
}

func toBCD(v uint64) (raw uint64) {
	for at := 0; v > 0; at += 4 {
		raw |= v % 10 << at
		v /= 10
	}
	return raw
}

func (f Format) encodeText(s string) ([]uint16, error) {
	if len(s) > f.Length {
		return nil, fmt.Errorf("%d bytes do not fit into %d", len(s), f.Length)
	}
	b := make([]byte, 2*f.Registers())
	copy(b, s)
	return f.registers(b), nil
}
