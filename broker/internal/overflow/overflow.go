package overflow

import "math/bits"

// Policy is what gives way. The zero value is DropOldest.
type Policy uint8

// The policies.
const (
	DropOldest Policy = iota // the oldest that was never sent or handed out
	DropNewest               // the new message
	Reject                   // the new message, and who publishes hears of it
	LastValue                // the older value of the same topic, else as DropOldest
	Downsample               // more and more of the new messages as the queue fills
)

// Sampler chooses the messages that a queue with Downsample takes: at random,
// since a pattern would hit the same of several topics each time. The zero value
// is ready.
type Sampler uint32

// Skips reports whether the next message is left out. Of a queue that is free to
// more than a half none is, from then on every second, and of each quarter,
// eighth and so on of what is left half as many are taken.
func (s *Sampler) Skips(free float64) bool {
	if free > 0.5 {
		return false
	}
	k := min(bits.Len(uint(1/max(free, 1e-3)))-1, 10)
	*s = *s*1664525 + 1013904223 // a random sequence (Numerical Recipes)
	return *s>>(32-k) != 0
}
