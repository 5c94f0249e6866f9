package journal

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disk"
)

// spillSuffix names files of records that outgrew memory.
const spillSuffix = ".spill"

// spillPages is how many pages a spill file has when the next is begun; the
// last batch may make it longer.
const spillPages = 256

func spillName(file uint64) string { return fmt.Sprintf("%016x%s", file, spillSuffix) }

// Extent is a run of whole batches in a spill file. Numbers are of pages.
type Extent struct {
	File     uint64
	From, To uint32
}

// SpillLog is where one line of records is written to; the zero value is ready.
type SpillLog struct {
	name uint64 // 0: the next batch begins a file
	at   uint32
}

// End lets the next batch begin another file.
func (l *SpillLog) End() { *l = SpillLog{} }

// File is the number of the file that is written to; 0 for none.
func (l *SpillLog) File() uint64 { return l.name }

// Spill is the records that outgrew memory, in files beside the journal. They
// are in the journal as well until a checkpoint names their place, and need to
// be durable only then: what a crash leaves behind that place is not read. The
// goroutine of the journal writes; Read may be called from any.
type Spill struct {
	disk    disk.Disk
	minFree int64
	maxSize int64 // bytes of all files; 0 is no bound
	next    uint64
	files   map[uint64]uint32    // pages of all files that are there
	dirty   map[uint64]disk.File // written to since Sync
	named   bool                 // a name is not durable
	failed  []uint64
	retry   time.Time // no write before
	group   group
	bytes   uint64 // written

	reading reading

	damaged struct {
		sync.Mutex
		files map[uint64]bool // to be kept as *.bad
		kept  int             // that were
	}
}

// badSpills is how many damaged files are kept in one life of the process; the
// others go: a card that dies must not fill itself.
const badSpills = 8

// Damaged says that a file has pages that cannot be read: Release keeps it as
// NAME.bad. Any goroutine may call it.
func (s *Spill) Damaged(file uint64) {
	s.damaged.Lock()
	defer s.damaged.Unlock()
	if s.damaged.files == nil {
		s.damaged.files = make(map[uint64]bool)
	}
	s.damaged.files[file] = true
}

// drop removes a file that nothing needs, or puts it aside.
func (s *Spill) drop(file uint64) error {
	name := spillName(file)
	s.reading.drop(file)
	s.damaged.Lock()
	bad := s.damaged.files[file]
	delete(s.damaged.files, file)
	s.damaged.Unlock()
	if bad && s.damaged.kept < badSpills {
		s.damaged.kept++
		return s.disk.Rename(name, name+badSuffix)
	}
	return s.disk.Remove(name)
}

// OpenSpill finds the files that are there. It writes nothing.
func OpenSpill(d disk.Disk, minFree, maxSize int64) (*Spill, error) {
	names, err := d.Names()
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	s := &Spill{disk: d, minFree: minFree, maxSize: maxSize, files: map[uint64]uint32{}, dirty: map[uint64]disk.File{}}
	for _, name := range names {
		if n, ok := number(name, "", spillSuffix); ok {
			s.files[n] = spillPages // about
			s.next = max(s.next, n)
		}
	}
	return s, nil
}

// Last is the highest number of a file so far. It is for who writes.
func (s *Spill) Last() uint64 { return s.next }

// Leave says how many bytes of the file system are left alone from now on.
func (s *Spill) Leave(minFree int64) { s.minFree = minFree }

// Reserve is told of a file that a checkpoint names: its number is not given
// again, whether it is there or not.
func (s *Spill) Reserve(file uint64) { s.next = max(s.next, file) }

// Add puts a record into the batch that Flush writes.
func (s *Spill) Add(kind byte, number uint64, body []byte) { s.group.add(kind, number, body) }

// errSpill says that nothing is spilled for a while after a failure.
var errSpill = errors.New("spilling waits after a failure")

// Flush writes the batch to the log's file, and forgets it either way. What is
// written survives the end of the process only with the journal's records.
func (s *Spill) Flush(l *SpillLog) (e Extent, err error) {
	defer s.group.reset(64)
	if time.Now().Before(s.retry) {
		return e, errSpill
	}
	n := uint32(len(s.group.heads))
	f, err := s.file(l, n)
	if err == nil {
		s.group.seal(0, l.name, uint64(l.at))
		_, err = f.WriteAt(s.group.pages, int64(l.at)*pageSize)
	}
	if err != nil {
		*l = SpillLog{} // its file is not touched again
		s.retry = time.Now().Add(time.Second)
		return e, fmt.Errorf("spill: %w", err)
	}
	e = Extent{l.name, l.at, l.at + n}
	s.bytes += uint64(len(s.group.pages))
	l.at += n
	s.files[l.name] = l.at
	if l.at >= spillPages {
		*l = SpillLog{}
	}
	return e, nil
}

// spillOpen is how many files are open before they are synced and closed, so
// that any number of queues can be spilled.
const spillOpen = 64

// file is the file that l goes on in, for so many pages.
func (s *Spill) file(l *SpillLog, pages uint32) (disk.File, error) {
	if slices.Contains(s.failed, l.name) {
		*l = SpillLog{}
	}
	if f := s.dirty[l.name]; f != nil {
		return f, nil
	}
	if len(s.dirty) >= spillOpen {
		if err := s.Sync(); err != nil {
			return nil, err
		}
	}
	if l.name == 0 {
		return s.begin(l, pages)
	}
	f, err := s.disk.Open(spillName(l.name))
	if err == nil {
		s.dirty[l.name] = f
	}
	return f, err
}

func (s *Spill) begin(l *SpillLog, pages uint32) (disk.File, error) {
	need := int64(max(pages, spillPages)) * pageSize
	free, err := s.disk.Free()
	if err != nil {
		return nil, err
	}
	if free-need < s.minFree || s.maxSize > 0 && s.Size()+need > s.maxSize {
		return nil, errFull
	}
	s.next++
	f, err := s.disk.Create(spillName(s.next))
	if err != nil {
		return nil, err
	}
	l.name, l.at, s.named = s.next, 0, true
	s.files[l.name], s.dirty[l.name] = 0, f
	return f, nil
}

// Idle counts the files that nobody needs.
func (s *Spill) Idle(needed func(file uint64) bool) (n int) {
	for name := range s.files {
		if !needed(name) {
			n++
		}
	}
	return n
}

// Size is the bytes of all files.
func (s *Spill) Size() (n int64) {
	for _, pages := range s.files {
		n += int64(pages) * pageSize
	}
	return n
}

// Sync makes everything durable that was flushed, and closes the files; a
// checkpoint may name it then. After an error,
// Failed names the files that cannot be trusted: their records must be written
// elsewhere.
func (s *Spill) Sync() error {
	var errs []error
	for name, f := range s.dirty {
		if err := f.Datasync(); err != nil {
			errs = append(errs, err)
			s.failed = append(s.failed, name)
		}
		errs = append(errs, f.Close())
		delete(s.dirty, name)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if s.named {
		if err := s.disk.SyncDir(); err != nil {
			return fmt.Errorf("spill: %w", err)
		}
		s.named = false
	}
	return nil
}

// Failed returns, once, the files whose sync failed.
func (s *Spill) Failed() []uint64 {
	f := s.failed
	s.failed = nil
	return f
}

// Release removes the files that used does not want. It is called when a
// checkpoint that does not name them is durable.
func (s *Spill) Release(used func(file uint64) bool) error {
	var errs []error
	for name := range s.files {
		if !used(name) {
			if f := s.dirty[name]; f != nil {
				errs = append(errs, f.Close())
				delete(s.dirty, name)
			}
			errs = append(errs, s.drop(name))
			delete(s.files, name)
			s.retry = time.Time{} // there may be space
		}
	}
	return errors.Join(errs...)
}

// Bytes is how many were written.
func (s *Spill) Bytes() uint64 { return s.bytes }
