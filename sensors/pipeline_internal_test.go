package sensors

import (
	"testing"
	"unsafe"
)

// A gateway has many entities; what each takes is felt on a small board.
func TestEntityIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(entity{}); n > 208 {
		t.Errorf("an entity takes %d bytes, and the allocator's class of 208 is left", n)
	}
}
