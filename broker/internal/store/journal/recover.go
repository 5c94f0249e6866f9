package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disk"
)

// Report says what Open found.
type Report struct {
	Records  int      // applied, from the checkpoint and the segments after it
	BadPages int      // that good ones follow: what was on them is lost
	Torn     int      // pages that a crash cut off
	Damaged  []string // names of files with bad pages; they are kept as NAME.bad
}

// found is what the directory holds.
type found struct {
	checkpoints []uint64 // newest first
	segments    []uint64 // oldest first
}

func look(d disk.Disk) (found, error) {
	var f found
	names, err := d.Names()
	if err != nil {
		return f, err
	}
	for _, name := range names {
		if n, ok := number(name, "", segmentSuffix); ok {
			f.segments = append(f.segments, n)
		} else if n, ok := number(name, checkpointPrefix, ""); ok {
			f.checkpoints = append(f.checkpoints, n)
		}
	}
	slices.Sort(f.segments)
	slices.Sort(f.checkpoints)
	slices.Reverse(f.checkpoints)
	return f, nil
}

// recovery is the state of one Open.
type recovery struct {
	disk   disk.Disk
	apply  func(Record) error
	report Report
	last   uint64 // sequence of the last record applied
	cover  coverage
}

// base applies the newest checkpoint that is whole. If none is, it applies what
// can be read of the newest: a part is more than nothing.
func (r *recovery) base(checkpoints []uint64) error {
	for _, n := range checkpoints {
		_, _, err := readCheckpoint(r.disk, n, nil)
		if errors.Is(err, errNewer) {
			return fmt.Errorf("%s: %w", checkpointName(n), err)
		}
		if err == nil {
			return r.load(n)
		}
	}
	if len(checkpoints) == 0 {
		return nil
	}
	if err := r.load(checkpoints[0]); err != nil && !errors.Is(err, errDamaged) {
		return err
	}
	return nil
}

func (r *recovery) load(n uint64) error {
	cover, s, err := readCheckpoint(r.disk, n, r.apply)
	r.cover, r.last = cover, cover.sequence
	r.report.Records += s.records
	if err != nil {
		r.report.BadPages += s.bad + s.torn
		r.report.Damaged = append(r.report.Damaged, checkpointName(n))
	}
	return err
}

// replay applies the segments that the checkpoint does not cover. A group whose
// sync failed was written again at the start of a later segment: what is left
// of the first attempt is passed over, so that nothing comes in a wrong order.
func (r *recovery) replay(epochs []uint64) error {
	limits := make([]uint64, len(epochs))
	limit := uint64(math.MaxUint64)
	for i, epoch := range slices.Backward(epochs) {
		limits[i] = limit
		limit = min(limit, r.opens(epoch))
	}
	var parts reader
	for i, epoch := range epochs {
		s, err := r.segment(epoch, limits[i], &parts)
		if err != nil {
			return fmt.Errorf("%s: %w", segmentName(epoch), err)
		}
		r.report.BadPages += s.bad
		if s.bad > 0 {
			r.report.Damaged = append(r.report.Damaged, segmentName(epoch))
		}
		if i == len(epochs)-1 {
			r.report.Torn += s.torn
		}
	}
	return nil
}

// opens is the sequence of the record that a segment's first page starts a
// group with; the largest number if it starts none.
func (r *recovery) opens(epoch uint64) uint64 {
	const none = math.MaxUint64
	f, err := r.disk.Open(segmentName(epoch))
	if err != nil {
		return none
	}
	defer f.Close()
	p := make([]byte, pageSize)
	if _, err := f.ReadAt(p, 0); err != nil {
		return none
	}
	h, ok := open(p)
	if !ok || h.epoch != epoch || h.number != 0 || h.flags&groupStart == 0 || h.used < recordHeader {
		return none
	}
	return binary.LittleEndian.Uint64(p[headerSize+5:])
}

func (r *recovery) segment(epoch, limit uint64, parts *reader) (scan, error) {
	f, err := r.disk.Open(segmentName(epoch))
	if err != nil {
		return scan{bad: 1}, nil // lost as a whole: the others are not
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return scan{bad: 1}, nil
	}
	return readPages(io.NewSectionReader(f, 0, size), size, epoch, parts, func(rec Record) error {
		if rec.Sequence <= r.last || rec.Sequence >= limit {
			return nil // in the checkpoint, or written again after a failed sync
		}
		r.last = rec.Sequence
		r.report.Records++
		return r.apply(rec)
	})
}
