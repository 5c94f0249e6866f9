package broker

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store"
	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disk"
	"github.com/dunlin-mqtt/dunlin/broker/internal/store/journal"
)

// What a data directory holds, for who looks at it while no broker uses it.
type (
	// StoredFile is one file of a data directory.
	StoredFile = journal.FileInfo
	// StoredReport says what a start finds.
	StoredReport = journal.Report
	// StoredEntry is one message that waits in a line.
	StoredEntry = store.Entry
)

// Stored is a data directory that is looked at; no broker can use it until
// Close.
type Stored struct {
	*store.State // of lines only what is in memory of a broker: see Entries
	Report       StoredReport
	SpillDamage  int // bad pages of what is spilled, after Verify; Report has them too
	dir          *disk.Dir
	store        *store.Durable
}

// OpenStored reads the data directory dir, and gives each of its files to each.
// Nothing is changed. A directory that is in use, or was written by a newer
// version, is an error and left alone.
func OpenStored(dir string, each func(StoredFile)) (*Stored, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	d, err := lockedDir(dir)
	if err != nil {
		return nil, err
	}
	s := &Stored{dir: d}
	if err = journal.Inspect(d, each); err == nil {
		s.store, s.State, s.Report, err = store.Open(d, store.Options{})
	}
	if err != nil {
		d.Unlock()
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return s, nil
}

// Close lets others use the directory.
func (s *Stored) Close() { s.dir.Unlock() }

// Amount is how many messages wait in a line, and how many bytes they take,
// about.
func (s *Stored) Amount(name string) (messages int, bytes int64) {
	for _, b := range s.store.Queue(name).Blocks {
		messages, bytes = messages+b.Messages, bytes+b.Bytes
	}
	return messages, bytes
}

// Oldest is when the first message of a line was queued; zero if none waits.
func (s *Stored) Oldest(name string) (at time.Time) {
	if blocks := s.store.Queue(name).Blocks; len(blocks) > 0 {
		at = blocks[0].Since
	}
	return at
}

// Entries gives the messages that wait in a line to f, in order, a few at a
// time in memory.
func (s *Stored) Entries(name string, f func(*StoredEntry) error) error {
	const atATime = 64 << 10
	for after := uint64(0); ; {
		entries, upTo, err := s.store.Read(name, after, atATime)
		if err != nil || len(entries) == 0 {
			return err
		}
		for i := range entries {
			if err := f(&entries[i]); err != nil {
				return err
			}
		}
		after = upTo
	}
}

// Verify reads what is spilled, too, and counts what is damaged of it in
// Report.
func (s *Stored) Verify() error {
	for name := range s.Lines {
		if err := s.Entries(name, func(*StoredEntry) error { return nil }); err != nil {
			return err
		}
	}
	s.SpillDamage = s.store.SpillDamage()
	s.Report.BadPages += s.SpillDamage
	return nil
}

// Repair writes what can be read anew, and keeps damaged files as *.bad. What is
// spilled stays: who reads a line passes over bad pages, and keeps the file as
// *.bad behind them.
func (s *Stored) Repair() error { return s.store.Repair() }

// A StoredPart is a part of what a data directory holds.
type StoredPart = store.Part

// The parts: retained messages; sessions of clients, with what waits for them;
// spools of bridges.
const (
	StoredRetained = store.PartRetained
	StoredSessions = store.PartSessions
	StoredSpools   = store.PartSpools
)

// RestoreData makes what a backup of size bytes holds of these parts the state
// of the data directory dir, which no broker may use. What was there before is
// kept as *.old.
func RestoreData(dir string, r io.ReaderAt, size int64, parts StoredPart) error {
	d, err := lockedDir(dir)
	if err != nil {
		return err
	}
	defer d.Unlock()
	return store.Restore(d, r, size, parts)
}

// DataInUse reports whether a broker uses the data directory dir now.
func DataInUse(dir string) bool {
	if _, err := os.Stat(dir); err != nil {
		return false
	}
	d, err := lockedDir(dir)
	if err == nil {
		d.Unlock()
	}
	return err != nil
}

func lockedDir(dir string) (*disk.Dir, error) {
	d, err := disk.OpenDir(dir)
	if err != nil {
		return nil, err
	}
	if err := d.Lock(); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return d, nil
}

// Backup streams everything that is kept to w while the broker goes on: as it
// is at the end, and with all that was acknowledged before. It waits for w.
func (b *Broker) Backup(w io.Writer) error {
	if b.durable == nil {
		return errors.New("this gateway keeps its state in memory only")
	}
	return b.durable.Backup(w)
}
