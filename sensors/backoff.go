package sensors

import (
	"math/rand/v2"
	"time"
)

// backoff waits between tries to open a device: decorrelated jitter, so that
// devices that failed together do not come back together.
type backoff struct {
	least time.Duration
	last  time.Duration
}

// after returns the next wait, at most the given one.
func (b *backoff) after(most time.Duration) time.Duration {
	if b.last == 0 {
		b.last = b.least
		return b.last
	}
	b.last = min(most, b.least+rand.N(3*b.last-b.least+1))
	return b.last
}

func (b *backoff) reset() { b.last = 0 }
