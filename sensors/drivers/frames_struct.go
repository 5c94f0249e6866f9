package drivers

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/serial/modbus"
)

// frameField is one field of a frame's payload. Fields lie one after the other
// without gaps; a field without a name is one that nobody wants.
type frameField struct {
	Name   string            `yaml:"name" doc:"the entity; a field without a name is skipped"`
	Type   string            `yaml:"type" doc:"how the bytes are a number; ascii is size characters" enum:"u8|i8|u16|i16|u24|i24|u32|i32|u64|i64|f32|f64|ascii" req:"1"`
	Size   int               `yaml:"size" doc:"ascii: how many characters; else how many such fields are skipped"`
	Scale  float64           `yaml:"scale" doc:"the value is the number times this"`
	Offset float64           `yaml:"offset" doc:"added after scale"`
	Unit   string            `yaml:"unit_of_measurement" doc:"unit of the value"`
	Role   string            `yaml:"role" doc:"sequence: a number that grows by one with every frame; gaps are counted" enum:"sequence"`
	Equals *int64            `yaml:"equals" doc:"frames in which this field is another number are not meant"`
	Bits   map[string]string `yaml:"bits" doc:"entities that are single bits of the number, by bit from 0"`

	// What a preset knows of the device: values outside are no measurements.
	low, high float64
}

// width is the size of one number of a type in bytes, 0 when there is no such
// type.
func width(kind string) int {
	if kind == "ascii" {
		return 1
	}
	const known = " u8 i8 u16 i16 u24 i24 u32 i32 u64 i64 f32 f64 "
	if !strings.Contains(known, " "+kind+" ") || kind == "" {
		return 0
	}
	bits, _ := strconv.Atoi(kind[1:]) // it is known
	return bits / 8
}

// size is the field's length in bytes.
func (f *frameField) size() int { return width(f.Type) * max(f.Size, 1) }

// fault says why this is no field, and at which key.
func (f *frameField) fault() (key, why string) {
	n := width(f.Type)
	integer := n > 0 && (f.Type[0] == 'u' || f.Type[0] == 'i')
	switch {
	case n == 0:
		return "type", "there is no such type"
	case f.Size < 0 || f.Size > 1024:
		return "size", "is not between 1 and 1024"
	case f.Size > 1 && f.Type != "ascii" && (f.Name != "" || f.Equals != nil || f.Role != "" || len(f.Bits) > 0):
		return "size", "several numbers can be skipped, not named: list them one by one"
	case f.Role != "" && f.Type[0] != 'u':
		return "role", "a sequence is unsigned"
	case !integer && f.Equals != nil:
		return "equals", "is for integers"
	}
	for bit := range f.Bits {
		if i, err := strconv.Atoi(bit); err != nil || i < 0 || i >= 8*n || !integer {
			return "bits", "there is no bit " + bit
		}
	}
	return "", ""
}

// names are the entities that the field gives.
func (f *frameField) names() []string {
	var list []string
	if f.Name != "" {
		list = append(list, f.Name)
	}
	for i := range 8 * width(f.Type) {
		if name := f.Bits[strconv.Itoa(i)]; name != "" {
			list = append(list, name)
		}
	}
	return list
}

// integer is the field's bytes as a number: two's complement where the type is
// signed.
func (f *frameField) integer(b []byte, bigEndian bool) uint64 {
	var whole [8]byte
	copy(whole[:], b)
	if bigEndian {
		slices.Reverse(whole[:len(b)])
	}
	v := binary.LittleEndian.Uint64(whole[:])
	if unused := 64 - 8*len(b); f.Type[0] == 'i' {
		v = uint64(int64(v<<unused) >> unused)
	}
	return v
}

// value is the field's value: an integer where neither scale nor offset make
// it a float64.
func (f *frameField) value(b []byte, bigEndian bool) (any, error) {
	var v any
	if f.Type == "ascii" {
		text, _, _ := strings.Cut(string(b), "\x00") // the rest of a string of C is what was there before
		if !utf8.ValidString(text) {
			return nil, &sensors.Fault{Reason: sensors.Parse, Err: fmt.Errorf("%s: % x is no text", f.Name, text)}
		}
		v = infer(strings.TrimSpace(text))
	} else {
		n := f.integer(b, bigEndian)
		switch {
		case f.Type == "f32":
			v = modbus.Float32(uint32(n))
		case f.Type == "f64":
			v = math.Float64frombits(n)
		case f.Type == "u64" && n > math.MaxInt64:
			v = n
		default:
			v = int64(n)
		}
	}
	x, isNumber := number(v).(float64)
	plain := f.Scale == 0 && f.Offset == 0
	if f.Scale != 0 {
		x *= f.Scale
	}
	x += f.Offset
	switch {
	case !isNumber && !plain:
		return nil, &sensors.Fault{Reason: sensors.Parse, Err: fmt.Errorf("%s: %.40q is not a number", f.Name, b)}
	case isNumber && (math.IsNaN(x) || math.IsInf(x, 0) || f.high != 0 && (x < f.low || x > f.high)):
		return nil, &sensors.Fault{Reason: sensors.OutOfRange, Err: fmt.Errorf("%s: %v is no measurement", f.Name, x)}
	case plain:
		return v, nil
	}
	return x, nil
}

// frameLayout is the struct of a payload.
type frameLayout struct {
	fields    []frameField
	bigEndian bool

	last    uint64 // the newest sequence number
	counted bool   // there is one
	lost    uint64 // frames that the sequence says are missing
}

// errOtherFrame: the frame is not meant, or one that was sent twice.
var errOtherFrame = errors.New("another kind of frame")

func (l *frameLayout) size() int {
	n := 0
	for i := range l.fields {
		n += l.fields[i].size()
	}
	return n
}

// readings takes a payload apart.
func (l *frameLayout) readings(payload []byte, at time.Time) ([]sensors.Reading, error) {
	var list []sensors.Reading
	short := len(payload) != l.size()
	for i := range l.fields {
		f := &l.fields[i]
		n := f.size()
		if len(payload) < n {
			break
		}
		b := payload[:n]
		payload = payload[n:]
		v := uint64(0)
		if f.Type != "ascii" && n <= 8 {
			v = f.integer(b, l.bigEndian)
		}
		if f.Equals != nil && int64(v) != *f.Equals {
			return nil, errOtherFrame
		}
		if short {
			continue
		}
		if f.Role != "" && !l.follows(v, uint(8*n)) {
			return nil, errOtherFrame
		}
		names := f.names()
		if f.Name != "" {
			r := sensors.Reading{Entity: f.Name, Unit: f.Unit, At: at}
			r.Value, r.Err = f.value(b, l.bigEndian)
			list, names = append(list, r), names[1:]
		}
		for bit := 0; len(names) > 0; bit++ {
			if f.Bits[strconv.Itoa(bit)] == names[0] {
				list = append(list, sensors.Reading{Entity: names[0], Value: v>>bit&1 == 1, At: at})
				names = names[1:]
			}
		}
	}
	if short {
		return nil, errors.New("not as long as the struct")
	}
	return list, nil
}

// follows counts the numbers between the last and n, of so many bits, and
// reports whether n is a new one. A device that starts at 0 again was
// restarted: nothing is known to be lost.
func (l *frameLayout) follows(n uint64, bits uint) bool {
	gap := (n - l.last) << (64 - bits) >> (64 - bits)
	if l.counted && gap == 0 {
		return false
	}
	if l.counted && n != 0 {
		l.lost += gap - 1
	}
	l.last, l.counted = n, true
	return true
}
