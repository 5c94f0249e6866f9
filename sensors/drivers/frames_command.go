package drivers

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
)

// compile makes a command whose text is hexadecimal.
func (d *frames) compile(entity string, c *lineCommand) (*command, error) {
	out, err := compileCommand(entity, c, "frames")
	if err != nil {
		return nil, err
	}
	n := 1
	if out.platform == "number" {
		if n = width(c.Type); n == 0 || c.Type == "ascii" || n == 8 && c.Type[0] != 'f' {
			return nil, errors.New("type: how is the number written? u16, for example")
		}
		out.encode = func(word string) (string, error) { return encodeNumber(word, c.Type, d.layout.bigEndian) }
	} else {
		out.encode = func(word string) (string, error) { return hex.EncodeToString([]byte(word)), nil }
	}
	// Whatever the payload, this is a frame; text may be longer than this.
	for _, on := range []bool{true, false} {
		if _, err := d.frame(out, out.fill(hex.EncodeToString(make([]byte, n)), on)); err != nil {
			return nil, fmt.Errorf("send: %w", err)
		}
	}
	return out, out.obey(c)
}

// frame implements dialect.
func (d *frames) frame(c *command, text string) ([]byte, error) {
	b, err := unhexed(text)
	if err != nil || c.raw {
		return b, err
	}
	return d.framing.Append(nil, b)
}

// encodeNumber is a number's bytes in hexadecimal.
func encodeNumber(word, kind string, bigEndian bool) (string, error) {
	v := number(infer(word)).(float64) // line has seen that it is one
	n := width(kind)
	bits := uint64(0)
	least, values := 0.0, math.Ldexp(1, 8*n)
	if kind[0] == 'i' {
		least = -values / 2
	}
	switch {
	case kind == "f32":
		bits = uint64(math.Float32bits(float32(v)))
	case kind == "f64":
		bits = math.Float64bits(v)
	case v != math.Trunc(v) || v < least || v >= least+values:
		return "", fmt.Errorf("%v is no %s", v, kind)
	default:
		bits = uint64(int64(v))
	}
	b := binary.LittleEndian.AppendUint64(nil, bits)[:n]
	if bigEndian {
		slices.Reverse(b)
	}
	return hex.EncodeToString(b), nil
}
