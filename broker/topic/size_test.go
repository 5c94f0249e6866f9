package topic

import (
	"testing"
	"unsafe"
)

// A retained message has a node of its own, and one more for each level that it
// has alone: their size is rounded up to the next class of the runtime.
func TestSizeOfANode(t *testing.T) {
	class := uintptr(80)
	if unsafe.Sizeof(uintptr(0)) == 4 {
		class = 48
	}
	if size := unsafe.Sizeof(node[*int]{}); size > class {
		t.Errorf("a node of Names has %d bytes, more than the class of %d", size, class)
	}
}
