package store

import (
	"errors"
	"fmt"
	"io"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/journal"
)

// tapMax is how many bytes of records may come while a backup is written: they
// are held in memory until the state has gone out.
const tapMax = 8 << 20

// tap gathers what is appended while a backup is written.
type tap struct {
	kinds []byte
	sizes []int
	bytes []byte
	full  bool
}

func (t *tap) take(kind Kind, body []byte) {
	if t.full = t.full || len(t.bytes)+len(body) > tapMax; t.full {
		return
	}
	t.kinds, t.sizes = append(t.kinds, byte(kind)), append(t.sizes, len(body))
	t.bytes = append(t.bytes, body...)
}

// Backup streams the whole state to w, as it is when the last byte is written:
// consistent, and with everything that was promised before. It holds up nobody,
// and waits for w. One at a time can gather changes, and fails when there are
// more than 8 MiB of them.
func (s *Durable) Backup(w io.Writer) error {
	m := &s.mu
	t := new(tap)
	m.Lock()
	if m.tap != nil {
		m.Unlock()
		return errors.New("another backup is being written")
	}
	m.tap = t
	m.Unlock()
	stop := func() { // what comes from now on is not in the backup
		m.Lock()
		if m.tap == t {
			m.tap = nil
		}
		m.Unlock()
	}
	defer stop()
	return journal.WriteBackup(w, func(add func(kind byte, body []byte) error) error {
		if err := s.dump(add, true); err != nil {
			return err
		}
		stop()
		if t.full {
			return fmt.Errorf("more than %d MiB came while the backup was written: write it to something faster", tapMax>>20)
		}
		at := 0
		for i, kind := range t.kinds {
			if err := add(kind, t.bytes[at:at+t.sizes[i]]); err != nil {
				return err
			}
			at += t.sizes[i]
		}
		return nil
	})
}

// Repair writes what could be read anew: damaged files are kept as *.bad, and
// what was unfinished goes. It is for a store that does not run.
func (s *Durable) Repair() error { return s.j.Checkpoint() }
