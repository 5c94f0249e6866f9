package bridge

import (
	"sync"
	"time"
)

// Clock remembers how the machine's clock was set since the process began, so
// that times noted before can be corrected: a board without a battery begins
// in 1970, and measures before it is told the time. The bridges of a gateway
// share one.
//
// It looks when a message is sent and when somebody asks for Stats: a step
// should be larger than the time between two looks, 10 s. A clock that was set
// back corrects only what lies in the future by it.
type Clock struct {
	read func(now time.Time) (wall time.Time, since time.Duration) // since by the clock that nobody sets
	zero time.Time                                                 // wall when since was 0

	mu struct {
		sync.Mutex
		epochs []epoch
	}
}

// epoch is the time from one step of the clock to the next.
type epoch struct {
	first, last time.Time     // on the clock of then
	ahead       time.Duration // of zero and since
}

const (
	stepLeast  = time.Second // less is how a clock is slewed
	mostEpochs = 16
	// jitter is what may pass between the looks at two clocks. Times that are
	// corrected by an offset that trembles would change places.
	jitter = 5 * time.Millisecond
)

// NewClock begins to watch the clock.
func NewClock() *Clock {
	start := time.Now()
	return newClock(func(now time.Time) (time.Time, time.Duration) { return now.Round(0), now.Sub(start) })
}

func newClock(read func(time.Time) (time.Time, time.Duration)) *Clock {
	wall, since := read(time.Now())
	c := &Clock{read: read, zero: wall.Add(-since)}
	c.mu.epochs = []epoch{{first: wall, last: wall}}
	return c
}

// look notes a step if there was one; the caller holds the lock.
func (c *Clock) look(now time.Time) (wall time.Time, ahead time.Duration) {
	wall, since := c.read(now)
	ahead = wall.Sub(c.zero) - since
	e := &c.mu.epochs[len(c.mu.epochs)-1]
	if slewed := (ahead - e.ahead).Abs(); slewed <= stepLeast {
		if e.last = wall; slewed > jitter {
			e.ahead = ahead
		}
		return wall, e.ahead
	}
	e.last = c.zero.Add(since + e.ahead)
	if len(c.mu.epochs) == mostEpochs {
		c.mu.epochs = c.mu.epochs[1:]
	}
	c.mu.epochs = append(c.mu.epochs, epoch{wall, wall, ahead})
	return wall, ahead
}

// ahead is by how much the clock was set since the process began.
func (c *Clock) ahead(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ahead := c.look(now)
	return ahead
}

// correct returns what the clock would have shown at a time that it did show
// since the process began, and whether that is different. now is of time.Now.
func (c *Clock) correct(at, now time.Time) (time.Time, bool) {
	at = at.Round(0)
	c.mu.Lock()
	defer c.mu.Unlock()
	wall, ahead := c.look(now)
	for _, e := range c.mu.epochs[:len(c.mu.epochs)-1] {
		if (e.ahead < ahead || at.After(wall)) && !at.Before(e.first.Add(-stepLeast)) && !at.After(e.last) {
			return at.Add(ahead - e.ahead), true
		}
	}
	return at, false
}
