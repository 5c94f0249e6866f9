package journal

import (
	"io"
	"slices"
	"strings"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disk"
)

// FileInfo says what one file of a directory is, for people.
type FileInfo struct {
	Name    string
	Use     Use
	Size    int64 // bytes
	Records int
	Bad     int // pages that cannot be read
	Torn    int // pages of a write that was cut off
}

// Use is what a file is there for.
type Use string

// The uses of files.
const (
	InUse      Use = "in use"     // a start reads it
	Free       Use = "free"       // a segment that will be overwritten
	Older      Use = "older"      // read if the newest checkpoint is damaged
	Aside      Use = "kept aside" // damaged, or what a restore replaced
	Unfinished Use = "unfinished"
	Unknown    Use = "not of the store"
)

// Inspect reads every file of a directory, and changes none. The error is that
// of Open.
func Inspect(d disk.Disk, each func(FileInfo)) error {
	f, err := look(d)
	if err != nil {
		return err
	}
	r := recovery{disk: d, apply: func(Record) error { return nil }}
	if err := r.base(&f); err != nil {
		return err
	}
	live, older := f.since(r.cover), r.before(&f).epoch
	if err := r.replay(live); err != nil {
		return err
	}
	names, err := d.Names()
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		info := FileInfo{Name: name, Use: Unknown}
		file, err := d.Open(name)
		if err != nil {
			each(info)
			continue
		}
		info.Size, err = file.Size()
		if err == nil {
			err = info.read(file, &r, live, older)
		}
		file.Close() // nothing was written
		if err != nil {
			return err
		}
		each(info)
	}
	return nil
}

// read finds out what a file is, and what is in it if a start reads it.
func (i *FileInfo) read(file disk.File, r *recovery, live []uint64, older uint64) error {
	epoch, segment := number(i.Name, "", segmentSuffix)
	n, checkpoint := number(i.Name, checkpointPrefix, "")
	var s scan
	var err error
	pages := io.NewSectionReader(file, 0, i.Size)
	switch {
	case segment && epoch >= r.cover.epoch:
		i.Use = InUse
		s = r.scans[slices.Index(live, epoch)]
		i.Bad, i.Torn = s.bad, s.torn-s.blank
	case checkpoint:
		if i.Use = Older; n == r.cover.number {
			i.Use = InUse
		}
		s, err = readPages(pages, i.Size, n, new(reader), r.apply)
		i.Bad = s.bad + s.torn
	case segment && epoch >= older:
		i.Use = Older
	case segment:
		i.Use = Free
	case strings.HasSuffix(i.Name, spillSuffix):
		i.Use = InUse // what is read of it depends on the checkpoint
	case strings.HasSuffix(i.Name, temporarySuffix):
		i.Use = Unfinished
	case strings.HasSuffix(i.Name, badSuffix) || strings.HasSuffix(i.Name, oldSuffix):
		i.Use = Aside
	}
	i.Records = s.records
	return err
}
