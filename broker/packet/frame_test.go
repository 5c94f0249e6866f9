package packet

import (
	"errors"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

func TestFrame(t *testing.T) {
	for _, tc := range []struct {
		name string
		buf  string
		max  uint32
		n    int
		code mqtt.ReasonCode
	}{
		{"nothing", "", 0, 0, 0},
		{"first byte only", "30", 0, 0, 0},
		{"PINGREQ", "c000", 0, 2, 0},
		{"two packets", "c000c000", 0, 2, 0},
		{"body missing", "3003 0001", 0, 0, 0},
		{"length missing", "30ff ff", 0, 0, 0},
		{"longest length", "30ff ffff 7f", 0, 0, 0},
		{"length of five bytes", "30ff ffff ff", 0, 0, mqtt.MalformedPacket},
		{"too large before it has arrived", "3080 01", 130, 0, mqtt.PacketTooLarge},
		{"as large as allowed", "3080 01", 131, 0, 0},
		{"too large and whole", "c000", 1, 0, mqtt.PacketTooLarge},
		{"type 0", "00", 0, 0, mqtt.MalformedPacket},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n, err := Frame(unhex(t, tc.buf), tc.max)
			var e *mqtt.Error
			if code := mqtt.ReasonCode(0); errors.As(err, &e) {
				if code = e.Code; code != tc.code {
					t.Errorf("err = %v", err)
				}
			} else if tc.code != 0 {
				t.Errorf("no error, want 0x%02x", byte(tc.code))
			}
			if n != tc.n {
				t.Errorf("n = %d, want %d", n, tc.n)
			}
		})
	}
}

func TestVariableByteIntegers(t *testing.T) {
	for _, v := range []int{0, 1, 127, 128, 16383, 16384, 2097151, 2097152, maxRemaining} {
		b := appendVarint(nil, v)
		got, size := varint(b)
		if int(got) != v || size != len(b) || size != varintSize(v) {
			t.Errorf("%d: read %d in %d of %x, varintSize %d", v, got, size, b, varintSize(v))
		}
	}
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte{0xc0, 0}, uint32(0))
	f.Add([]byte{0x30, 0x80, 0x01}, uint32(100))
	f.Fuzz(func(t *testing.T, buf []byte, max uint32) {
		n, err := Frame(buf, max)
		if n < 0 || n > len(buf) || err != nil && n != 0 {
			t.Fatalf("Frame(%x, %d) = %d, %v", buf, max, n, err)
		}
		if n > 0 {
			// Neither what follows nor what is missing changes the answer.
			if m, err := Frame(buf[:n], max); m != n || err != nil {
				t.Fatalf("alone: %d, %v, want %d", m, err, n)
			}
			if m, err := Frame(buf[:n-1], max); m != 0 || err != nil {
				t.Fatalf("cut: %d, %v, want 0", m, err)
			}
		}
	})
}
