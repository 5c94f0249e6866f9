package bridge

import (
	"strconv"
	"unicode/utf16"
)

// What readers of JSON take at least: .NET stops at 64 levels, of which a batch has
// two, and Python at 4300 digits.
const (
	jsonLevels = 50
	jsonNumber = 100 // bytes
)

// readable reports whether every reader takes valid JSON as part of a text (RFC 7493):
// over too many levels, a number beyond float64 or half a surrogate pair some give up
// all of it, and with it the other messages of a batch.
func readable(b []byte) bool {
	levels := 0
	for len(b) > 0 {
		n := 1
		switch c := b[0]; {
		case c == '"':
			if n = stringEnd(b); n < 0 {
				return false
			}
		case c == '[', c == '{':
			if levels++; levels > jsonLevels {
				return false
			}
		case c == ']', c == '}':
			levels--
		case c == '-', '0' <= c && c <= '9':
			for n < len(b) && numeric(b[n]) {
				n++
			}
			if n > jsonNumber {
				return false
			}
			if _, err := strconv.ParseFloat(string(b[:n]), 64); err != nil {
				return false
			}
		}
		b = b[n:]
	}
	return true
}

func numeric(c byte) bool {
	return '0' <= c && c <= '9' || c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-'
}

// stringEnd is the length of the valid JSON string that b begins with; negative: an
// escape in it is half a surrogate pair.
func stringEnd(b []byte) int {
	for i := 1; ; i++ {
		switch {
		case b[i] == '"':
			return i + 1
		case b[i] != '\\':
		case b[i+1] != 'u':
			i++
		case !utf16.IsSurrogate(escaped(b[i:])):
			i += 5
		case utf16.DecodeRune(escaped(b[i:]), escaped(b[i+6:])) == '\uFFFD':
			return -1
		default:
			i += 11
		}
	}
}

// escaped is the code unit of a \uXXXX that b begins with; 0: it begins with none.
func escaped(b []byte) rune {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0
	}
	v, _ := strconv.ParseUint(string(b[2:6]), 16, 16) // 0 if these are no digits
	return rune(v)
}
