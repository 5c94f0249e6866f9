package journal

import (
	"errors"
	"io"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disk"
)

// A backup is a checkpoint that covers nothing: what it holds is all there is.
// After the records of the state come those that were appended while it was
// written.

// oldSuffix ends the names of what a restore replaced.
const oldSuffix = ".old"

// backupNumber is that of the checkpoint that a backup is.
const backupNumber = 1

// WriteBackup streams the records that give yields to w, in memory bounded by
// the largest of them.
func WriteBackup(w io.Writer, give func(add func(kind byte, body []byte) error) error) error {
	return streamCheckpoint(&stream{w: w}, coverage{number: backupNumber, epoch: 1}, new(checkpointWriter), give)
}

// ReadBackup gives the records of a backup to apply, and fails if it is not
// whole; what was given until then is part of a backup.
func ReadBackup(r io.ReaderAt, size int64, apply func(Record) error) error {
	_, _, err := scanCheckpoint(r, size, backupNumber, apply)
	if errors.Is(err, errDamaged) {
		return errors.New("the backup is damaged, cut short, or none")
	}
	return err
}

// Restore makes the records that give yields the state of a directory that
// nobody uses; it may have made spill files that they name.
// The switch is the rename of one file: until then the directory is what it
// was. The files of before are kept as NAME.old.
func Restore(d disk.Disk, give func(add func(kind byte, body []byte) error) error) error {
	f, err := look(d)
	if err != nil {
		return err
	}
	cover := coverage{number: 1, epoch: 1}
	if len(f.checkpoints) > 0 {
		cover.number = f.checkpoints[0] + 1
	}
	if n := len(f.segments); n > 0 {
		cover.epoch = f.segments[n-1] + 1
	}
	if _, err := writeCheckpoint(d, cover, give); err != nil {
		return err
	}
	old := f.spills
	for _, epoch := range f.segments {
		old = append(old, segmentName(epoch))
	}
	for _, n := range f.checkpoints {
		old = append(old, checkpointName(n))
	}
	for _, name := range old {
		err = errors.Join(err, d.Rename(name, name+oldSuffix))
	}
	return errors.Join(err, d.SyncDir())
}

// stream is a disk.File that can only be written from its beginning to its
// end, which is how checkpoints are written.
type stream struct {
	disk.File // nil: nothing else is asked of it
	w         io.Writer
}

func (s *stream) WriteAt(p []byte, _ int64) (int, error) { return s.w.Write(p) }
