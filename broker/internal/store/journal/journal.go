package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disk"
)

// Options configure a Journal. Zero values take the defaults.
type Options struct {
	SegmentSize int64         // bytes, a multiple of 4096; default 1 MiB
	Interval    time.Duration // from a record to its sync; default 1 s
	MinFree     int64         // bytes of the file system that are left alone
	Retry       time.Duration // from one try to leave the degraded mode to the next; default 60 s
	// Snapshot gives the whole live state for a checkpoint, as records. It runs
	// beside Append: what is appended meanwhile may be in it or not, so that
	// applying a record twice must be as good as once.
	Snapshot func(add func(kind byte, body []byte) error) error
	// Covered is called when the state that Snapshot gave is durable and was
	// read back; what only older checkpoints need may go. nil is nothing.
	Covered func()
	// Beside is called between writes; it may use the disk. It reports whether
	// a checkpoint should come soon. nil is nothing.
	Beside func() (checkpoint bool)
	// Tight reports whether there is no space for what Beside would write: the
	// journal takes less then, and sooner gives it back. nil is no.
	Tight func() bool
	// Budget is how many bytes may be written in a day before the interval gets
	// longer; 0 is no bound. Besides is what others have written to the disk.
	Budget  int64
	Besides func() uint64
	Stop    bool         // Run ends with an error instead of going on without a disk
	Log     *slog.Logger // nil discards
}

// Journal is the log. Append, Commit, Status and Notify may be called from any
// goroutine; Run has the disk.
type Journal struct {
	opts     Options
	log      *slog.Logger
	w        writer        // Run's own
	kick     chan struct{} // there is something to write
	late     chan struct{} // there is something to write when the interval has passed
	degraded atomic.Bool   // see Degraded
	left     atomic.Int32  // of the budget, in thousandths

	// Run's own, too.
	checkpoint struct {
		last  uint64   // the highest number of one; 0 for none
		size  uint64   // of the newest, in bytes
		cover coverage // of the newest that is whole; start if there was none, epoch 0 if it is damaged
	}
	budget          budget
	wantCheckpoint  bool      // a file is suspect
	retryCheckpoint time.Time // not before this
	full            bool      // nothing is kept for want of space: look for it before that
	recovered       time.Time // when the disk worked again
	told            time.Time // when it was said that there is no space for a checkpoint

	mu struct {
		sync.Mutex
		bytes     []byte  // bodies that wait to be written
		entries   []entry // their records
		writing   int     // bytes that Run has taken and not yet written
		last      uint64  // sequence of the newest record
		always    uint64  // of the first that asked to be synced and is not; 0 for none
		written   uint64  // reached the page cache
		synced    uint64  // reached the disk
		oldest    time.Time
		failed    struct{ from, to uint64 } // these sequences never will be durable
		err       error                     // why; nil when all is well
		waiting   []waiter
		stats     Stats
		committed uint64 // what Commit asked for
	}
}

type entry struct {
	sequence uint64
	size     int
	kind     byte
	always   bool
}

type waiter struct {
	sequence uint64
	wake     func()
}

// Stats describe a journal now and since it was opened.
type Stats struct {
	Written
	Mode            Mode
	Fault           string        // while the Mode is Degraded, why
	Unsynced        int           // records written but not synced, or not written
	UnsyncedAge     time.Duration // of the oldest of them
	LastSync        time.Duration // how long it took
	LongestSync     time.Duration
	Failures        uint64 // writes or syncs that failed
	BadPages        int
	Segments        int
	CheckpointBytes uint64
	BudgetLeft      int // of a day's bytes, in percent
}

// Mode says whether the journal keeps what it is given.
type Mode uint8

// The modes.
const (
	OK       Mode = iota
	Degraded      // nothing is kept until a new file works
)

func (m Mode) String() string {
	if m == Degraded {
		return "degraded"
	}
	return "ok"
}

// Open reads what a directory holds and gives it to apply: the records of the
// last checkpoint and those after it, in order. It writes nothing, so that it
// also works on a disk that is full or read-only. Files with damage are read as
// far as they go; the error is about a directory that cannot be read, or files
// of a newer version.
func Open(d disk.Disk, o Options, apply func(Record) error) (*Journal, Report, error) {
	if o.SegmentSize == 0 {
		o.SegmentSize = 1 << 20
	}
	if o.SegmentSize%pageSize != 0 || o.SegmentSize < 4*pageSize {
		return nil, Report{}, fmt.Errorf("segment size %d is not a multiple of %d", o.SegmentSize, pageSize)
	}
	if o.Interval == 0 {
		o.Interval = time.Second
	}
	if o.Retry == 0 {
		o.Retry = time.Minute
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	j := &Journal{opts: o, log: o.Log, kick: make(chan struct{}, 1), late: make(chan struct{}, 1)}
	j.budget = newBudget(o.Budget, time.Now())
	j.left.Store(1000)
	j.w = writer{disk: d, size: o.SegmentSize, minFree: o.MinFree}
	f, err := look(d)
	if err != nil {
		return nil, Report{}, fmt.Errorf("store: %w", err)
	}
	r := recovery{disk: d, apply: apply}
	if err := r.base(&f); err != nil {
		return nil, r.report, err
	}
	live := f.since(r.cover)
	if err := r.replay(live); err != nil {
		return nil, r.report, err
	}
	j.adopt(&r, &f)
	return j, r.report, nil
}

// adopt takes over what recovery found.
func (j *Journal) adopt(r *recovery, f *found) {
	w := &j.w
	w.live, w.covered, w.damaged = f.since(r.before(f)), r.cover.epoch, r.report.Damaged
	for _, epoch := range f.segments {
		if !slices.Contains(w.live, epoch) && len(w.spare) < spares && w.whole(segmentName(epoch)) {
			w.spare = append(w.spare, segmentName(epoch))
		}
		w.epoch = max(w.epoch, epoch)
	}
	if len(f.checkpoints) > 0 {
		j.checkpoint.last = f.checkpoints[0]
		w.epoch = max(w.epoch, r.cover.epoch, start.epoch) // the journal does not begin here
	}
	if !slices.Contains(w.damaged, checkpointName(r.cover.number)) {
		j.checkpoint.cover = r.cover
	}
	j.mu.last = r.last
	j.mu.written, j.mu.synced = r.last, r.last
	j.mu.stats.BadPages = r.report.BadPages
	j.wantCheckpoint = r.cut || len(w.damaged) > 0 // what is left of damaged files goes into whole ones
}

// Append takes a record; body is copied. always asks for a sync of its own,
// else the record waits for the interval. It never waits. The record is written
// after the next Commit, or when the interval has passed.
func (j *Journal) Append(kind byte, body []byte, always bool) (sequence uint64) {
	m := &j.mu
	m.Lock()
	defer m.Unlock()
	m.last++
	if m.err != nil { // degraded: the state is in memory only, until the next checkpoint
		m.written, m.synced = m.last, m.last
		return m.last
	}
	if m.synced == m.last-1 {
		m.oldest = time.Now()
	}
	if always && m.always == 0 {
		m.always = m.last
	}
	m.bytes = append(m.bytes, body...)
	if m.entries = append(m.entries, entry{m.last, len(body), kind, always}); len(m.entries) == 1 {
		j.Nudge()
	}
	return m.last
}

// Commit has what was appended written, and returns the sequence that must be
// durable before any of it is promised.
func (j *Journal) Commit() (sequence uint64) {
	m := &j.mu
	m.Lock()
	sequence = m.last
	ask := len(m.entries) > 0 && m.committed < sequence
	m.committed = sequence
	m.Unlock()
	if ask {
		select {
		case j.kick <- struct{}{}:
		default:
		}
	}
	return sequence
}

// Nudge has Run look whether there is something to do.
func (j *Journal) Nudge() {
	select {
	case j.late <- struct{}{}:
	default:
	}
}

// pressure is how many bytes may wait to be written before those who publish
// should wait, too.
const pressure = 1 << 20

// Degraded reports whether nothing is kept until the disk works again.
func (j *Journal) Degraded() bool { return j.degraded.Load() }

// Pressed reports whether the disk is behind: so much waits in memory that no
// more should be appended for a moment.
func (j *Journal) Pressed() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.mu.bytes)+j.mu.writing > pressure
}

// Status reports whether everything up to sequence is as safe as it asked to
// be. An error says that it never will be.
func (j *Journal) Status(sequence uint64) (done bool, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.status(sequence)
}

func (j *Journal) status(sequence uint64) (bool, error) {
	m := &j.mu
	if sequence > m.failed.from && sequence <= m.failed.to {
		return false, fmt.Errorf("store: %w", m.err)
	}
	return sequence <= j.durable(), nil
}

// durable is the sequence that may be promised; the caller holds mu. Records
// that wait for the interval are as safe as they ask when they are written,
// but not before those in front of them that ask for more. It never falls: who
// was told that a sequence is decided may rely on it.
func (j *Journal) durable() uint64 {
	m := &j.mu
	if m.always > 0 {
		return min(m.written, m.always-1)
	}
	return m.written
}

// Notify calls wake once, from any goroutine and maybe at once, when Status of
// sequence is decided.
func (j *Journal) Notify(sequence uint64, wake func()) {
	j.mu.Lock()
	done, err := j.status(sequence)
	if !done && err == nil {
		j.mu.waiting = append(j.mu.waiting, waiter{sequence, wake})
		j.mu.Unlock()
		return
	}
	j.mu.Unlock()
	wake()
}

// Stats describes the journal.
func (j *Journal) Stats() Stats {
	m := &j.mu
	m.Lock()
	defer m.Unlock()
	s := m.stats
	if m.err != nil {
		s.Mode = Degraded
		s.Fault, _, _ = strings.Cut(m.err.Error(), "\n") // the second file's is mostly the same
	}
	s.BudgetLeft = int(j.left.Load() / 10)
	if s.Unsynced = int(m.last - m.synced); s.Unsynced > 0 {
		s.UnsyncedAge = time.Since(m.oldest)
	}
	return s
}

// errStopped ends what waits when Run ends.
var errStopped = errors.New("the store has stopped")

// retell is how long it is not said again that there is no space for a checkpoint.
const retell = time.Hour

// Run writes until ctx ends, then makes everything durable and closes its
// files. It returns an error only if that fails.
func (j *Journal) Run(ctx context.Context) error {
	tick := time.NewTimer(j.opts.Interval)
	tick.Stop()
	defer tick.Stop()
	ticking := false
	for {
		if j.opts.Stop && j.Degraded() {
			return j.close()
		}
		if j.opts.Beside != nil && !j.Degraded() && j.opts.Beside() {
			j.wantCheckpoint = true
		}
		if j.due() {
			err := j.Checkpoint()
			if full := errors.Is(err, errFull); err != nil && (!full || time.Since(j.told) > retell) {
				j.log.Warn("store: no checkpoint", "err", err)
				if full {
					j.told = time.Now()
				}
			}
		}
		if d := j.waits(); !ticking && d > 0 {
			tick.Reset(d)
			ticking = true
		}
		select {
		case <-ctx.Done():
			return j.close()
		case <-j.kick:
			j.cycle(false)
		case <-j.late:
		case <-tick.C:
			ticking = false
			j.beat()
		}
	}
}
