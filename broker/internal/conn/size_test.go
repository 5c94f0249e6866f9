package conn

import (
	"testing"
	"unsafe"

	"github.com/dunlin-mqtt/dunlin/broker/internal/session"
)

// What each idle connection takes is rounded up to the next size class of the
// runtime: one field too much costs up to 64 bytes.
func TestSizesOfAnIdleConnection(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("these are the classes of 64 bits")
	}
	for _, s := range []struct {
		name        string
		size, class uintptr
	}{
		{"Conn", unsafe.Sizeof(Conn{}), 576},
		{"Peer", unsafe.Sizeof(Peer{}), 96},
		{"Request", unsafe.Sizeof(Request{}), 160},
		{"Session", unsafe.Sizeof(session.Session{}), 288},
	} {
		if s.size > s.class {
			t.Errorf("%s has %d bytes, more than the class of %d", s.name, s.size, s.class)
		}
	}
}
