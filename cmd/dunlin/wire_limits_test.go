package main

import (
	"testing"

	"github.com/dunlin-mqtt/dunlin/config"
)

// An int of 32-bit boards does not have these sizes: they are as much as it has,
// not 0 or less.
func TestSizesBeyond32Bits(t *testing.T) {
	for _, size := range []config.Size{2 << 30, 3 << 30, 4 << 30, 1 << 40} {
		if n := limits(nil, &config.Limits{QueueSize: size}).QueueSize; n < 1<<30-1 {
			t.Errorf("a queue of %d bytes has %d", size, n)
		}
		r := outRoutes([]config.OutRoute{{Lane: "live", MaxSize: size}})
		if n := r[0].MaxSize; n < 1<<30-1 {
			t.Errorf("a route for %d bytes takes %d", size, n)
		}
	}
}
