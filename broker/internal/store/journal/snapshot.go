package journal

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// firstSegments is how many segments may fill before the first checkpoint.
const firstSegments = 4

// due reports whether the segments that a start would have to read have grown
// out of proportion to the state they stand for.
func (j *Journal) due() bool {
	if j.opts.Snapshot == nil || time.Now().Before(j.retryCheckpoint) {
		return false
	}
	if j.w.cycle = firstSegments; j.opts.Tight == nil || !j.opts.Tight() {
		j.w.cycle = int(max(firstSegments, 4*j.checkpoint.size/uint64(j.w.size)))
	}
	return j.wantCheckpoint || j.w.filled() > j.w.cycle
}

// Checkpoint writes the live state, reads it back, and gives free what it
// covers. Run calls it when it is due; others may before Run or after it.
func (j *Journal) Checkpoint() error {
	j.cycle(true)
	cover := coverage{number: j.checkpoint.last + 1, epoch: j.w.epoch + 1}
	if j.w.current != nil {
		cover.epoch = j.w.epoch
	}
	j.mu.Lock()
	cover.sequence = j.mu.synced
	failed := j.mu.err
	j.mu.Unlock()
	if failed != nil {
		return failed
	}
	err := j.space(0)
	if c := j.checkpoint.cover; errors.Is(err, errFull) && c.number > 0 { // the one before makes room
		j.letGo(c, c)
		for err = j.space(0); errors.Is(err, errFull) && j.w.cede(); err = j.space(0) {
		}
	}
	var size uint64
	if err == nil {
		size, err = writeCheckpoint(j.w.disk, cover, j.snapshot)
	}
	if err == nil {
		_, _, err = readCheckpoint(j.w.disk, cover.number, nil)
	}
	if err != nil {
		if j.retryCheckpoint = time.Now().Add(j.opts.Retry); errors.Is(err, errFull) {
			j.retryCheckpoint = time.Now().Add(fullLook) // nothing was written
		}
		return fmt.Errorf("store: %w", err)
	}
	j.checkpoint.last, j.checkpoint.size = cover.number, size
	j.wantCheckpoint = false
	j.w.stats.Checkpoint += size
	j.mu.Lock()
	j.mu.stats.Written, j.mu.stats.CheckpointBytes = j.w.stats, size
	j.mu.Unlock()
	if j.opts.Covered != nil {
		j.opts.Covered()
	}
	older := j.checkpoint.cover
	j.checkpoint.cover = cover
	j.letGo(cover, older)
	return nil
}

// letGo frees what is older than the checkpoint before the new one, which goes
// on standing for all that there is together with the journal since then; and
// what a crash kept from being freed. A failure costs space until the next
// checkpoint, nothing else.
func (j *Journal) letGo(cover, older coverage) {
	needed := older.epoch
	if needed == 0 { // there is none that is whole
		needed = cover.epoch
	}
	err := j.w.release(cover.epoch, needed)
	f, e := look(j.w.disk)
	err = errors.Join(err, e)
	for _, n := range f.checkpoints {
		switch name := checkpointName(n); {
		case slices.Contains(j.w.damaged, name):
			err = errors.Join(err, j.w.disk.Rename(name, name+badSuffix))
		case n == cover.number || n == older.number:
		default:
			err = errors.Join(err, j.w.disk.Remove(name))
		}
	}
	for _, epoch := range f.segments {
		if name := segmentName(epoch); epoch < needed && !slices.Contains(j.w.spare, name) {
			err = errors.Join(err, j.w.disk.Remove(name))
		}
	}
	if err != nil {
		j.log.Warn("store: old files are left", "err", err)
	}
}

// snapshot is Options.Snapshot with the journal kept going: acknowledgements do
// not wait for a checkpoint.
func (j *Journal) snapshot(add func(kind byte, body []byte) error) error {
	written := 0
	err := j.opts.Snapshot(func(kind byte, body []byte) error {
		if written += len(body); written > checkpointFlush*pageSize {
			written = 0
			j.cycle(false)
		}
		return add(kind, body)
	})
	if err != nil {
		return err
	}
	// What came meanwhile may be in the checkpoint: what came before it must not
	// be lost then.
	j.cycle(true)
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.mu.err
}

// space refuses a checkpoint that, with more bytes beside it, would leave less
// than the reserve.
func (j *Journal) space(more int64) error {
	free, err := j.w.disk.Free()
	if err != nil {
		return err
	}
	if free-int64(j.checkpoint.size)-more < j.opts.MinFree {
		return errFull
	}
	return nil
}
