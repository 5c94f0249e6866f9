package totals

import (
	"context"
	"log/slog"
	"maps"
	"path/filepath"
	"sync"
	"time"
)

// Options are what a Store needs. Zero values are the defaults.
type Options struct {
	// Dir is the directory of the file, "" keeps the totals in memory alone.
	Dir string
	// PerDay is how often the file may be written in a day; 0 is 2880. What is
	// not used is saved up for bursts, no more than an hour's share.
	PerDay int
	// Log hears of a file that cannot be read or written; nil discards it.
	Log *slog.Logger
}

// retry is how long after a failed write the next may be.
const retry = time.Minute

// Store is a set of totals. Its methods are safe for concurrent use; Run is
// called once.
type Store struct {
	file  string
	every time.Duration // one write in this time
	log   *slog.Logger
	dirty chan struct{} // holds one thing when there is something to write

	mu struct {
		sync.Mutex
		totals map[string]float64
	}
}

// Open reads the file. One that cannot be read as what FORMAT.md says is moved
// out of the way: totals begin at nothing, which is logged, but devices run.
func Open(o Options) *Store {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.PerDay <= 0 {
		o.PerDay = 2880
	}
	s := &Store{every: 24 * time.Hour / time.Duration(o.PerDay), log: o.Log, dirty: make(chan struct{}, 1)}
	s.mu.totals = map[string]float64{}
	if o.Dir == "" {
		return s
	}
	s.file = filepath.Join(o.Dir, "totals")
	if kept, err := read(s.file); err != nil {
		s.log.Error("the totals of meters cannot be read and begin anew", "err", err)
	} else if kept != nil {
		s.mu.totals = kept
	}
	return s
}

// Load returns the total that was saved last under this key.
func (s *Store) Load(key string) (v float64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok = s.mu.totals[key]
	return v, ok
}

// Save notes a total; it does not wait for the disk.
func (s *Store) Save(key string, v float64) {
	s.mu.Lock()
	old, known := s.mu.totals[key]
	s.mu.totals[key] = v
	s.mu.Unlock()
	if known && old == v || s.file == "" {
		return
	}
	select {
	case s.dirty <- struct{}{}:
	default: // the next write takes it along
	}
}

// Run writes what is saved until ctx ends, and then once more.
func (s *Store) Run(ctx context.Context) error {
	budget := newBudget(s.every, time.Now())
	for {
		select {
		case <-ctx.Done():
			s.last()
			return nil
		case <-s.dirty:
		}
		wait := budget.take(time.Now())
		if !s.pause(ctx, wait) {
			continue
		}
		if err := s.write(); err != nil {
			s.log.Error("the totals of meters are not saved", "err", err)
			s.again()
			s.pause(ctx, retry)
		}
	}
}

// last writes what is left at the end.
func (s *Store) last() {
	select {
	case <-s.dirty:
	default:
		return
	}
	if err := s.write(); err != nil {
		s.log.Error("the totals of meters are not saved", "err", err)
	}
}

func (s *Store) again() {
	select {
	case s.dirty <- struct{}{}:
	default:
	}
}

// pause waits; false is that ctx ended first, and then there is something to
// write still.
func (s *Store) pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		s.again()
		return false
	}
}

func (s *Store) write() error {
	s.mu.Lock()
	totals := maps.Clone(s.mu.totals)
	s.mu.Unlock()
	return write(s.file, totals)
}

// budget lets one through in every, and saves up an hour's.
type budget struct {
	every time.Duration
	next  time.Time // when the next one would be due had none been saved up
}

func newBudget(every time.Duration, now time.Time) *budget {
	return &budget{every: every, next: now.Add(-time.Hour)}
}

// take returns how long to wait before the next write.
func (b *budget) take(now time.Time) time.Duration {
	if least := now.Add(-time.Hour); b.next.Before(least) {
		b.next = least
	}
	b.next = b.next.Add(b.every)
	return b.next.Sub(now)
}
