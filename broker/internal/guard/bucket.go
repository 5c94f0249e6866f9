package guard

import "time"

// connectBurst is how many seconds' worth of connections may come at once: a
// house full of devices comes back after a power cut.
const connectBurst = 10

// bucket is a token bucket; tokens come back with time.
type bucket struct {
	rate, size float64 // tokens a second, and at most
	tokens     float64
	at         time.Time
}

// newBucket holds what comes in so many seconds, at least one.
func newBucket(now time.Time, rate, seconds float64) bucket {
	size := max(rate*seconds, 1)
	return bucket{rate: rate, size: size, tokens: size, at: now}
}

// resize gives a bucket another rate: it stays as full as it was. The zero
// value becomes a full one.
func (b *bucket) resize(now time.Time, rate, seconds float64) {
	next := newBucket(now, rate, seconds)
	if b.size > 0 {
		b.fill(now)
		next.tokens *= b.tokens / b.size
	}
	*b = next
}

// fill puts in what the time has brought.
func (b *bucket) fill(now time.Time) {
	b.tokens = min(b.tokens+now.Sub(b.at).Seconds()*b.rate, b.size)
	b.at = now
}

// try takes a token if there is one.
func (b *bucket) try(now time.Time) bool {
	b.fill(now)
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
