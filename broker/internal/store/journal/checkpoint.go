package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disk"
)

// Kinds of records that a checkpoint has of its own; all others are the
// store's.
const (
	checkpointBegin byte = 0   // first epoch to replay u64, last sequence covered u64
	checkpointEnd   byte = 255 // records u64, and what the beginning says once more
)

// checkpointFlush is how many pages gather before they are written.
const checkpointFlush = 16

// coverage is what a checkpoint stands for.
type coverage struct {
	number   uint64
	epoch    uint64 // of the first segment to replay
	sequence uint64 // of the last record whose effect it surely holds
}

// checkpointWriter streams a checkpoint to a file.
type checkpointWriter struct {
	file    disk.File
	number  uint64
	group   group
	page    uint64 // of the group's first page
	records uint64
	bytes   uint64
}

func (c *checkpointWriter) add(kind byte, body []byte) error {
	c.records++
	c.group.add(kind, c.records, body)
	if n := len(c.group.heads); n > checkpointFlush {
		return c.flush(n - 1) // the last page may still grow
	}
	return nil
}

func (c *checkpointWriter) flush(n int) error {
	c.group.seal(0, c.number, c.page)
	b := c.group.pages[:n*pageSize]
	if _, err := c.file.WriteAt(b, int64(c.page)*pageSize); err != nil {
		return err
	}
	c.bytes += uint64(len(b))
	c.page += uint64(n)
	if n < len(c.group.heads) {
		c.group.cut(n)
	}
	return nil
}

// writeCheckpoint writes the live state that snapshot gives, and returns its
// size. It is there under its name only when it is complete and durable.
func writeCheckpoint(d disk.Disk, cover coverage, snapshot func(add func(kind byte, body []byte) error) error) (size uint64, err error) {
	name := checkpointName(cover.number)
	d.Remove(name + temporarySuffix) // of a crash, mostly not there
	f, err := d.Create(name + temporarySuffix)
	if err != nil {
		return 0, fmt.Errorf("checkpoint: %w", err)
	}
	c := new(checkpointWriter)
	err = streamCheckpoint(f, cover, c, snapshot)
	if err == nil {
		err = f.Datasync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		if err = d.Rename(name+temporarySuffix, name); err == nil {
			err = d.SyncDir()
		}
	}
	if err != nil {
		// A leftover is removed by the next try if it cannot be now.
		return 0, errors.Join(fmt.Errorf("checkpoint: %w", err), d.Remove(name+temporarySuffix))
	}
	return c.bytes, nil
}

// streamCheckpoint writes the pages of a checkpoint to f, from the first to the
// last.
func streamCheckpoint(f disk.File, cover coverage, c *checkpointWriter, snapshot func(add func(kind byte, body []byte) error) error) error {
	c.file, c.number = f, cover.number
	body := binary.LittleEndian.AppendUint64(nil, cover.epoch)
	body = binary.LittleEndian.AppendUint64(body, cover.sequence)
	err := c.add(checkpointBegin, body)
	if err == nil {
		err = snapshot(c.add)
	}
	if err == nil {
		err = c.add(checkpointEnd, append(binary.LittleEndian.AppendUint64(nil, c.records), body...))
	}
	if err == nil {
		err = c.flush(len(c.group.heads))
	}
	return err
}

// errDamaged says that a checkpoint is not whole.
var errDamaged = errors.New("checkpoint is damaged")

// readCheckpoint gives the records of a checkpoint to apply. It returns
// errDamaged, after giving what can be read, when the file is not what was
// written. apply may be nil, to verify only.
func readCheckpoint(d disk.Disk, n uint64, apply func(Record) error) (cover coverage, s scan, err error) {
	f, err := d.Open(checkpointName(n))
	if err != nil {
		return cover, s, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return cover, s, err
	}
	return scanCheckpoint(f, size, n, apply)
}

// beginning is what the first page of a checkpoint says that it stands for;
// epoch 0 if that cannot be read.
func beginning(d disk.Disk, n uint64) (cover coverage) {
	f, err := d.Open(checkpointName(n))
	if err != nil {
		return cover
	}
	defer f.Close()
	cover, _, _ = scanCheckpoint(f, pageSize, n, nil) // it does not end there
	return cover
}

// scanCheckpoint is readCheckpoint of an open file.
func scanCheckpoint(f io.ReaderAt, size int64, n uint64, apply func(Record) error) (cover coverage, s scan, err error) {
	cover.number = n
	var begun, ended bool
	var count uint64
	s, err = readPages(io.NewSectionReader(f, 0, size), size, n, new(reader), func(r Record) error {
		le := binary.LittleEndian
		switch {
		case r.Kind == checkpointBegin && len(r.Body) == 16:
			begun = true
			cover.epoch, cover.sequence = le.Uint64(r.Body), le.Uint64(r.Body[8:])
		case r.Kind == checkpointEnd && (len(r.Body) == 24 || len(r.Body) == 8):
			ended = le.Uint64(r.Body) == count+1 // the beginning counts, too
			if !begun && len(r.Body) == 24 {     // without it old segments would be taken for new ones
				cover.epoch, cover.sequence = le.Uint64(r.Body[8:]), le.Uint64(r.Body[16:])
			}
		case apply != nil:
			count++
			return apply(r)
		default:
			count++
		}
		return nil
	})
	if err == nil && (!begun || !ended || s.bad > 0 || s.torn > 0 || size%pageSize != 0) {
		err = errDamaged
	}
	return cover, s, err
}
