package store

import (
	"errors"
	"io"
	"math"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disk"
	"github.com/dunlin-mqtt/dunlin/broker/internal/store/journal"
)

// Restore makes what a backup of size bytes holds the state of a directory that
// nobody uses, after it has read all of it once. The files of before are kept
// as NAME.old. An error before the last step leaves the directory as it was.
// Long queues go to spill files at once: neither this nor a start has them in
// memory.
func Restore(d disk.Disk, r io.ReaderAt, size int64) error {
	if err := journal.ReadBackup(r, size, func(raw journal.Record) error {
		_, err := decodeRecord(Kind(raw.Kind), raw.Body)
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
		s := &shelf{spill: spill, add: add}
		err := journal.ReadBackup(r, size, s.take)
		if err == nil {
			err = s.end()
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

// shelf puts the entries of a backup into spill files, if a line has more than
// one batch of them.
type shelf struct {
	spill *journal.Spill
	add   func(kind byte, body []byte) error
	name  string // of the line
	log   journal.SpillLog
	disk  spilled
	batch []Entry
	size  int
}

// take gives a record to the checkpoint, or keeps it for a file.
func (s *shelf) take(raw journal.Record) error {
	if Kind(raw.Kind) != entrySpilled {
		if err := s.end(); err != nil {
			return err
		}
		return s.add(raw.Kind, raw.Body)
	}
	r, err := decodeRecord(entrySpilled, raw.Body)
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
func (s *shelf) flush() error {
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
func (s *shelf) end() error {
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
	*s = shelf{spill: s.spill, add: s.add}
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
