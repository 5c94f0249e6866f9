package store

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/journal"
)

// What of a line is spilled: while more than spillAt bytes of messages are in
// memory, the oldest batch goes to disk.
const (
	spillAt    = 128 << 10
	spillBatch = 64 << 10
	batchMost  = 1024 // entries: small ones take more memory than their bytes say
)

// retell is how long nothing is said of a full disk again: where the oldest gives
// way, each file that goes makes room for one.
const retell = time.Hour

func isQueue(name string) bool { return strings.HasPrefix(name, "\x00") }

// most is how many bytes of a line may be in memory: less while that is short.
func (s *Durable) most() int64 {
	if s.opts.Level == nil {
		return spillAt
	}
	return spillAt >> (2 * min(s.opts.Level(), 2))
}

// Relieve spills what lines have in memory beyond most, now.
func (s *Durable) Relieve() {
	m, most := &s.mu, s.most()
	m.Lock()
	for name, l := range m.state.Lines {
		if !l.toSpill && l.weight() > most {
			l.toSpill = true
			m.toSpill = append(m.toSpill, name)
		}
	}
	m.Unlock()
	s.j.Nudge()
}

// weight is what the entries in memory take.
func (l *Line) weight() int64 { return l.bytes + int64(len(l.Entries))*entryCost }

// mark notes the lines that a message made too long for memory. The
// caller holds mu.
func (s *Durable) mark(to []Destination) {
	for i := range to {
		l := s.mu.state.Lines[to[i].Name]
		if l == nil {
			continue
		}
		if s.charge(l, false); !l.toSpill && l.weight() > s.most() {
			l.toSpill = true
			s.mu.toSpill = append(s.mu.toSpill, to[i].Name)
		}
	}
	if len(s.mu.toSpill) > 0 {
		s.j.Nudge() // what is of class Never is not written, and wakes nobody else
	}
}

// beside spills what has to be. It reports whether files wait for a checkpoint
// to be removed.
func (s *Durable) beside() (checkpoint bool) {
	m := &s.mu
	set := s.lookAtClock()
	m.Lock()
	names, freed := m.toSpill, m.freed
	checkpoint = set || m.stale
	m.toSpill, m.freed, m.stale = nil, false, false
	m.Unlock()
	for i, name := range names {
		if err := s.spillLine(name); err != nil {
			if s.tight.CompareAndSwap(false, true) && time.Since(s.told) > retell {
				s.told = time.Now()
				s.opts.Log.Warn("store: what waits cannot be put on disk, it stays in memory", "err", err)
			}
			m.Lock()
			m.toSpill = append(m.toSpill, names[i:]...)
			m.Unlock()
			break
		}
		s.tight.Store(false)
	}
	return checkpoint || freed && s.wasted()
}

// idleFiles is how many spill files may be there that nothing needs.
const idleFiles = 8

// wasted reports whether many spill files wait for a checkpoint that does not
// name them, or all do, or one does where there is no space for another.
func (s *Durable) wasted() bool {
	live := s.files()
	idle := s.spill.Idle(func(file uint64) bool { _, ok := live[file]; return ok })
	return idle > idleFiles || idle > 0 && (len(live) == 0 || s.tight.Load())
}

// files are the spill files of all lines.
func (s *Durable) files() map[uint64]struct{} {
	files := make(map[uint64]struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.mu.state.Lines {
		if l.disk != nil {
			for i := range l.disk.runs {
				files[l.disk.runs[i].Extent.File] = struct{}{}
			}
		}
	}
	return files
}

// spillLine writes the oldest entries of a line to its spill file until the
// rest is small enough for memory.
func (s *Durable) spillLine(name string) error {
	m := &s.mu
	for {
		m.Lock()
		l := m.state.Lines[name]
		if l == nil || l.weight() <= s.most() {
			if l != nil {
				l.toSpill = false
			}
			m.Unlock()
			return nil
		}
		if l.disk == nil {
			l.disk = new(spilled)
		}
		log := l.disk.log
		var batch []Entry
		for size := 0; len(batch) < min(len(l.Entries), batchMost) && size < spillBatch; {
			e := l.Entries[len(batch)]
			batch, size = append(batch, e), size+e.Message.Size()
		}
		m.Unlock()
		extent, err := s.writeBatch(&log, batch)
		m.Lock()
		if m.state.Lines[name] == l { // it may have ended meanwhile
			l.disk.log = log
			if err == nil {
				l.moved(extent, batch)
			}
			s.charge(l, false)
		}
		m.Unlock()
		if err != nil {
			return err
		}
	}
}

func (s *Durable) writeBatch(log *journal.SpillLog, batch []Entry) (journal.Extent, error) {
	var body []byte
	for i := range batch {
		e := &batch[i]
		body = appendRecord(body[:0], s.timely(e.record("")))
		s.spill.Add(byte(entrySpilled), e.Number, body)
	}
	extent, err := s.spill.Flush(log)
	s.spilled.Store(s.spill.Bytes())
	s.size.Store(s.spill.Size())
	return extent, err
}

// maxHoles is how many ranges of Numbers that never came to the disk a line
// remembers.
const maxHoles = 64

// moved takes a batch out of memory that is on disk now. Some of it may be gone
// or received since it was taken.
func (l *Line) moved(extent journal.Extent, batch []Entry) {
	run := runOf(extent, batch)
	here := l.Entries
	n := 0
	for n < len(here) && here[n].Number <= run.Last {
		l.leave(here[n].Message)
		n++
	}
	gone, received := batch[:0:0], here[:n]
	for _, e := range batch {
		if _, there := slices.BinarySearchFunc(received, e.Number, byNumber); !there {
			gone = append(gone, e)
		}
	}
	next := run.First
	if last := l.disk.last(); last > 0 {
		next = last + 1
	}
	l.disk.add(run)
	for i := range batch { // what is not there is known, while it is little, so that parts of a run can be counted
		if n := batch[i].Number; n > next && len(l.disk.gone) < maxHoles {
			l.disk.markGone(next, n-1)
		}
		next = batch[i].Number + 1
	}
	for i := range gone {
		l.disk.finish(gone[i].Number)
	}
	for i := range received {
		if received[i].Received {
			l.receive(received[i].Number)
		}
	}
	if l.Entries = here[n:]; len(l.Entries) <= n {
		l.Entries = slices.Clone(l.Entries) // the array goes with what was in it
	} else {
		clear(here[:n]) // copying a long backlog once a batch would be quadratic
	}
}

// syncSpill makes durable what a checkpoint is about to name. Files that cannot
// be trusted are written again.
func (s *Durable) syncSpill() error {
	s.used = make(map[uint64]struct{})
	for _, file := range s.spill.Failed() {
		if err := s.rewrite(file); err != nil {
			return err
		}
		s.used[file] = struct{}{} // the checkpoint before names it, and may have to stand for this one
	}
	err := s.spill.Sync()
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, l := range s.mu.state.Lines {
			if l.disk != nil {
				l.disk.log = journal.SpillLog{} // nothing goes into these files any more
			}
		}
	}
	return err
}

// current are the files that are written to.
func (s *Durable) current() map[uint64]struct{} {
	files := make(map[uint64]struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.mu.state.Lines {
		if l.disk != nil {
			files[l.disk.log.File()] = struct{}{}
		}
	}
	return files
}

// rewrite copies what is in a file whose sync failed to another: the system may
// have dropped its pages, but what was read back is what was written.
func (s *Durable) rewrite(file uint64) error {
	m := &s.mu
	m.Lock()
	var lines []*Line
	for _, l := range m.state.Lines {
		if l.in(file) >= 0 {
			lines = append(lines, l)
		}
	}
	m.Unlock()
	for _, l := range lines {
		m.Lock()
		i := l.in(file)
		var old journal.Extent
		if i >= 0 {
			old = l.disk.runs[i].Extent
		}
		m.Unlock()
		if i < 0 {
			continue // all of it has gone
		}
		_, bad, err := s.spill.Read(old, old.From, math.MaxInt, func(r journal.Record) error {
			s.spill.Add(r.Kind, r.Sequence, r.Body)
			return nil
		})
		s.badSpill(file, bad)
		extent := old
		if err == nil {
			extent, err = s.spill.Flush(new(journal.SpillLog))
		}
		if err != nil {
			return err
		}
		m.Lock()
		if i := l.in(file); i >= 0 {
			l.disk.runs[i].Extent = extent
		}
		m.Unlock()
	}
	return nil
}

// in is the index of the run of a line that is in a file, -1 if none is: there
// is one at most.
func (l *Line) in(file uint64) int {
	if l.disk != nil {
		for i := range l.disk.runs {
			if l.disk.runs[i].Extent.File == file {
				return i
			}
		}
	}
	return -1
}

// record is the entry with its message.
func (e *Entry) record(name string) *Record {
	return &Record{Kind: entrySpilled, ClientID: name, Number: e.Number, Message: e.Message, At: e.At, received: e.Received,
		Destinations: []Destination{e.destination(name)}}
}

// use notes the files of a line that the checkpoint in the making names. The
// caller holds mu.
func (s *Durable) use(l *Line) {
	if l != nil && l.disk != nil {
		for i := range l.disk.runs {
			s.used[l.disk.runs[i].Extent.File] = struct{}{}
		}
	}
}

// covered removes the files that nothing names any more. A failure costs space.
func (s *Durable) covered() {
	// What the two checkpoints take is no longer needed for them. They have what
	// could not be spilled: without its room it never could.
	taken := 2 * int64(s.j.Stats().CheckpointBytes)
	s.spill.Leave(s.opts.MinFree + max(reserve-taken, reserve/4))
	live := s.current()
	err := s.spill.Release(func(file uint64) bool {
		_, named := s.used[file]
		_, open := live[file]
		return named || open
	})
	s.size.Store(s.spill.Size())
	if err != nil {
		s.opts.Log.Warn("store: old files are left", "err", err)
	}
}
