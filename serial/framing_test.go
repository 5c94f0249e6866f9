package serial_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/serial"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func named(t testing.TB, name string) *serial.Check {
	t.Helper()
	c, ok := serial.CheckNamed(name)
	if !ok {
		t.Fatalf("no checksum %q", name)
	}
	return &c
}

// The check values of the catalog of parametrized CRC algorithms.
func TestChecks(t *testing.T) {
	for name, want := range map[string]uint32{
		"crc8": 0xf4, "crc8_maxim": 0xa1, "crc8_nrsc5": 0xf7, "crc16_ccitt_false": 0x29b1, "crc16_xmodem": 0x31c3,
		"crc16_kermit": 0x2189, "crc16_x25": 0x906e, "crc16_modbus": 0x4b37, "crc16_arc": 0xbb3d, "crc32": 0xcbf43926,
		"crc32c": 0xe3069283, "crc32_mpeg2": 0x0376e6e7, "sum8": 0xdd, "sum16": 0x01dd, "neg_sum8": 0x23, "xor8": 0x31, "none": 0,
	} {
		if got := named(t, name).Sum([]byte("123456789")); got != want {
			t.Errorf("%s = %#x, want %#x", name, got, want)
		}
	}
	// Sensirion's and Dallas' own examples, and Modbus' with its bytes on the wire.
	if got := named(t, "crc8_nrsc5").Sum([]byte{0xbe, 0xef}); got != 0x92 {
		t.Errorf("Sensirion: %#x", got)
	}
	if got := named(t, "crc8_maxim").Sum(unhex(t, "02 1c b8 01 00 00 00")); got != 0xa2 {
		t.Errorf("1-Wire: %#x", got)
	}
	if got := named(t, "crc16_modbus").Sum(unhex(t, "01 03 00 00 00 0a")); got != 0xcdc5 {
		t.Errorf("Modbus: %#x", got)
	}
}

var delimiters = map[string]string{"cobs": "\x00", "slip": "\xc0"}

// framings are one of each kind.
func framings(t testing.TB) []serial.Framing {
	return []serial.Framing{
		{Kind: "cobs", Max: 300, Check: *named(t, "crc16_ccitt_false")},
		{Kind: "slip", Max: 300, Check: *named(t, "crc32")},
		{Kind: "length8", Max: 200, Check: *named(t, "crc8"), Sync: []byte{0xaa}},
		{Kind: "length16", Max: 300, Check: *named(t, "sum16"), Sync: []byte{0x42, 0x4d}, CheckAll: true, BigEndian: true, Counted: 2},
		{Kind: "fixed", Max: 8, Length: 4, Check: *named(t, "crc16_modbus"), Sync: []byte{0xaa, 0xc0}, Tail: []byte{0xab}},
		{Kind: "length16", Max: 50, Check: *named(t, "crc32c")},
		{Kind: "stx_etx", Max: 50, Check: *named(t, "xor8")},
	}
}

// A framing that is none is one mistake, not also what another would need.
func TestFramingValidate(t *testing.T) {
	for kind, want := range map[string]string{"": "framing", "x": "framing", "cobs": "", "length8": "sync", "fixed": "sync length"} {
		var said []string
		(&serial.Framing{Kind: kind, Max: 100}).Validate(func(path, _ string) { said = append(said, path) })
		if got := strings.Join(said, " "); got != want {
			t.Errorf("framing %q: wrong is %q, want %q", kind, got, want)
		}
	}
}

func TestFrameBytes(t *testing.T) {
	long := bytes.Repeat([]byte{7}, 254)
	for _, tc := range []struct {
		name          string
		f             serial.Framing
		payload, want string
	}{
		{"COBS of one zero", serial.Framing{Kind: "cobs"}, "00", "01 01 00"},
		{"COBS of nothing", serial.Framing{Kind: "cobs"}, "", "01 00"},
		{"COBS with a zero inside", serial.Framing{Kind: "cobs"}, "11 22 00 33", "03 11 22 02 33 00"},
		{"COBS with zeros behind", serial.Framing{Kind: "cobs"}, "11 00 00 00", "02 11 01 01 01 00"},
		{"COBS of 254 bytes", serial.Framing{Kind: "cobs"}, hex.EncodeToString(long), "ff" + hex.EncodeToString(long) + "00"},
		{"COBS of 255 bytes", serial.Framing{Kind: "cobs"}, hex.EncodeToString(long) + "09", "ff" + hex.EncodeToString(long) + "02 09 00"},
		{"SLIP", serial.Framing{Kind: "slip"}, "c0 01 db", "c0 db dc 01 db dd c0"},
		{"SLIP with CRC", serial.Framing{Kind: "slip", Check: *named(t, "crc16_modbus")}, "01 03 00 00 00 0a", "c0 01 03 00 00 00 0a c5 cd c0"},
		{"length of one byte", serial.Framing{Kind: "length8", Sync: []byte{0xaa}}, "01 02", "aa 02 01 02"},
		{"PMS5003 passive mode", serial.Framing{Kind: "fixed", Length: 3, Sync: []byte{0x42, 0x4d}, Check: *named(t, "sum16"), CheckAll: true, BigEndian: true},
			"e1 00 00", "42 4d e1 00 00 01 70"},
		{"SDS011 to work", serial.Framing{Kind: "fixed", Length: 15, Sync: []byte{0xaa, 0xb4}, Tail: []byte{0xab}, Check: *named(t, "sum8")},
			"06 01 01 00 00 00 00 00 00 00 00 00 00 ff ff", "aa b4 06 01 01 00 00 00 00 00 00 00 00 00 00 ff ff 06 ab"},
		{"MH-Z19 request", serial.Framing{Kind: "fixed", Length: 7, Sync: []byte{0xff}, Check: *named(t, "neg_sum8")},
			"01 86 00 00 00 00 00", "ff 01 86 00 00 00 00 00 79"},
		{"ISO 1745", serial.Framing{Kind: "stx_etx", Check: *named(t, "xor8")}, "31 32", "02 31 32 03 00"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.f.Max = 300
			payload, want := unhex(t, tc.payload), unhex(t, tc.want)
			got, err := tc.f.Append([]byte("x"), payload)
			if err != nil || !bytes.Equal(got, append([]byte("x"), want...)) {
				t.Fatalf("% x, %v; want % x", got, err, want)
			}
			if payload == nil {
				return
			}
			stream := string(want)
			stream = delimiters[tc.f.Kind] + stream // without a checksum a whole frame is one after a delimiter
			if frames, _ := frames(serial.NewFrames(newWire(stream, io.EOF), tc.f)); len(frames) != 1 || frames[0] != string(payload) {
				t.Errorf("back: % x", frames)
			}
		})
	}
}

// frames reads until an error.
func frames(f *serial.Frames) (list []string, err error) {
	for {
		b, err := f.NextBefore(time.Time{})
		if err != nil {
			return list, err
		}
		list = append(list, string(b))
	}
}

// Noise before, between and inside of frames costs the frames that it hits and
// no other.
func TestFramesResync(t *testing.T) {
	for _, f := range framings(t) {
		t.Run(fmt.Sprintf("%s %x", f.Kind, f.Sync), func(t *testing.T) {
			var one [5][]byte
			for i := range one {
				one[i], _ = f.Append(nil, []byte{byte('a' + i), 'x', 'y', 'z'})
			}
			broken := bytes.Clone(one[1])
			broken[len(broken)/2] ^= 0x04
			noise := "\x55\xaa\x42\x42\x4d\x00\xc0\xdb\x02" + delimiters[f.Kind]
			stream := noise + string(one[0]) + string(broken) + string(one[2]) + string(one[3][:len(one[3])-2]) + noise + string(one[4])
			// What pretends to be a long frame holds up what follows until it is full.
			for range 80 {
				stream += string(one[0])
			}
			r := serial.NewFrames(newWire(stream, io.EOF), f)
			got, _ := frames(r)
			text := strings.Join(got, ",")
			if !strings.HasPrefix(text, "axyz,cxyz,exyz,axyz") {
				t.Errorf("%.60q", text)
			}
			if s := r.Stats(); s.Frames != uint64(len(got)) || s.Rejected < 2 || s.Bytes != uint64(len(stream)) {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestFramesCut takes bytes out of a stream, at every place: what they were of is
// lost and nothing else. COBS has nothing at the beginning of a frame, so there
// the end that is missing costs the next one too.
func TestFramesCut(t *testing.T) {
	all := append(framings(t), serial.Framing{Kind: "telegram", Max: 300})
	for _, f := range all {
		t.Run(fmt.Sprintf("%s %x", f.Kind, f.Sync), func(t *testing.T) {
			var one [5]string
			for i := range one {
				payload := fmt.Sprintf("%cxyz", 'a'+i)
				b, err := f.Append(nil, []byte(payload))
				if one[i] = string(b); f.Kind == "telegram" {
					one[i], err = fmt.Sprintf("/%s\r\n\r\n1.8.0(%d*kWh)\r\n!AB%d\r\n", payload, i, i), nil
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			size := len(one[0])
			// What pretends to be a long frame holds up what follows until it is full.
			stream := strings.Join(one[:], "") + strings.Repeat(one[0], 80)
			for _, cut := range []int{1, 2, size / 2} {
				for at := 0; at+cut <= 4*size; at++ {
					first, last := at/size, (at+cut-1)/size
					if f.Kind == "cobs" && (at+cut)%size == 0 {
						last++
					}
					got, _ := frames(serial.NewFrames(newWire(stream[:at]+stream[at+cut:], io.EOF), f))
					for i := range one {
						want := fmt.Sprintf("%cxyz", 'a'+i)
						if f.Kind == "telegram" {
							want = one[i]
						}
						if (i < first || i > last) && !slices.Contains(got, want) {
							t.Fatalf("%d bytes at %d: frame %d is lost too: %.60q", cut, at, i, got)
						}
					}
				}
			}
		})
	}
}

func TestFramesOverlong(t *testing.T) {
	f := serial.Framing{Kind: "cobs", Max: 1000, Check: *named(t, "crc8")}
	whole, err := f.Append(nil, bytes.Repeat([]byte{1, 2}, 500))
	if err != nil {
		t.Fatal(err)
	}
	r := serial.NewFrames(newWire(strings.Repeat("x", 100000)+"\x00", string(whole), io.EOF), f)
	if got, _ := frames(r); len(got) != 1 || len(got[0]) != 1000 {
		t.Errorf("%d frames", len(got))
	}
	if s := r.Stats(); s.Overlong != 1 || s.Skipped < 100000 {
		t.Errorf("%+v", s)
	}
	if _, err := f.Append(nil, make([]byte, 1001)); err == nil {
		t.Error("a payload that is too long becomes a frame")
	}
}

func TestTelegram(t *testing.T) {
	const one = "/ISk5\\2MT382-1000\r\n\r\n1-3:0.2.8(50)\r\n!ABCD\r\n"
	r := serial.NewFrames(newWire("end of an old one!0000\r\n", one[:20], one[20:], one, io.EOF), serial.Framing{Kind: "telegram", Max: 2000})
	if got, _ := frames(r); len(got) != 2 || got[0] != one || got[1] != one {
		t.Errorf("%q", got)
	}
}

// FuzzFrames cuts any stream in any pieces: what comes out does not depend on
// the pieces, every frame comes out that was put in after the noise, and
// nothing is longer than allowed.
func FuzzFrames(f *testing.F) {
	for i := range framings(f) {
		f.Add(uint8(i), []byte("noise\x00\xc0\x02\x42\x4d\xff\xff"), []byte("payload"), uint8(3))
		f.Add(uint8(i), []byte{}, []byte{0, 0, 0xc0, 0xdb}, uint8(1))
		f.Add(uint8(i), bytes.Repeat([]byte{0xaa, 0x42, 0x4d}, 200), []byte{1, 2, 3, 4}, uint8(200))
	}
	f.Fuzz(func(t *testing.T, kind uint8, noise, payload []byte, piece uint8) {
		all := framings(t)
		o := all[int(kind)%len(all)]
		one, err := o.Append(nil, payload)
		if err != nil || len(noise) > 1000 || len(payload) > 200 {
			return // byte by byte, 80 times a long one takes a second
		}
		stream := string(noise) + delimiters[o.Kind] + strings.Repeat(string(one), 80)
		whole := serial.NewFrames(newWire(stream, io.EOF), o)
		want, _ := frames(whole)
		script := []any{}
		for rest := stream; rest != ""; {
			n := min(len(rest), int(piece)+1)
			script, rest = append(script, rest[:n]), rest[n:]
		}
		got, _ := frames(serial.NewFrames(newWire(append(script, io.EOF)...), o))
		if strings.Join(got, "|") != strings.Join(want, "|") {
			t.Fatalf("in pieces of %d: %q; at once: %q", int(piece)+1, got, want)
		}
		for _, p := range got {
			if len(p) > o.Max {
				t.Fatalf("%d bytes, at most %d", len(p), o.Max)
			}
		}
		// Noise may look like a frame where there is no delimiter.
		all80 := strings.Repeat("|"+string(payload), 80)
		if (len(noise) == 0 || delimiters[o.Kind] != "") && len(payload) > 0 && !strings.HasSuffix("|"+strings.Join(got, "|"), all80) {
			t.Fatalf("%d frames of %q", len(got), payload)
		}
	})
}
