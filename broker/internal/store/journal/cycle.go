package journal

import (
	"errors"
	"slices"
	"time"
)

// groupMax is how many bytes wait for the interval before they are synced
// early: they are held in memory until then.
const groupMax = 256 << 10

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

// attempt writes the group, and with sync makes it durable.
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
			j.heal()
		}
		return
	}
	j.cycle(true)
}

// close ends Run. While nothing is kept it tries once more: what is in memory
// is lost otherwise.
func (j *Journal) close() error {
	if j.degraded.Load() {
		j.heal()
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
