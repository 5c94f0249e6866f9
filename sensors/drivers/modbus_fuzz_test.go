package drivers

import (
	"math"
	"strings"
	"testing"

	"github.com/dunlin-mqtt/dunlin/serial/modbus"
)

// FuzzModbusCommand: whatever a client sends, what is written fits into the
// register and is the number that was sent, inside its bounds.
func FuzzModbusCommand(f *testing.F) {
	for i, s := range []string{"12.5", " 50 ", "-1e3", "NaN", "0x10", "ON", "TOGGLE", `{"state":"OFF"}`, "abc", "1_0", "", "1e400"} {
		f.Add(uint8(i), s)
	}
	low, high := -100.0, 5000.0
	types := strings.Split(modbus.Types, "|")
	f.Fuzz(func(t *testing.T, kind uint8, payload string) {
		o := modbusRegister{Table: "holding", Type: types[int(kind)%len(types)], Scale: 0.5, Offset: 3, Writable: &modbusWritable{Min: &low, Max: &high}}
		switch o.Type {
		case "bits":
			o.Length = 5
		case "string":
			o.Length = 8
		}
		r := o.value("r", "little_swap")
		words, toggle, err := r.command([]byte(payload))
		if err != nil {
			return
		}
		if len(words) != r.span.Count || words[0]&^r.mask() != 0 {
			t.Fatalf("%s: %q became %04x", r.Type, payload, words)
		}
		got := r.reading(words, r.read)
		v, isInt := got.Value.(int64)
		number, isFloat := got.Value.(float64)
		switch {
		case got.Err != nil:
			t.Fatalf("%s: %q became %04x: %v", r.Type, payload, words, got.Err)
		case toggle && r.Type != "bit":
			t.Fatalf("%s toggles", r.Type)
		case isInt:
			number = float64(v)
			fallthrough
		case isFloat:
			// Half a register may have been rounded away, and float32 has 24 bits.
			if slack := 0.25 + math.Abs(number)/1e7; number < low-slack || number > high+slack {
				t.Fatalf("%s: %q became %v", r.Type, payload, number)
			}
		}
	})
}
