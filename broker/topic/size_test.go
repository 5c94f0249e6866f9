package topic

import (
	"testing"
	"unsafe"
)

// A retained message has a node of its own, and one more for each level that it
// has alone: their size is rounded up to the next class of the runtime.
func TestSizeOfANode(t *testing.T) {
	class := uintptr(96)
	if unsafe.Sizeof(uintptr(0)) == 4 {
		class = 48
	}
	if size := unsafe.Sizeof(node[[2]*int]{}); size > class {
		t.Errorf("a node of Names with two pointers has %d bytes, more than the class of %d", size, class)
	}
}
