package websocket

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

// clientFrame is a frame as a client sends it, with fin and the opcode in the
// first byte.
func clientFrame(first byte, payload []byte) []byte {
	b := appendHeader(nil, 0, len(payload))
	b[0], b[1] = first, b[1]|0x80
	mask := [4]byte{1, 2, 3, 4}
	b = append(b, mask[:]...)
	for i, c := range payload {
		b = append(b, c^mask[i%4])
	}
	return b
}

func binaryFrame(payload string) []byte { return clientFrame(0x80|opBinary, []byte(payload)) }

// decodeAll decodes b in pieces of at most n bytes.
func decodeAll(f *frames, b []byte, n int) (payload []byte, err error) {
	b = bytes.Clone(b)
	for len(b) > 0 && err == nil {
		part := b[:min(n, len(b))]
		b = b[len(part):]
		var k int
		k, err = f.decode(part)
		payload = append(payload, part[:k]...)
	}
	return payload, err
}

func TestFrames(t *testing.T) {
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	long := func(first byte, lengthBytes ...byte) []byte {
		return join([]byte{first}, lengthBytes, []byte{0, 0, 0, 0})
	}
	for _, tc := range []struct {
		name    string
		in      []byte
		payload string
		code    uint16 // 0: no end
	}{
		{"MQTT-6.0.0-2 MQTT311-6.0.0-2 packets split over frames", join(binaryFrame("ab"), binaryFrame("c")), "abc", 0},
		{"MQTT-6.0.0-2 MQTT311-6.0.0-2 a fragmented message", join(clientFrame(opBinary, []byte("a")), clientFrame(opContinuation, []byte("b")), clientFrame(0x80, []byte("c"))), "abc", 0},
		{"an empty frame", join(binaryFrame(""), binaryFrame("a")), "a", 0},
		{"a Ping between fragments", join(clientFrame(opBinary, []byte("a")), clientFrame(0x89, []byte("p")), clientFrame(0x80, []byte("b"))), "ab", 0},
		{"a Pong nobody asked for", join(clientFrame(0x8A, []byte("p")), binaryFrame("a")), "a", 0},
		{"Close", join(binaryFrame("a"), clientFrame(0x88, []byte{0x03, 0xE8}), binaryFrame("b")), "a", 1000},
		{"Close without a code", clientFrame(0x88, nil), "", closeNoStatus},
		{"Close with one byte", clientFrame(0x88, []byte{3}), "", 1002},
		{"Close with a code that is not for the wire", clientFrame(0x88, []byte{0x03, 0xED}), "", 1002},
		{"Close with a reason that is not UTF-8", clientFrame(0x88, []byte{0x03, 0xE8, 0xFF}), "", 1007},
		{"MQTT-6.0.0-1 text", join(binaryFrame("a"), clientFrame(0x81, []byte("b"))), "a", 1003},
		{"not masked", []byte{0x82, 1, 'a'}, "", 1002},
		{"reserved bits", clientFrame(0xC2, []byte("a")), "", 1002},
		{"a reserved opcode", clientFrame(0x83, []byte("a")), "", 1002},
		{"a reserved control opcode", clientFrame(0x8B, []byte("a")), "", 1002},
		{"a fragmented Ping", clientFrame(opPing, []byte("a")), "", 1002},
		{"a Ping of 126 bytes", clientFrame(0x89, make([]byte, 126)), "", 1002},
		{"a continuation of nothing", clientFrame(0x80, []byte("a")), "", 1002},
		{"a message inside another", join(clientFrame(opBinary, []byte("a")), binaryFrame("b")), "a", 1002},
		{"2^63 bytes", long(0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0), "", 1009},
		{"more than the largest packet", long(0x82, 0xFF, 0, 0, 0, 0, 0x20, 0, 0, 0), "", 1009},
		{"a length that is longer than needed", long(0x82, 0xFE, 0, 125), "", 1002},
		{"a length that is much longer than needed", long(0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF), "", 1002},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, n := range []int{1, 2, 3, 7, 1000} {
				var f frames
				payload, err := decodeAll(&f, tc.in, n)
				var e *closeError
				errors.As(err, &e)
				if string(payload) != tc.payload || (e == nil) != (tc.code == 0) || e != nil && e.code != tc.code {
					t.Errorf("in pieces of %d: %q, %v", n, payload, err)
				}
			}
		})
	}
	t.Run("the last Ping is to be answered", func(t *testing.T) {
		var f frames
		if _, err := decodeAll(&f, join(clientFrame(0x89, []byte("one")), clientFrame(0x89, []byte("two"))), 100); err != nil || string(f.ping) != "two" {
			t.Errorf("%q, %v", f.ping, err)
		}
	})
}

// Frames of all sizes, taken apart at any place, give what was put in.
func TestFramesOfAllSizes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var in, want []byte
	for _, size := range []int{0, 1, 124, 125, 126, 127, 1000, 65535, 65536, 100000} {
		payload := make([]byte, size)
		for i := range payload {
			payload[i] = byte(rnd.Uint32())
		}
		in, want = append(in, binaryFrame(string(payload))...), append(want, payload...)
	}
	for _, n := range []int{1, 5, 13, 4096, len(in)} {
		var f frames
		if got, err := decodeAll(&f, in, n); err != nil || !bytes.Equal(got, want) {
			t.Errorf("in pieces of %d: %d bytes, %v", n, len(got), err)
		}
	}
}

// modelFrames reads a whole stream frame by frame, the slow and plain way.
func modelFrames(b []byte) (payload []byte, code uint16) {
	open := false
	for {
		if len(b) < 2 {
			return payload, 0
		}
		length, head := uint64(b[1]&0x7F), 2
		if length == 126 {
			head = 4
		} else if length == 127 {
			head = 10
		}
		if b[1]&0x80 != 0 {
			head += 4
		}
		if len(b) < head {
			return payload, 0
		}
		if head >= 10 && b[1]&0x7F == 127 {
			length = binary.BigEndian.Uint64(b[2:])
		} else if b[1]&0x7F == 126 {
			length = uint64(binary.BigEndian.Uint16(b[2:]))
		}
		short := b[1]&0x7F == 126 && length < 126 || b[1]&0x7F == 127 && length < 65536
		op, fin := b[0]&15, b[0] >= 0x80
		switch {
		case b[0]&0x70 != 0 || b[1] < 0x80 || short:
			return payload, 1002
		case op == 1:
			return payload, 1003
		case op != 0 && op != 2 && op != 8 && op != 9 && op != 10, op >= 8 && (!fin || length > 125), (op == 0) != open && op < 8:
			return payload, 1002
		case length > 268435460:
			return payload, 1009
		}
		mask := b[head-4 : head]
		body := b[head:]
		whole := uint64(len(body)) >= length
		body = body[:min(uint64(len(body)), length)]
		var plain []byte
		for i, c := range body {
			plain = append(plain, c^mask[i%4])
		}
		if op < 8 {
			payload, open = append(payload, plain...), !fin
		}
		if !whole {
			return payload, 0
		}
		if op == 8 {
			var e *closeError
			errors.As(closeReceived(plain), &e)
			return payload, e.code
		}
		b = b[head+len(body):]
	}
}

func FuzzWebSocketFrame(f *testing.F) {
	f.Add(append(binaryFrame("\x10\x0c\x00\x04MQTT"), clientFrame(0x89, []byte("p"))...), uint8(3))
	f.Add(clientFrame(0x88, []byte{3, 0xE8, 'x'}), uint8(1))
	f.Add([]byte{0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, uint8(100))
	f.Fuzz(func(t *testing.T, b []byte, n uint8) {
		want, code := modelFrames(b)
		var fr frames
		got, err := decodeAll(&fr, b, int(n)+1)
		var e *closeError
		errors.As(err, &e)
		if !bytes.Equal(got, want) || (e == nil) != (code == 0) || e != nil && e.code != code {
			t.Fatalf("%x in pieces of %d: %q, %v; want %q, %d", b, int(n)+1, got, err, want, code)
		}
	})
}

func BenchmarkFrames(b *testing.B) {
	for _, size := range []int{64, 1024, 65536} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			frame := binaryFrame(string(make([]byte, size)))
			buf := make([]byte, len(frame))
			var f frames
			b.SetBytes(int64(size))
			for b.Loop() {
				copy(buf, frame)
				if _, err := f.decode(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
