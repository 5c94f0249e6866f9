package broker

import (
	"errors"
	"fmt"
	"io"
	"os"

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
	// Stored is everything that is kept.
	Stored = store.State
)

// InspectData reads the data directory dir, gives each of its files to each,
// and returns what a start would find in it. Nothing is changed, unless repair
// is true: then what can be read is written anew, and damaged files are kept
// as *.bad. A directory that is in use, or was written by a newer version, is
// an error and left alone.
func InspectData(dir string, repair bool, each func(StoredFile)) (*Stored, StoredReport, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, StoredReport{}, err
	}
	d, err := lockedDir(dir)
	if err != nil {
		return nil, StoredReport{}, err
	}
	defer d.Unlock()
	if err := journal.Inspect(d, each); err != nil {
		return nil, StoredReport{}, fmt.Errorf("%s: %w", dir, err)
	}
	s, state, report, err := store.Open(d, store.Options{})
	if err == nil && repair {
		err = s.Repair()
	}
	if err != nil {
		return nil, report, fmt.Errorf("%s: %w", dir, err)
	}
	return state, report, nil
}

// RestoreData makes what a backup of size bytes holds the state of the data
// directory dir, which no broker may use. What was there before is kept as
// *.old.
func RestoreData(dir string, r io.ReaderAt, size int64) error {
	d, err := lockedDir(dir)
	if err != nil {
		return err
	}
	defer d.Unlock()
	return store.Restore(d, r, size)
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
