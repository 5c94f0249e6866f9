package journal

import (
	"errors"
	"fmt"
	"sync"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disk"
)

// readSpill is how many bytes are read at a time.
const readSpill = 16 * pageSize

// recordCost is what a record takes in memory beside its bytes, at least.
const recordCost = 64

// reading is what a backlog that is read piece by piece needs again for the
// next: the file that was read last, and a buffer.
type reading struct {
	sync.Mutex
	file  disk.File // nil: none
	name  uint64
	buf   []byte
	drops int // of files, until now
	ended bool
}

// begin opens a file, or takes the one that is open.
func (r *reading) begin(d disk.Disk, name uint64) (f disk.File, buf []byte, drops int, err error) {
	r.Lock()
	defer r.Unlock()
	if r.name == name {
		f, r.file = r.file, nil
	}
	buf, r.buf = r.buf, nil
	if buf == nil {
		buf = make([]byte, readSpill)
	}
	if f == nil {
		f, err = d.Open(spillName(name))
	}
	return f, buf, r.drops, err
}

// end keeps the file if there is more to read and it may still be there. drops is
// what begin returned.
func (r *reading) end(f disk.File, name uint64, buf []byte, drops int, more bool) {
	r.Lock()
	defer r.Unlock()
	if more = more && drops == r.drops && !r.ended; more {
		f, r.file, r.name, r.buf = r.file, f, name, buf
	}
	if f != nil {
		_ = f.Close() // it was only read
	}
}

// drop closes a file that goes; 0 is any file, for good.
func (r *reading) drop(name uint64) {
	r.Lock()
	defer r.Unlock()
	r.drops++
	r.ended = r.ended || name == 0
	if r.file != nil && (r.ended || r.name == name) {
		_ = r.file.Close() // it was only read
		r.file, r.buf = nil, nil
	}
}

// Others reports whether another file than this one can be opened: then it is not
// the disk that is away, or has no descriptor left.
func (s *Spill) Others(file uint64) bool {
	names, _ := s.disk.Names() // none says that it is away
	for _, name := range names {
		_, isSegment := number(name, "", segmentSuffix)
		n, isSpill := number(name, "", spillSuffix)
		if !isSegment && (!isSpill || n == file) {
			continue
		}
		if f, err := s.disk.Open(name); err == nil {
			_ = f.Close() // it was only opened
			return true
		}
	}
	return false
}

// Close closes what Read has kept open.
func (s *Spill) Close() { s.reading.drop(0) }

// ErrNoFile is what Read returns if a file cannot be opened.
var ErrNoFile = errors.New("no spill file")

// Read gives the records of e from its page at on to f, in order, and stops at
// the first end of a batch after more than limit bytes of memory. It returns the page
// where the next batch begins, and how many pages could not be read.
func (s *Spill) Read(e Extent, at uint32, limit int, f func(Record) error) (next uint32, bad int, err error) {
	file, buf, drops, err := s.reading.begin(s.disk, e.File)
	if err != nil {
		return at, 0, fmt.Errorf("%w: %w", ErrNoFile, err)
	}
	defer func() { s.reading.end(file, e.File, buf, drops, next < e.To) }()
	var r reader
	done := 0
	for at < e.To {
		n := min(uint32(len(buf)/pageSize), e.To-at)
		got, _ := file.ReadAt(buf[:n*pageSize], int64(at)*pageSize)
		if got < pageSize { // the place cannot be read, those behind it may be
			bad++
			at++
			r.lost()
			continue
		}
		for i := range got / pageSize {
			p := buf[i*pageSize : (i+1)*pageSize]
			h, ok := open(p)
			if !ok || h.epoch != e.File || h.number != uint64(at) {
				bad++
				at++
				r.lost()
				continue
			}
			if h.flags&groupStart != 0 && done > limit {
				return at, bad, nil
			}
			sane, err := r.page(h, p[headerSize:], func(rec Record) error {
				done += len(rec.Body) + recordCost
				return f(rec)
			})
			if err != nil {
				return at, bad, err
			}
			if !sane {
				bad++
			}
			at++
		}
	}
	return at, bad, nil
}
