package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disk"
)

// errFull says that a new file would leave less than the reserve.
var errFull = errors.New("no room on the disk for another segment: store.min_free or store.max_size is reached")

// spares is how many segments are kept for the next life at least: as many as
// fill between two checkpoints of a small state, since a new file costs its size
// once more. One of them is the reserve that lets acknowledgements be written on
// a full disk.
const spares = firstSegments + 1

// writer is the disk's side of a journal. One goroutine has it.
type writer struct {
	disk    disk.Disk
	size    int64 // of a segment
	minFree int64
	epoch   uint64   // of the newest segment
	current *segment // nil: taken when there is something to write
	live    []uint64 // epochs that the last checkpoint but one does not cover, current included
	covered uint64   // those below this the last one covers
	spare   []string // files that may be overwritten
	suspect []uint64 // epochs of files that failed: never used again
	damaged []string // names of files that are kept for a person to look at
	stats   Written
	cycle   int // segments from one checkpoint to the next

	group   group
	written int // pages of the group that are on their place and will not change
	counted int // pages of the group that count as written: the last is rewritten in the page cache until it is synced
	dirty   bool
}

// Written counts what went to the disk, in bytes by cause.
type Written struct {
	Journal, Checkpoint, NewSegments uint64
	Syncs                            uint64
}

// put takes records into the group; write brings them to the disk.
func (w *writer) put(kind byte, sequence uint64, body []byte) {
	w.group.add(kind, sequence, body)
	w.dirty = true
}

// write brings the group to the page cache: safe from a crash of the process.
// The last page is written again until sync seals it.
func (w *writer) write() error {
	if !w.dirty {
		return nil
	}
	for w.written < len(w.group.heads) {
		if w.current != nil && w.current.room() == 0 {
			if err := w.leave(); err != nil {
				return err
			}
		}
		if w.current == nil {
			if err := w.take(); err != nil {
				return err
			}
		}
		s := w.current
		n := min(len(w.group.heads)-w.written, s.room())
		w.group.file = s.pages
		w.group.seal(w.written, s.epoch, uint64(s.at))
		b := w.group.pages[w.written*pageSize : (w.written+n)*pageSize]
		if _, err := s.file.WriteAt(b, int64(s.at)*pageSize); err != nil {
			return fmt.Errorf("write %s: %w", segmentName(s.epoch), err)
		}
		if fresh := w.written + n - w.counted; fresh > 0 {
			w.stats.Journal += uint64(fresh) * pageSize
			w.counted += fresh
		}
		if w.written+n == len(w.group.heads) {
			w.written, s.at = w.written+n-1, s.at+n-1 // the last page may still grow
			break
		}
		w.written, s.at = w.written+n, s.at+n
	}
	w.dirty = false
	return nil
}

// sync makes everything that was put durable and ends the group.
func (w *writer) sync() error {
	if err := w.write(); err != nil {
		return err
	}
	if len(w.group.heads) == 0 {
		return nil
	}
	if err := w.datasync(); err != nil {
		return err
	}
	w.current.at++ // the last page is sealed
	w.group.reset(8)
	w.written, w.counted = 0, 0
	return nil
}

func (w *writer) datasync() error {
	w.stats.Syncs++
	return w.current.file.Datasync()
}

// leave makes a full segment durable and lets go of it.
func (w *writer) leave() error {
	if err := w.datasync(); err != nil {
		return err
	}
	err := w.current.file.Close()
	w.current = nil
	return err
}

// take makes a segment the current one: a spare, or a new file. Its name is
// durable before anything in it is promised.
func (w *writer) take() error {
	epoch := w.epoch + 1
	name := segmentName(epoch)
	if err := w.claim(name); err != nil {
		return fmt.Errorf("take a segment: %w", err)
	}
	w.epoch = epoch
	w.live = append(w.live, epoch)
	if err := w.disk.SyncDir(); err != nil {
		return fmt.Errorf("take a segment: %w", err)
	}
	f, err := w.disk.Open(name)
	if err != nil {
		return fmt.Errorf("take a segment: %w", err)
	}
	size, err := f.Size()
	if err != nil {
		return fmt.Errorf("take a segment: %w", err)
	}
	w.current = &segment{file: f, epoch: epoch, pages: int(size / pageSize)}
	return nil
}

// claim gives a name to a spare segment, or a new one.
func (w *writer) claim(name string) error {
	for len(w.spare) > 0 {
		last := len(w.spare) - 1
		err := w.disk.Rename(w.spare[last], name)
		if err == nil || errors.Is(err, fs.ErrNotExist) { // somebody has deleted it
			w.spare = w.spare[:last]
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	file, err := w.prepare()
	if err != nil {
		if file = w.give(); file == "" {
			return err
		}
	}
	if err := w.disk.Rename(file, name); err != nil {
		w.spare = append(w.spare, file)
		return err
	}
	return nil
}

// whole reports whether a file has the size of a segment.
func (w *writer) whole(name string) bool {
	f, err := w.disk.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	size, err := f.Size()
	return err == nil && size == w.size
}

// prepare makes a file of a segment's size that was written once.
func (w *writer) prepare() (name string, err error) {
	free, err := w.disk.Free()
	if err != nil {
		return "", err
	}
	if free-w.size < w.minFree {
		return "", errFull
	}
	name = fmt.Sprintf("%016x%s", w.epoch+1, temporarySuffix)
	w.disk.Remove(name) // of an earlier try, mostly not there
	f, err := w.disk.Create(name)
	if err != nil {
		return "", fmt.Errorf("make a segment: %w", err)
	}
	zeros := make([]byte, 16*pageSize)
	for at := int64(0); at < w.size && err == nil; at += int64(len(zeros)) {
		_, err = f.WriteAt(zeros[:min(int64(len(zeros)), w.size-at)], at)
	}
	if err == nil {
		err = f.Datasync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		// Half a segment is of no use; if it cannot be removed either, the next
		// start does it.
		return "", errors.Join(fmt.Errorf("make a segment: %w", err), w.disk.Remove(name))
	}
	w.stats.NewSegments += uint64(w.size)
	return name, nil
}

// abandon leaves the current segment to what it is after a failed write or
// sync, and makes the whole group wait to be written to another. The file is
// live until a checkpoint covers it: what was synced before is good.
func (w *writer) abandon() {
	if w.current != nil {
		w.current.file.Close() // nothing more is expected of it
		w.suspect = append(w.suspect, w.current.epoch)
		w.current = nil
	}
	w.written, w.counted, w.dirty = 0, 0, len(w.group.heads) > 0
}

// spares is how many segments are kept for the next life now.
func (w *writer) spares() int { return max(spares, w.cycle+1) }

// filled is how many segments a start would read.
func (w *writer) filled() (n int) {
	for _, e := range w.live {
		if e >= w.covered {
			n++
		}
	}
	return n
}

// give takes a segment that only the older checkpoint needs, while there is no
// space for another; "" if there is none. That checkpoint is worth nothing then.
func (w *writer) give() (name string) {
	for i, e := range w.live {
		if e < w.covered && !slices.Contains(w.suspect, e) {
			w.live = slices.Delete(w.live, i, i+1)
			return segmentName(e)
		}
	}
	return ""
}

// cede removes a segment that is not needed yet: a checkpoint frees more of them.
// The last stays.
func (w *writer) cede() bool {
	n := len(w.spare) - 1
	if n < 1 || w.disk.Remove(w.spare[n]) != nil {
		return false
	}
	w.spare = w.spare[:n]
	return true
}

// release gives segments back once a checkpoint covers those before an epoch,
// but for those that the one before needs, from its epoch on.
func (w *writer) release(covered, needed uint64) error {
	w.covered = covered
	var errs []error
	w.live = slices.DeleteFunc(w.live, func(e uint64) bool {
		if e >= covered {
			return false
		}
		switch name := segmentName(e); {
		case slices.Contains(w.damaged, name):
			errs = append(errs, w.disk.Rename(name, name+badSuffix))
		case e >= needed:
			return false
		case slices.Contains(w.suspect, e):
			errs = append(errs, w.disk.Remove(name))
		default:
			w.spare = append(w.spare, name)
		}
		return true
	})
	for n := len(w.spare); n > w.spares(); n = len(w.spare) {
		errs = append(errs, w.disk.Remove(w.spare[n-1]))
		w.spare = w.spare[:n-1]
	}
	return errors.Join(errs...)
}
