package journal

import "time"

// budget is how many bytes may still be written, of those that a day allows. It
// fills with time up to one day's.
type budget struct {
	perDay float64 // 0 is no bound
	left   float64
	at     time.Time
	spent  uint64    // of the total, so far
	noted  time.Time // when the file system last noted that files were changed
}

// What ext4 writes of its own while files are written to, as measured on a
// block device (DESIGN.md).
const (
	fileSystemEvery = 5 * time.Second
	fileSystemBytes = 7 << 10
)

func newBudget(perDay int64, now time.Time) budget {
	return budget{perDay: float64(perDay), left: float64(perDay), at: now}
}

// spend takes what total has grown by and returns how much of a day's bytes is
// left, 0 to 1.
func (b *budget) spend(now time.Time, total uint64) float64 {
	if b.perDay == 0 {
		return 1
	}
	b.left = min(b.left+b.perDay*now.Sub(b.at).Hours()/24, b.perDay) - float64(total-b.spent)
	if total > b.spent && now.Sub(b.noted) >= fileSystemEvery {
		b.left, b.noted = b.left-fileSystemBytes, now
	}
	b.left = max(b.left, -b.perDay) // a day in debt is enough
	b.at, b.spent = now, total
	return max(b.left/b.perDay, 0)
}

// scarce is the part of a day's bytes below which what can wait longer does.
const scarce = 0.25

// stretched is the interval while the budget is scarce: five times as long.
func (j *Journal) stretched() time.Duration {
	if j.level() < scarce {
		return 5 * j.opts.Interval
	}
	return j.opts.Interval
}

// Stretch is the factor by which what can wait for long should wait longer: 1,
// or 2 to 10 as the last quarter of the budget goes.
func (j *Journal) Stretch() time.Duration {
	if l := j.level(); l < scarce {
		return 2 + time.Duration(8*(1-l/scarce))
	}
	return 1
}

func (j *Journal) level() float64 { return float64(j.left.Load()) / 1000 }

// account takes what was written since it was last called from the budget.
func (j *Journal) account() {
	w := &j.w.stats
	total := w.Journal + w.Checkpoint + w.NewSegments
	if j.opts.Besides != nil {
		total += j.opts.Besides()
	}
	was := j.level()
	now := j.budget.spend(time.Now(), total)
	j.left.Store(int32(now * 1000))
	if was >= scarce && now < scarce {
		j.log.Warn("store: three quarters of the bytes that may be written in a day are: what can wait is written less often")
	}
}
