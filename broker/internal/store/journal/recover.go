package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sort"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disk"
)

// Report says what Open found.
type Report struct {
	Records  int      // applied, from the checkpoint and the segments after it
	BadPages int      // that good ones follow: what was on them is lost
	Torn     int      // pages that a crash cut off
	Missing  int      // records that are not there, although later ones are
	Damaged  []string // names of files with bad pages; they are kept as NAME.bad
	Whole    bool     // nothing is lost all the same: what was on them is elsewhere, too
}

// found is what the directory holds.
type found struct {
	checkpoints []uint64 // newest first
	segments    []uint64 // oldest first
	spills      []string // names
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
		} else if _, ok := number(name, "", spillSuffix); ok {
			f.spills = append(f.spills, name)
		}
	}
	for _, list := range [][]uint64{f.segments, f.checkpoints} {
		sort.Slice(list, func(i, j int) bool { return list[i] < list[j] })
	}
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
	cut    bool   // the last segment is not believed to its end
	scans  []scan // of the segments that were replayed
}

// base applies the newest checkpoint. If that is not whole, the one before and
// the journal since then say the same; if they are not whole either, it applies
// what can be read of the newest: a part is more than nothing.
func (r *recovery) base(f *found) error {
	var newest coverage
	for i, n := range f.checkpoints {
		cover, s, err := readCheckpoint(r.disk, n, nil)
		switch {
		case errors.Is(err, errNewer):
			return fmt.Errorf("%s: %w", checkpointName(n), err)
		case err != nil:
			r.damage(checkpointName(n), max(s.bad+s.torn, 1))
		case i == 0:
			return r.load(n)
		default:
			r.report.Whole, err = r.leads(f, cover, newest)
			if err != nil || r.report.Whole || newest.epoch == 0 { // of the newest not even that is left
				return errors.Join(err, r.load(n))
			}
		}
		if i == 0 {
			newest = cover
		}
	}
	r.cover = start
	if len(f.checkpoints) == 0 {
		return nil
	}
	if len(f.segments) > 0 && f.segments[0] == start.epoch {
		var err error
		if r.report.Whole, err = r.leads(f, start, newest); r.report.Whole || err != nil {
			return err
		}
	}
	if err := r.load(f.checkpoints[0]); err != nil && !errors.Is(err, errDamaged) {
		return err
	}
	return nil
}

// start stands for the checkpoint before the first: nothing, and the journal
// from its beginning.
var start = coverage{epoch: 1}

// leads reports whether the journal leads from an older checkpoint to the newest
// and on without a gap: its segments may have been overwritten, and while a disk
// has failed there is none.
func (r *recovery) leads(f *found, from, newest coverage) (bool, error) {
	try := recovery{disk: r.disk, apply: func(Record) error { return nil }, cover: from, last: from.sequence}
	err := try.replay(f.since(from))
	return try.last >= newest.sequence && try.report.Missing+try.report.BadPages == 0, err
}

// before is what the checkpoint older than the one that was loaded stands for;
// that itself if there is none.
func (r *recovery) before(f *found) coverage {
	i := slices.Index(f.checkpoints, r.cover.number) + 1
	if i > 0 && i == len(f.checkpoints) && uint64(len(f.segments)-len(f.since(r.cover))) == r.cover.epoch-1 {
		return start // all segments since then are there
	}
	if i > 0 && i < len(f.checkpoints) {
		if c := beginning(r.disk, f.checkpoints[i]); c.epoch > 0 && c.epoch <= r.cover.epoch {
			return c
		}
	}
	return r.cover
}

// since are the segments that a checkpoint does not cover.
func (f *found) since(c coverage) (live []uint64) {
	for _, epoch := range f.segments {
		if epoch >= c.epoch {
			live = append(live, epoch)
		}
	}
	return live
}

func (r *recovery) load(n uint64) error {
	cover, s, err := readCheckpoint(r.disk, n, r.apply)
	r.cover, r.last = cover, cover.sequence
	r.report.Records += s.records
	return err
}

func (r *recovery) damage(name string, pages int) {
	r.report.BadPages += pages
	r.report.Damaged = append(r.report.Damaged, name)
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
	tail, err := r.tail(epochs)
	if err != nil {
		return err
	}
	var parts reader
	var before scan // of the segment before
	for i, epoch := range epochs {
		missing := r.report.Missing
		s, err := r.segment(epoch, limits[i], &parts, tail)
		r.scans = append(r.scans, s)
		switch {
		case err != nil:
			return err
		case s.bad > 0:
			r.damage(segmentName(epoch), s.bad)
		case r.report.Missing > missing && i > 0 && before.bad == 0:
			// What cannot be read at the end of the segment before was no group
			// that was written again.
			r.damage(segmentName(epochs[i-1]), max(before.torn-before.blank, 1))
		}
		if s.torn > 0 || s.short || s.good == 0 {
			parts.lost() // a record goes on in the next segment only from the last page of this one
		}
		before = s
	}
	r.report.Torn += before.torn - before.blank
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
	if !ok || h.epoch != epoch || h.number != 0 || h.flags&groupStart == 0 {
		return none
	}
	return opens(p)
}

// opens is the sequence of the record that a page begins with that starts a
// group.
func opens(p []byte) uint64 { return binary.LittleEndian.Uint64(p[headerSize+5:]) }

// tail is the last group that was written, in the last segment that has a page.
// Nothing tells whether it was synced. All before it was, unless it begins with a
// page that is not there: then the group before may have ended in another power
// cut, and nothing says any more what was written instead.
type tail struct {
	epoch uint64
	page  int    // where the group starts; 0 if it came from the segment before
	opens uint64 // its first sequence; 0 if that is not known
}

func (r *recovery) tail(epochs []uint64) (t tail, err error) {
	for _, epoch := range slices.Backward(epochs) {
		s, err := r.read(epoch, new(reader), func(Record) error { return nil })
		if s.good > 0 {
			t = tail{epoch, s.group, s.opens}
		}
		if s.head || s.opens > 0 || err != nil {
			return t, err
		}
	}
	return t, nil
}

// ends reports whether records are missing before one of the tail that a power cut may have
// taken: those of the last group are in the page cache in any order until they
// are synced. What is behind them is not believed, so that what is lost is what
// came last.
func (r *recovery) ends(sequence, epoch uint64, page int, t *tail) bool {
	return (epoch > t.epoch || page >= t.page) && sequence > max(r.last+1, t.opens) && (t.opens > 0 || r.last > 0 || r.cover.number == 0)
}

func (r *recovery) segment(epoch, limit uint64, parts *reader, t tail) (scan, error) {
	passed, believed := false, place{page: -1}
	s, err := r.read(epoch, parts, func(rec Record) error {
		if r.cut = r.cut || epoch >= t.epoch && r.ends(rec.Sequence, epoch, parts.at.page, &t); r.cut || rec.Sequence >= limit {
			passed = true // or written again after a failed sync
			return nil
		}
		believed = parts.at
		if rec.Sequence <= r.last {
			return nil // in the checkpoint
		}
		if r.last > 0 {
			r.report.Missing += int(rec.Sequence - r.last - 1)
		}
		r.last = rec.Sequence
		r.report.Records++
		return r.apply(rec)
	})
	if bad := max(believed.bad, s.before); epoch >= t.epoch && s.bad > bad {
		r.cut, s.bad = true, bad
	} else if passed {
		s.bad = believed.bad // what follows was written again
	}
	if r.cut {
		s.torn += s.last - believed.page
	}
	if s.short {
		s.bad++ // its end was cut off, whatever was on it
	}
	return s, err
}

// read gives the records of a segment to f.
func (r *recovery) read(epoch uint64, parts *reader, f func(Record) error) (scan, error) {
	file, err := r.disk.Open(segmentName(epoch))
	if err != nil {
		return scan{short: true}, nil // lost as a whole: the others are not
	}
	defer file.Close()
	size, err := file.Size()
	if err != nil || size == 0 {
		return scan{short: true}, nil
	}
	s, err := readPages(io.NewSectionReader(file, 0, size), size, epoch, parts, f)
	if err != nil {
		err = fmt.Errorf("%s: %w", segmentName(epoch), err)
	}
	return s, err
}
