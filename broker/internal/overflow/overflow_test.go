package overflow_test

import (
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker/internal/overflow"
)

// The less room there is, the fewer messages a queue takes: all, then one of
// two, four, eight and so on, down to one of 512.
func TestSampler(t *testing.T) {
	for _, tc := range []struct {
		free float64
		of   int // one of so many is taken
	}{{1, 1}, {0.51, 1}, {0.5, 2}, {0.26, 2}, {0.25, 4}, {0.2, 4}, {0.125, 8}, {0.01, 64}, {0.001, 512}, {0, 512}, {-1, 512}} {
		const draws = 1 << 16
		var s overflow.Sampler
		taken := 0
		for range draws {
			if !s.Skips(tc.free) {
				taken++
			}
		}
		if want := draws / tc.of; taken < want*3/4 || taken > want*5/4 {
			t.Errorf("%v free: %d of %d are taken, about %d were expected", tc.free, taken, draws, want)
		}
	}
}
