package conn

import "time"

// pulse is how fast what a loop has to do comes: the mean distance of rounds.
type pulse struct {
	last int64 // in the loop's time
	gap  int64 // nanoseconds
}

const (
	briskGap = int64(2 * time.Millisecond)
	rapidGap = int64(100 * time.Microsecond)
	gapMax   = 4 * briskGap
)

func (p *pulse) beat(now int64) {
	p.gap += (min(now-p.last, gapMax) - p.gap) / 8
	p.last = now
}

// brisk reports whether the next round will come so soon that something may
// wait for it.
func (p *pulse) brisk() bool { return p.gap < briskGap }

// rapid reports whether rounds follow one another so fast that their own cost
// counts.
func (p *pulse) rapid() bool { return p.gap < rapidGap }
