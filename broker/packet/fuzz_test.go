package packet

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// FuzzDecode: whatever is accepted encodes to a packet that decodes to the
// same, has the size that Size says, and leaves nothing behind in a reused
// View.
func FuzzDecode(f *testing.F) {
	for _, tc := range canonical {
		f.Add(body(f, tc.first, tc.body), byte(tc.v))
	}
	used := new(View)
	f.Fuzz(func(t *testing.T, wire []byte, version byte) {
		v := mqtt.V31 + mqtt.Version(version)%3
		var p, q View
		err := Decode(wire, v, &p)
		if again := Decode(wire, v, used); (err == nil) != (again == nil) {
			t.Fatalf("fresh: %v, reused: %v", err, again)
		}
		if err != nil {
			return
		}
		b := Append(nil, v, &p)
		if got := Append(nil, v, used); !bytes.Equal(got, b) {
			t.Fatalf("a reused View encodes to %x, a fresh one to %x", got, b)
		}
		if n, err := Frame(b, 0); n != len(b) || err != nil || n != Size(v, &p) {
			t.Fatalf("Frame = %d, %v; Size = %d; length %d", n, err, Size(v, &p), len(b))
		}
		if err := Decode(b, v, &q); err != nil {
			t.Fatalf("%x became %x: %v", wire, b, err)
		}
		if !reflect.DeepEqual(p, q) {
			t.Fatalf("%x\n%+v\nbecame\n%+v", wire, p, q)
		}
		owned(t, v, &p)
	})
}
