package journal

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// groupMax is how many bytes wait for the interval before they are synced
// early: they are held in memory until then.
const groupMax = 256 << 10

// firstSegments is how many segments may fill before the first checkpoint.
const firstSegments = 4

// fullLook is how often a full disk, which costs nothing to ask, is asked
// whether there is space again.
const fullLook = time.Second

// taken is what one cycle took from Append.
type taken struct {
	last   uint64
	always bool
}

// cycle writes what gathered, and syncs it if force or a record asks for it.
func (j *Journal) cycle(force bool) {
	t, ok := j.take()
	if !ok {
		return
	}
	sync := force || t.always || len(j.w.group.pages) > groupMax
	err := j.attempt(sync)
	if err != nil {
		// What failed once is not tried again in place: the system may have
		// dropped the pages and call the next sync a success.
		j.log.Error("store: a write failed, trying another file", "err", err)
		j.w.abandon()
		sync = true
		again := j.attempt(true)
		if again != nil {
			j.degrade(errors.Join(err, again))
			return
		}
		j.retryCheckpoint = time.Time{} // copy the live data off the suspect file soon
		j.wantCheckpoint = true
	}
	j.settled(t, sync, err != nil)
}

// take moves what Append gathered into the writer's group.
func (j *Journal) take() (t taken, ok bool) {
	m := &j.mu
	m.Lock()
	defer m.Unlock()
	if m.err != nil {
		return t, false
	}
	t.last = m.written
	at := 0
	for _, e := range m.entries {
		j.w.put(e.kind, e.sequence, m.bytes[at:at+e.size])
		at += e.size
		t.last, t.always = e.sequence, t.always || e.always
	}
	m.writing = len(m.bytes)
	m.bytes, m.entries = m.bytes[:0], m.entries[:0]
	if cap(m.bytes) > groupMax {
		m.bytes = nil
	}
	return t, true
}

func (j *Journal) attempt(sync bool) error {
	if !sync {
		return j.w.write()
	}
	start := time.Now()
	err := j.w.sync()
	d := time.Since(start)
	j.mu.Lock()
	j.mu.stats.LastSync, j.mu.stats.LongestSync = d, max(d, j.mu.stats.LongestSync)
	j.mu.Unlock()
	return err
}

// settled tells those who wait how far the journal is.
func (j *Journal) settled(t taken, synced, failed bool) {
	j.account()
	m := &j.mu
	m.Lock()
	m.written, m.writing = t.last, 0
	if synced {
		m.synced, m.oldest, m.always = t.last, time.Now(), 0
		if i := slices.IndexFunc(m.entries, func(e entry) bool { return e.always }); i >= 0 {
			m.always = m.entries[i].sequence
		}
	}
	if failed {
		m.stats.Failures++
	}
	m.stats.Written, m.stats.Segments = j.w.stats, j.w.filled()
	wake := j.decided()
	m.Unlock()
	for _, f := range wake {
		f()
	}
}

// decided takes those out whose wait has an end; the caller holds mu.
func (j *Journal) decided() (wake []func()) {
	m := &j.mu
	m.waiting = slices.DeleteFunc(m.waiting, func(w waiter) bool {
		done, err := j.status(w.sequence)
		if done || err != nil {
			wake = append(wake, w.wake)
		}
		return done || err != nil
	})
	return wake
}

// degrade gives up keeping anything until a new file works: what waits never
// becomes durable, and what comes is in memory only.
func (j *Journal) degrade(err error) {
	j.w.abandon()
	j.w.group.reset(8)
	j.w.dirty = false
	m := &j.mu
	m.Lock()
	m.stats.Failures += 2
	m.failed.from, m.failed.to = j.durable(), m.last
	m.err, m.writing = err, 0
	again := j.degraded.Swap(true) // a try to recover that failed
	m.written, m.synced, m.always = m.last, m.last, 0
	m.bytes, m.entries = m.bytes[:0], m.entries[:0]
	wake := j.decided()
	m.Unlock()
	j.retryCheckpoint = time.Now().Add(j.opts.Retry)
	j.full = j.space(j.w.size) != nil && time.Since(j.recovered) > j.opts.Retry
	if !again {
		j.log.Error("store: nothing is kept until the disk works again", "err", err)
	}
	for _, f := range wake {
		f()
	}
}

// waits is the time until something must be done without being asked; negative
// when there is nothing.
func (j *Journal) waits() time.Duration {
	m := &j.mu
	m.Lock()
	defer m.Unlock()
	switch {
	case m.err != nil:
		wait := max(time.Until(j.retryCheckpoint), 1)
		if j.full {
			wait = min(wait, fullLook)
		}
		return wait
	case m.last > m.synced:
		return max(time.Until(m.oldest.Add(j.stretched())), 1)
	}
	return -1
}

// beat does what is due.
func (j *Journal) beat() {
	j.mu.Lock()
	degraded := j.mu.err != nil
	j.mu.Unlock()
	if degraded {
		if j.space(j.w.size) == nil || !time.Now().Before(j.retryCheckpoint) {
			j.recover()
		}
		return
	}
	j.cycle(true)
}

// recover tries to leave the degraded mode: a checkpoint of what is in memory,
// in new files, is as good as everything that was not kept.
func (j *Journal) recover() {
	m := &j.mu
	m.Lock()
	err := m.err
	m.err = nil // what comes from now on is not in the checkpoint for sure, and is written
	m.Unlock()
	if e := j.Checkpoint(); e != nil {
		j.degrade(err)
		return
	}
	j.degraded.Store(false)
	j.recovered = time.Now()
	j.log.Info("store: the disk works again")
}

// due reports whether the segments that a start would have to read have grown
// out of proportion to the state they stand for.
func (j *Journal) due() bool {
	if j.opts.Snapshot == nil || time.Now().Before(j.retryCheckpoint) {
		return false
	}
	j.w.cycle = int(max(firstSegments, 4*j.checkpoint.size/uint64(j.w.size)))
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
	var size uint64
	if err == nil {
		size, err = writeCheckpoint(j.w.disk, cover, j.snapshot)
	}
	if err == nil {
		_, _, err = readCheckpoint(j.w.disk, cover.number, nil)
	}
	if err != nil {
		j.retryCheckpoint = time.Now().Add(j.opts.Retry)
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

// close ends Run. While nothing is kept it tries once more: what is in memory
// is lost otherwise.
func (j *Journal) close() error {
	if j.degraded.Load() {
		j.recover()
	}
	j.cycle(true)
	var err error
	if j.w.current != nil {
		err = j.w.current.file.Close()
		j.w.current = nil
	}
	j.mu.Lock()
	if err == nil {
		err = j.mu.err
	}
	if j.mu.err == nil {
		j.mu.err = errStopped
	}
	j.mu.Unlock()
	return err
}
