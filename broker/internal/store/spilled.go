package store

import (
	"slices"
	"sort"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/journal"
)

// Run is a part of a line that is in a spill file: the entries from First to
// Last that are not gone.
type Run struct {
	Extent       journal.Extent
	First, Last  uint64 // Numbers
	Messages     int    // that are not gone
	Bytes        int64  // of them, about
	Since, Until time.Time
}

// span is a range of Numbers, both ends included.
type span struct{ from, to uint64 }

// spilled is the older part of a line: what is on disk only. Its numbers are
// all below those of Line.Entries.
type spilled struct {
	runs     []Run
	floor    uint64 // all Numbers up to here are gone
	gone     []span // above it, in order
	received map[uint64]struct{}
	log      journal.SpillLog
	cursor   cursor
	freed    bool // a run has gone
}

// cursor is where the batch begins that follows a Number.
type cursor struct {
	after uint64
	file  uint64
	page  uint32
}

// last is the highest Number on disk.
func (s *spilled) last() uint64 {
	if s == nil || len(s.runs) == 0 {
		return 0
	}
	return s.runs[len(s.runs)-1].Last
}

// has reports whether a Number may be on disk and is not known to be gone.
func (s *spilled) has(n uint64) bool { return n <= s.last() && n > s.floor && !s.isGone(n) }

// findGone is the first span of gone that ends at n or later, and whether n is
// in it.
func (s *spilled) findGone(n uint64) (int, bool) {
	i := sort.Search(len(s.gone), func(i int) bool { return s.gone[i].to >= n })
	return i, i < len(s.gone) && s.gone[i].from <= n
}

func (s *spilled) isGone(n uint64) bool {
	if n <= s.floor {
		return true
	}
	_, ok := s.findGone(n)
	return ok
}

// finish takes out one entry.
func (s *spilled) finish(n uint64) {
	if !s.has(n) {
		return
	}
	for i := range s.runs {
		if r := &s.runs[i]; n <= r.Last {
			r.discount(min(r.Messages, 1))
			break
		}
	}
	delete(s.received, n)
	s.markGone(n, n)
}

// cut takes out all entries of a range, of which there are count.
func (s *spilled) cut(from, to uint64, count int) {
	if from = max(from, s.floor+1); from > to {
		return
	}
	if i, ok := s.findGone(from); ok && s.gone[i].to >= to {
		return // applied before
	}
	var rest []*Run // of which nobody knows how many of them are in the range
	for i := range s.runs {
		r := &s.runs[i]
		if r.Last < from || r.First > to {
			continue
		}
		if n, exact := s.within(r, from, to); exact {
			r.discount(n)
			count -= n
		} else {
			rest = append(rest, r)
		}
	}
	for _, r := range rest {
		n, _ := s.within(r, from, to)
		n = max(min(n, count), 0)
		r.discount(n)
		count -= n
	}
	s.markGone(from, to)
}

// within is how many entries of a run are in a range. It is exact if the run has
// an entry for each Number, or is in the range as a whole; the most there can be
// otherwise.
func (s *spilled) within(r *Run, from, to uint64) (n int, exact bool) {
	if from <= r.First && to >= r.Last {
		return r.Messages, true
	}
	n = s.remaining(max(from, r.First), min(to, r.Last))
	return min(n, r.Messages), s.remaining(r.First, r.Last) == r.Messages
}

// remaining is how many Numbers of a range are not gone.
func (s *spilled) remaining(from, to uint64) int {
	if from = max(from, s.floor+1); from > to {
		return 0
	}
	n := to - from + 1
	for i, _ := s.findGone(from); i < len(s.gone) && s.gone[i].from <= to; i++ {
		n -= min(to, s.gone[i].to) - max(from, s.gone[i].from) + 1
	}
	return int(n)
}

// discount takes n entries off what a run counts.
func (r *Run) discount(n int) {
	if r.Messages > 0 {
		r.Bytes -= r.Bytes / int64(r.Messages) * int64(n)
	}
	r.Messages -= n
}

// markGone says that nothing is left in a range of Numbers.
func (s *spilled) markGone(from, to uint64) {
	if from = max(from, s.floor+1); from > to {
		return
	}
	i, _ := s.findGone(from - 1) // a span that ends just before, or the place of this
	j := i
	for j < len(s.gone) && s.gone[j].from <= to+1 {
		from, to = min(from, s.gone[j].from), max(to, s.gone[j].to)
		j++
	}
	if from == s.floor+1 { // all spans up to j are part of it
		s.floor = to
		s.gone = s.gone[j:]
	} else {
		if i == j {
			s.gone = append(s.gone, span{})
			copy(s.gone[i+1:], s.gone[i:])
			j++
		}
		s.gone[i] = span{from, to}
		s.gone = append(s.gone[:i+1], s.gone[j:]...)
		s.dropEmpty(from, to)
	}
	for len(s.runs) > 0 && s.runs[0].Last <= s.floor {
		s.runs, s.freed = s.runs[1:], true
	}
	if len(s.runs) == 0 {
		s.gone, s.received, s.log = nil, nil, journal.SpillLog{}
	}
}

// dropEmpty forgets the runs that are within a range of which nothing is left. The
// last stays: it says where memory begins.
func (s *spilled) dropEmpty(from, to uint64) {
	i := sort.Search(len(s.runs), func(i int) bool { return s.runs[i].First >= from })
	j := i
	for j < len(s.runs)-1 && s.runs[j].Last <= to {
		j++
	}
	if i < j {
		s.runs, s.freed = slices.Delete(s.runs, i, j), true
	}
}

// add puts a batch behind the others.
func (s *spilled) add(r Run) {
	if n := len(s.runs); n > 0 {
		if p := &s.runs[n-1]; p.Extent.File == r.Extent.File && p.Extent.To == r.Extent.From {
			p.Extent.To, p.Last, p.Until = r.Extent.To, r.Last, r.Until
			p.Messages, p.Bytes = p.Messages+r.Messages, p.Bytes+r.Bytes
			return
		}
	} else {
		s.floor = max(s.floor, r.First-1)
	}
	s.runs = append(s.runs, r)
}
