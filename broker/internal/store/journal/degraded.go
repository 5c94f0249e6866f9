package journal

import "time"

// fullLook is how often a full disk, which costs nothing to ask, is asked
// whether there is space again.
const fullLook = time.Second

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

// heal tries to leave the degraded mode: a checkpoint of what is in memory,
// in new files, is as good as everything that was not kept.
func (j *Journal) heal() {
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
