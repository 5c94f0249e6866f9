package store

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/journal"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Read returns the entries of a line behind a Number, in order: at least one if
// there is one, and not many more than limit bytes; and the Number up to which
// there are no others. It reads the disk: nobody who must not wait may call it.
func (s *Durable) Read(name string, after uint64, limit int) (entries []Entry, upTo uint64, err error) {
	return s.ReadTo(new(Room), name, after, limit)
}

// ReadTo is Read that puts the entries into room; they are good until it is used
// again.
func (s *Durable) ReadTo(room *Room, name string, after uint64, limit int) (entries []Entry, upTo uint64, err error) {
	for missing := 0; ; {
		r := s.look(room, name, after, limit)
		if !r.onDisk {
			return r.entries, r.upTo, nil
		}
		batch, next, err := s.readRun(room, &r, limit)
		if errors.Is(err, journal.ErrNoFile) {
			// A file may go with all that was in it while it is looked for.
			if missing++; missing < 3 {
				continue
			}
			if s.spill.Others(r.run.Extent.File) {
				s.badSpill(r.run.Extent.File, int(r.run.Extent.To-r.run.Extent.From))
				next, err = r.run.Extent.To, nil
			}
		}
		if err != nil {
			return nil, after, err
		}
		if entries, after = s.loaded(name, &r, batch, next); len(entries) > 0 {
			return entries, after, nil
		}
	}
}

// found is where the entries behind a Number are.
type found struct {
	entries []Entry // in memory
	upTo    uint64
	onDisk  bool
	after   uint64 // nothing between the Number asked for and this one
	run     Run
	page    uint32 // where to begin in it
	seen    uint64 // the last Number read
}

func (s *Durable) look(room *Room, name string, after uint64, limit int) (f found) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.mu.state.Lines[name]
	if l == nil {
		return found{upTo: after}
	}
	if after < l.disk.last() {
		return l.where(after)
	}
	f.entries, f.upTo = room.entries[:0], after
	for i, size := l.behind(after), 0; i < len(l.Entries) && len(f.entries) < batchMost && (size < limit || len(f.entries) == 0); i++ {
		f.entries, size, f.upTo = append(f.entries, l.Entries[i]), size+l.Entries[i].Message.Size(), l.Entries[i].Number
	}
	room.entries = f.entries
	return f
}

func (s *Durable) readRun(room *Room, f *found, limit int) (batch []Entry, next uint32, err error) {
	room.entries, room.messages = room.entries[:0], room.messages[:0]
	next, bad, err := s.spill.Read(f.run.Extent, f.page, limit, func(raw journal.Record) error {
		if f.seen = raw.Sequence; f.seen <= f.after {
			return nil
		}
		if Kind(raw.Kind) != entrySpilled {
			_, err := decodeRecord(Kind(raw.Kind), raw.Body)
			return err
		}
		return room.read(raw.Body)
	})
	s.badSpill(f.run.Extent.File, bad)
	return room.batch(), next, err
}

// loaded takes out of what was read what is gone, and learns which Numbers
// there are.
func (s *Durable) loaded(name string, r *found, batch []Entry, next uint32) (live []Entry, upTo uint64) {
	upTo = r.run.Last
	if next < r.run.Extent.To {
		upTo = max(r.seen, r.after)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.mu.state.Lines[name]
	if l == nil || l.disk == nil {
		return nil, upTo
	}
	d := l.disk
	s.inTime(batch, r.run.Extent.File)
	d.cursor = cursor{upTo, r.run.Extent.File, next}
	live = batch[:0]
	for _, e := range batch {
		if !d.isGone(e.Number) {
			_, got := d.received[e.Number]
			e.Received = e.Received || got
			live = append(live, e)
		}
	}
	from := r.after + 1
	for i := range live {
		d.markGone(from, live[i].Number-1)
		from = live[i].Number + 1
	}
	d.markGone(from, upTo)
	s.mu.freed = s.mu.freed || d.freed
	return live, upTo
}

// where finds the place on disk of the first entry behind a Number.
func (l *Line) where(after uint64) found {
	d := l.disk
	after = max(after, d.floor)
	i := 0
	for d.runs[i].Last <= after {
		i++
	}
	f := found{onDisk: true, after: after, run: d.runs[i], page: d.runs[i].Extent.From}
	if c := &d.cursor; c.file == f.run.Extent.File && c.after == after && c.page >= f.page && c.page < f.run.Extent.To {
		f.page = c.page
	}
	return f
}

// behind is the index of the first entry in memory behind a Number.
func (l *Line) behind(after uint64) int {
	i, found := slices.BinarySearchFunc(l.Entries, after, byNumber)
	if found {
		i++
	}
	return i
}

func byNumber(e Entry, n uint64) int {
	switch {
	case e.Number < n:
		return -1
	case e.Number > n:
		return 1
	}
	return 0
}

// badSpill counts pages of a file that could not be read; it will be kept for a
// person to look at.
func (s *Durable) badSpill(file uint64, n int) {
	if n > 0 {
		s.spill.Damaged(file)
		s.opts.Log.Error("store: damage was found in what was spilled; what was on the bad pages is lost", "pages", n)
		s.bad.Add(uint64(n))
	}
}

// SpillDamage is how many pages of spill files could not be read until now.
func (s *Durable) SpillDamage() int { return int(s.bad.Load()) }

// Block is a part of a queue, in order.
type Block struct {
	First, Last  uint64 // Numbers; of First only Queue tells
	Messages     int
	Bytes        int64
	Since, Until time.Time // when its first and last were queued
}

// Kept is what the store has of a queue.
type Kept struct {
	Blocks        []Block // in order
	Subscriptions map[string]mqtt.Subscription
	Last, Handed  uint64 // as in Line
}

// Queue describes what a queue holds.
func (s *Durable) Queue(name string) (k Kept) {
	m := &s.mu
	m.Lock()
	defer m.Unlock()
	l := m.state.Lines[name]
	if l == nil {
		return Kept{}
	}
	if l.disk != nil {
		for _, r := range l.disk.runs {
			k.Blocks = append(k.Blocks, Block{r.First, r.Last, r.Messages, r.Bytes, r.Since, r.Until})
		}
	}
	if n := len(l.Entries); n > 0 {
		k.Blocks = append(k.Blocks, Block{l.Entries[0].Number, l.Entries[n-1].Number, n, l.bytes, l.Entries[0].At, l.Entries[n-1].At})
	}
	k.Subscriptions, k.Last, k.Handed = maps.Clone(l.Subscriptions), l.Last, l.Handed
	return k
}

// Tight reports whether what outgrows memory cannot be put on disk now.
func (s *Durable) Tight() bool {
	if s.tight.Load() {
		s.j.Nudge() // it is tried again, also if what comes is not taken and wakes nobody
		return true
	}
	return s.j.Degraded()
}

// Spilled is how many bytes the disk has taken of what outgrew memory.
func (s *Durable) Spilled() uint64 { return s.spilled.Load() }
