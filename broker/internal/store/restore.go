package store

import (
	"errors"
	"io"
	"math"
	"strings"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disk"
	"github.com/dunlin-mqtt/dunlin/broker/internal/store/journal"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Part is a part of what is kept.
type Part uint8

// The parts.
const (
	PartRetained Part = 1 << iota // retained messages
	PartSessions                  // of clients: subscriptions and what waits for them
	PartSpools                    // of bridges, and their sessions with other servers

	Everything = PartRetained | PartSessions | PartSpools
)

// partOf says what a line is a part of.
func partOf(name string) Part {
	if strings.HasPrefix(name, "\x00") {
		return PartSpools
	}
	return PartSessions
}

// Restore makes what a backup of size bytes holds of these parts the state of a
// directory that nobody uses, after it has read all of it once. The files of
// before are kept as NAME.old. An error before the last step leaves the
// directory as it was. Long queues go to spill files at once: neither this nor
// a start has them in memory.
func Restore(d disk.Disk, r io.ReaderAt, size int64, parts Part) error {
	left := leaving{parts: parts, lines: map[string]bool{}, topics: map[string]bool{}}
	if err := journal.ReadBackup(r, size, func(raw journal.Record) error {
		r, err := decodeRecord(Kind(raw.Kind), raw.Body)
		if err == nil {
			left.note(&r)
		}
		return err
	}); err != nil {
		return err
	}
	spill, err := journal.OpenSpill(d, 0, 0)
	if err != nil {
		return err
	}
	before := spill.Last()
	err = journal.Restore(d, func(add func(kind byte, body []byte) error) error {
		s := &restorer{spill: spill, add: add, parts: parts}
		err := journal.ReadBackup(r, size, s.take)
		if err == nil {
			err = s.end()
		}
		if err == nil {
			err = left.end(add)
		}
		if err == nil {
			err = spill.Sync()
		}
		if err != nil {
			err = errors.Join(err, spill.Release(func(file uint64) bool { return file <= before }))
		}
		return err
	})
	return err
}

// leaving are the lines and retained messages of a backup that are not wanted:
// they are restored with the rest, which may be in the same records, and then
// ended.
type leaving struct {
	parts         Part
	lines, topics map[string]bool
}

func (l *leaving) note(r *Record) {
	line := func(name string) {
		if name != "" && l.parts&partOf(name) == 0 {
			l.lines[name] = true
		}
	}
	line(r.ClientID)
	for i := range r.Destinations {
		line(r.Destinations[i].Name)
	}
	if r.Kind == RetainedSet && l.parts&PartRetained == 0 {
		l.topics[r.Message.Topic] = true
	}
}

// end ends them.
func (l *leaving) end(add func(kind byte, body []byte) error) (err error) {
	give := func(r *Record) {
		if err == nil {
			err = add(byte(r.Kind), appendRecord(nil, r))
		}
	}
	for name := range l.lines {
		give(&Record{Kind: SessionEnded, ClientID: name})
	}
	for name := range l.topics {
		give(&Record{Kind: RetainedCleared, Message: &mqtt.Message{Topic: name}})
	}
	return err
}

// restorer puts the entries of a backup into spill files, if a line has more than
// one batch of them.
type restorer struct {
	spill *journal.Spill
	add   func(kind byte, body []byte) error
	parts Part   // whose entries are kept
	name  string // of the line
	log   journal.SpillLog
	disk  spilled
	batch []Entry
	size  int
}

// take gives a record to the checkpoint, or keeps it for a file.
func (s *restorer) take(raw journal.Record) error {
	if Kind(raw.Kind) != entrySpilled {
		if err := s.end(); err != nil {
			return err
		}
		return s.add(raw.Kind, raw.Body)
	}
	r, err := decodeRecord(entrySpilled, raw.Body)
	if err == nil && s.parts&partOf(r.ClientID) == 0 {
		return nil
	}
	if err == nil && r.ClientID != s.name {
		err = s.end()
	}
	if err != nil {
		return err
	}
	s.name, s.batch, s.size = r.ClientID, append(s.batch, r.entry(&r.Destinations[0])), s.size+r.Message.Size()
	if s.size < spillBatch {
		return nil
	}
	return s.flush()
}

// flush writes a batch.
func (s *restorer) flush() error {
	for i := range s.batch {
		s.spill.Add(byte(entrySpilled), s.batch[i].Number, appendRecord(nil, s.batch[i].record("")))
	}
	extent, err := s.spill.Flush(&s.log)
	if err == nil {
		s.disk.add(runOf(extent, s.batch))
	}
	s.batch, s.size = nil, 0
	return err
}

// end says where a line is.
func (s *restorer) end() error {
	give := func(r *Record) error { return s.add(byte(r.Kind), appendRecord(nil, r)) }
	if len(s.disk.runs) == 0 {
		for i := range s.batch {
			if err := give(s.batch[i].record(s.name)); err != nil {
				return err
			}
		}
	} else {
		if len(s.batch) > 0 {
			if err := s.flush(); err != nil {
				return err
			}
		}
		for i := range s.disk.runs {
			if err := give(&Record{Kind: runKept, ClientID: s.name, run: &s.disk.runs[i]}); err != nil {
				return err
			}
		}
		if err := give(&Record{Kind: spansKept, ClientID: s.name, Number: s.disk.floor}); err != nil {
			return err
		}
	}
	*s = restorer{spill: s.spill, add: s.add, parts: s.parts}
	return nil
}

// runOf is a batch that was written.
func runOf(extent journal.Extent, batch []Entry) Run {
	run := Run{
		Extent: extent, First: math.MaxUint64, Messages: len(batch), Since: batch[0].At, Until: batch[len(batch)-1].At,
	}
	for i := range batch {
		run.First, run.Last = min(run.First, batch[i].Number), max(run.Last, batch[i].Number)
		run.Bytes += int64(batch[i].Message.Size())
	}
	return run
}
