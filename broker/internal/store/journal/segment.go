package journal

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disk"
)

// Names of files. Numbers are 16 hexadecimal digits, so that they sort.
const (
	segmentSuffix    = ".seg"
	checkpointPrefix = "checkpoint-"
	temporarySuffix  = ".tmp"
	badSuffix        = ".bad"
)

func segmentName(epoch uint64) string     { return fmt.Sprintf("%016x%s", epoch, segmentSuffix) }
func checkpointName(number uint64) string { return fmt.Sprintf("%s%016x", checkpointPrefix, number) }

// number parses a name of that shape; ok is false for other names.
func number(name, prefix, suffix string) (n uint64, ok bool) {
	digits, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return 0, false
	}
	if digits, ok = strings.CutSuffix(digits, suffix); !ok || len(digits) != 16 {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 16, 64)
	return n, err == nil && strings.ToLower(digits) == digits
}

// segment is the file that is written to.
type segment struct {
	file  disk.File
	epoch uint64
	at    int // page where the next write goes
	pages int // that it has
}

func (s *segment) room() int { return s.pages - s.at }

// scan is what readPages found in one file.
type scan struct {
	records int
	good    int    // pages
	head    bool   // the first page is one of them
	bad     int    // pages that cannot be read and that good ones follow
	torn    int    // pages that cannot be read at the end: a write that a crash cut
	blank   int    // of those, the ones that were never written in this life of the file
	short   bool   // the file was longer once
	last    int    // the last good page
	group   int    // the last that starts a group
	before  int    // pages before that one that cannot be read
	opens   uint64 // the sequence of its first record; 0 if no page starts a group
}

// errNewer says that a file was written by a later version.
var errNewer = errors.New("written by a newer version of dunlin")

// readPages gives the records of a file of one epoch to f, in order. A page
// that was never written in this epoch ends the file, and so do pages that
// cannot be read and that no good one follows.
func readPages(file io.ReaderAt, size int64, epoch uint64, r *reader, f func(Record) error) (s scan, err error) {
	buf := make([]byte, 16*pageSize)
	bad := 0 // since the last good page
	for at := int64(0); at+pageSize <= size; {
		n, err := file.ReadAt(buf[:min(int64(len(buf)), size-at)/pageSize*pageSize], at)
		if err != nil && !errors.Is(err, io.EOF) {
			n = 0
		}
		if n < pageSize {
			bad, at = bad+1, at+pageSize // a place that cannot be read is a bad page
			continue
		}
		for p := buf[:n/pageSize*pageSize]; len(p) > 0; p, at = p[pageSize:], at+pageSize {
			h, ok := open(p[:pageSize])
			switch {
			case ok && h.epoch == epoch && h.version > Version:
				return s, errNewer
			case ok && h.epoch == epoch && h.number == uint64(at/pageSize):
				if bad > 0 {
					s.bad, s.blank, bad = s.bad+bad, 0, 0
					r.lost()
				}
				s.good++
				s.head = s.head || h.number == 0
				s.last = int(h.number)
				if h.flags&groupStart != 0 {
					s.group, s.before, s.opens = s.last, s.bad, opens(p)
				}
				s.short = s.short || int64(h.pages)*pageSize > size
				r.at = place{s.last, s.bad}
				sane, err := r.page(h, p[headerSize:pageSize], func(rec Record) error { s.records++; return f(rec) })
				if err != nil {
					return s, err
				}
				if !sane {
					s.bad++
				}
			case ok && h.epoch < epoch, blank(p[:pageSize]):
				// Never written in this life of the file. Nothing can follow, but
				// that a crash may have reordered writes: look on.
				bad++
				s.blank++
			default:
				bad++
			}
		}
	}
	s.torn = bad
	return s, nil
}
