package modbus

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestFormats(t *testing.T) {
	for _, tc := range []struct {
		f     Format
		words []uint16
		want  any
	}{
		{Format{Type: "uint16"}, []uint16{0xFFFE}, uint64(65534)},
		{Format{Type: "int16"}, []uint16{0xFFFE}, int64(-2)},
		{Format{Type: "int16", Order: "little"}, []uint16{0xFEFF}, int64(-2)},
		{Format{Type: "uint8"}, []uint16{0x12FE}, uint64(0xFE)},
		{Format{Type: "uint8", Bit: 8}, []uint16{0xFE12}, uint64(0xFE)},
		{Format{Type: "int8", Bit: 8}, []uint16{0xFE12}, int64(-2)},
		{Format{Type: "uint32"}, []uint16{0x1234, 0x5678}, uint64(0x12345678)},
		{Format{Type: "uint32", Order: "big"}, []uint16{0x1234, 0x5678}, uint64(0x12345678)},
		{Format{Type: "uint32", Order: "little"}, []uint16{0x7856, 0x3412}, uint64(0x12345678)},
		{Format{Type: "uint32", Order: "big_swap"}, []uint16{0x3412, 0x7856}, uint64(0x12345678)},
		{Format{Type: "uint32", Order: "little_swap"}, []uint16{0x5678, 0x1234}, uint64(0x12345678)},
		{Format{Type: "int32"}, []uint16{0xFFFF, 0xFFFE}, int64(-2)},
		{Format{Type: "uint64"}, []uint16{0x0102, 0x0304, 0x0506, 0x0708}, uint64(0x0102030405060708)},
		{Format{Type: "uint64", Order: "little"}, []uint16{0x0807, 0x0605, 0x0403, 0x0201}, uint64(0x0102030405060708)},
		{Format{Type: "uint64", Order: "little_swap"}, []uint16{0x0708, 0x0506, 0x0304, 0x0102}, uint64(0x0102030405060708)},
		{Format{Type: "int64", Order: "big_swap"}, []uint16{0xFFFF, 0xFFFF, 0xFFFF, 0xFEFF}, int64(-2)},
		{Format{Type: "float32"}, []uint16{0x4366, 0x3333}, 230.2},
		{Format{Type: "float32", Order: "little_swap"}, []uint16{0x0000, 0x4148}, 12.5}, // CDAB
		{Format{Type: "float64"}, []uint16{0x4029, 0, 0, 0}, 12.5},
		{Format{Type: "bcd16"}, []uint16{0x1234}, uint64(1234)},
		{Format{Type: "bcd32", Order: "little_swap"}, []uint16{0x5678, 0x1234}, uint64(12345678)},
		{Format{Type: "bcd64"}, []uint16{0x9999, 0x9999, 0x9999, 0x9999}, uint64(9999999999999999)},
		{Format{Type: "bit", Bit: 15}, []uint16{0x8000}, true},
		{Format{Type: "bit", Bit: 14}, []uint16{0x8000}, false},
		{Format{Type: "bits", Bit: 4, Length: 3}, []uint16{0xFF5F}, uint64(5)},
		{Format{Type: "string", Length: 5}, []uint16{0x4142, 0x4344, 0x4546}, "ABCDE"},
		{Format{Type: "string", Length: 6}, []uint16{0x4142, 0x4300, 0x2000}, "ABC"},
		{Format{Type: "string", Length: 6}, []uint16{0x4142, 0x00FF, 0x41FF}, "AB"},
		{Format{Type: "string", Length: 4, Order: "little"}, []uint16{0x4241, 0x4443}, "ABCD"},
	} {
		if key, err := tc.f.Check(); err != nil {
			t.Fatalf("%+v: %s: %v", tc.f, key, err)
		}
		if n := tc.f.Registers(); n != len(tc.words) {
			t.Errorf("%+v takes %d registers, want %d", tc.f, n, len(tc.words))
		}
		got, err := tc.f.Decode(tc.words)
		if err != nil || got != tc.want {
			t.Errorf("%+v of %04x is %v (%T), %v; want %v", tc.f, tc.words, got, got, err, tc.want)
		}
	}
	if v, err := (Format{Type: "string", Length: 2}).Decode([]uint16{0xC328}); err == nil {
		t.Errorf("bytes that are no text are %q", v)
	}
	if v, err := (Format{Type: "bcd16"}).Decode([]uint16{0x12A4}); err == nil || !strings.Contains(err.Error(), "12A4") {
		t.Errorf("BCD 12A4 is %v, %v", v, err)
	}
}

// What was encoded is decoded to the same, in every type and order, for many
// values and their extremes.
func TestEncodeAndDecodeAgree(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, typ := range strings.Split(Types, "|") {
		for _, order := range strings.Split(Orders, "|") {
			f := Format{Type: typ, Order: order}
			switch typ {
			case "bits":
				f.Bit, f.Length = 3, 7
			case "string":
				f.Length = 7
			case "uint8", "int8":
				f.Bit = 8
			}
			for i := range 200 {
				var v any = float64(rng.IntN(100))
				switch {
				case typ == "bit":
					v = i%2 == 0
				case typ == "string":
					v = strings.Repeat(string(rune('a'+rng.IntN(26))), 1+rng.IntN(7))
				case strings.HasPrefix(typ, "int"):
					v = float64(rng.IntN(200) - 100)
				case strings.HasPrefix(typ, "float"):
					v = float64(rng.IntN(2_000_000)-1_000_000) / 100 // float32 has no more digits
				}
				w, err := f.Encode(v)
				if err != nil || len(w) != f.Registers() {
					t.Fatalf("%+v: encode %v: %04x, %v", f, v, w, err)
				}
				if f.width() > 0 && w[0]&^f.Mask() != 0 {
					t.Fatalf("%+v: %v sets bits %04x outside %04x", f, v, w, f.Mask())
				}
				back, err := f.Decode(w)
				switch n := back.(type) {
				case int64:
					back = float64(n)
				case uint64:
					back = float64(n)
				}
				if err != nil || back != v {
					t.Fatalf("%+v: %v became %04x became %v, %v", f, v, w, back, err)
				}
			}
		}
	}
}

func TestEncodeRefusesWhatDoesNotFit(t *testing.T) {
	for _, tc := range []struct {
		f  Format
		v  any
		ok bool
	}{
		{Format{Type: "uint16"}, 65535.0, true}, {Format{Type: "uint16"}, 65536.0, false}, {Format{Type: "uint16"}, -1.0, false},
		{Format{Type: "int16"}, -32768.0, true}, {Format{Type: "int16"}, 32768.0, false}, {Format{Type: "int16"}, -32769.0, false},
		{Format{Type: "int8"}, 127.0, true}, {Format{Type: "int8"}, 128.0, false},
		{Format{Type: "uint64"}, 1, false}, // an int is no value of a command
		{Format{Type: "uint64"}, float64(1 << 63), true}, {Format{Type: "uint64"}, math.Ldexp(1, 64), false},
		{Format{Type: "int64"}, math.Ldexp(1, 63), false}, {Format{Type: "int64"}, -math.Ldexp(1, 63), true},
		{Format{Type: "float32"}, math.MaxFloat32, true}, {Format{Type: "float32"}, -3.4028235e38, true}, {Format{Type: "float32"}, 3.402823568e38, false}, {Format{Type: "float32"}, 1e39, false}, {Format{Type: "float32"}, math.NaN(), false},
		{Format{Type: "uint32"}, math.NaN(), false}, {Format{Type: "uint32"}, math.Inf(1), false}, {Format{Type: "float64"}, math.Inf(1), false},
		{Format{Type: "bcd16"}, 9999.0, true}, {Format{Type: "bcd16"}, 10000.0, false},
		{Format{Type: "bits", Length: 3}, 7.0, true}, {Format{Type: "bits", Length: 3}, 8.0, false},
		{Format{Type: "string", Length: 3}, "abc", true}, {Format{Type: "string", Length: 3}, "abcd", false},
		{Format{Type: "string", Length: 3}, 5.0, false}, {Format{Type: "uint16"}, "5", false}, {Format{Type: "uint16"}, true, false},
	} {
		if w, err := tc.f.Encode(tc.v); (err == nil) != tc.ok {
			t.Errorf("%+v: %v became %04x, %v", tc.f, tc.v, w, err)
		}
	}
}

func TestFormatCheck(t *testing.T) {
	for _, tc := range []struct {
		f   Format
		key string
	}{
		{Format{Type: "int24"}, "type"}, {Format{Type: "uint16", Order: "middle"}, "word_order"},
		{Format{Type: "bit", Bit: 16}, "bit"}, {Format{Type: "uint16", Bit: 1}, "bit"}, {Format{Type: "uint8", Bit: 4}, "bit"},
		{Format{Type: "bits"}, "length"}, {Format{Type: "bits", Bit: 10, Length: 7}, "length"},
		{Format{Type: "string"}, "length"}, {Format{Type: "string", Length: 251}, "length"}, {Format{Type: "uint16", Length: 2}, "length"},
		{Format{Type: "uint8", Bit: 8}, ""}, {Format{Type: "bits", Bit: 10, Length: 6}, ""}, {Format{Type: "string", Length: 250}, ""},
	} {
		if key, err := tc.f.Check(); key != tc.key || (err != nil) != (tc.key != "") {
			t.Errorf("%+v: %q %v, want %q", tc.f, key, err, tc.key)
		}
	}
}

// The reads of a plan cover all spans, break no limit, and read over a gap only
// where it is small enough; a dumb model asks entry by entry.
func TestPlanAgainstModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		var spans []Span
		type entry struct {
			t Table
			a int
		}
		wanted := map[entry]bool{}
		for range 1 + rng.IntN(12) {
			s := Span{Table: Table(rng.IntN(4)), Address: uint16(rng.IntN(400)), Count: 1 + rng.IntN(6)}
			spans = append(spans, s)
			for i := range s.Count {
				wanted[entry{s.Table, int(s.Address) + i}] = true
			}
		}
		gap, most := rng.IntN(20), rng.IntN(3)*20
		reads := Plan(spans, gap, most)
		covered := map[entry]bool{}
		for _, r := range reads {
			if limit := max(most, 6); most > 0 && r.Count > limit || r.Count > r.Table.MaxRead() {
				t.Fatalf("%v reads more than %d", r, most)
			}
			hole := 0
			for i := range r.Count {
				e := entry{r.Table, int(r.Address) + i}
				covered[e] = true
				if hole++; wanted[e] {
					hole = 0
				}
				if hole > gap {
					t.Fatalf("%v reads over a gap of more than %d for %v", r, gap, spans)
				}
			}
			if !wanted[entry{r.Table, int(r.Address)}] || !wanted[entry{r.Table, r.end() - 1}] {
				t.Fatalf("%v begins or ends with what nobody wants", r)
			}
		}
		for _, s := range spans {
			if !slices.ContainsFunc(reads, func(r Span) bool { return r.Contains(s) }) {
				t.Fatalf("%v is in none of %v", s, reads)
			}
		}
		for e := range wanted {
			if !covered[e] {
				t.Fatalf("%v is not read", e)
			}
		}
	}
}

func TestPlanMerges(t *testing.T) {
	got := Plan([]Span{{Input, 12, 2}, {Input, 0, 2}, {Input, 6, 2}, {Input, 0x156, 2}, {Holding, 8, 1}, {Coils, 0, 1}, {Input, 0, 1}}, 8, 0)
	want := []Span{{Coils, 0, 1}, {Input, 0, 14}, {Input, 0x156, 2}, {Holding, 8, 1}}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	var all []Span
	for i := range 300 {
		all = append(all, Span{Holding, uint16(i), 1})
	}
	if got := Plan(all, 0, 0); !slices.Equal(got, []Span{{Holding, 0, 125}, {Holding, 125, 125}, {Holding, 250, 50}}) {
		t.Errorf("300 registers are read as %v", got)
	}
}

// FuzzFormat: whatever a unit has in its registers is a value or an error, and
// a value that was decoded is encoded to the same registers, for types in which
// it has one form only.
func FuzzFormat(f *testing.F) {
	f.Add(uint8(4), uint8(3), uint8(0), uint8(0), []byte{0x12, 0x34, 0x56, 0x78, 0, 0, 0, 0})
	f.Add(uint8(15), uint8(1), uint8(0), uint8(8), []byte("ABCDEFGH"))
	f.Add(uint8(1), uint8(2), uint8(5), uint8(7), []byte{0xFF, 0x5F, 0, 0, 0, 0, 0, 0})
	f.Add(uint8(13), uint8(0), uint8(0), uint8(0), []byte{0x12, 0xA4, 0x56, 0x78, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, typ, order, bit, length uint8, data []byte) {
		types, orders := strings.Split(Types, "|"), strings.Split(Orders, "|")
		f := Format{Type: types[int(typ)%len(types)], Order: orders[int(order)%len(orders)], Bit: int(bit), Length: int(length)}
		if _, err := f.Check(); err != nil || len(data) < 2*f.Registers() {
			return
		}
		words := make([]uint16, f.Registers())
		for i := range words {
			words[i] = uint16(data[2*i])<<8 | uint16(data[2*i+1])
		}
		v, err := f.Decode(words)
		if err != nil {
			return
		}
		switch n := v.(type) {
		case string:
			return // what follows a NUL is not kept
		case uint64:
			v = float64(n)
			if n > 1<<53 {
				return
			}
		case int64:
			v = float64(n)
			if n > 1<<53 || n < -1<<53 {
				return
			}
		case float64:
			if math.IsNaN(n) || math.IsInf(n, 0) {
				return
			}
		}
		back, err := f.Encode(v)
		if err != nil {
			t.Fatalf("%+v: %v of %04x cannot be encoded: %v", f, v, words, err)
		}
		for i := range words {
			mask := uint16(0xFFFF)
			if len(words) == 1 {
				mask = f.Mask()
			}
			if back[i] != words[i]&mask {
				t.Fatalf("%+v: %04x became %v became %04x", f, words, v, back)
			}
		}
	})
}
