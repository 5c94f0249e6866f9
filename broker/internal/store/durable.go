package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disk"
	"github.com/dunlin-mqtt/dunlin/broker/internal/store/journal"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// hot is how often a retained value must change to be written with others of
// its kind every RetainedFlush, rather than each time.
const hot = 30 * time.Second

// reserve is how many bytes spilling leaves to the journal and its checkpoints
// beyond Options.MinFree: acknowledgements can be written when nothing else can.
const reserve = 8 << 20

// Options configure a Durable store. Zero values take the defaults.
type Options struct {
	Default       Class
	Classes       []ClassRule   // the first match wins
	Interval      time.Duration // of class Interval; default 1 s
	RetainedFlush time.Duration // default 60 s
	SegmentSize   int64         // bytes; default 1 MiB
	MinFree       int64         // bytes of the file system that are left alone
	MaxSpill      int64         // bytes of all spill files; 0 is no bound
	Budget        int64         // bytes a day before what can wait is written less often; 0 is no bound
	Stop          bool          // Run ends when the disk fails
	Spills        bool          // Open puts on disk what outgrows memory; else it writes nothing
	Log           *slog.Logger
	// Lazy says that a retained message may wait for RetainedFlush if its topic
	// is hot, whatever its QoS: the gateway's own devices say so. QoS 0
	// messages always may. nil is never.
	Lazy func(m *mqtt.Message) bool
	// Held hears how many bytes of memory lines take more than before: messages
	// that nobody else holds, and the lines themselves. They take less at a higher
	// Level of shortage, 1 to 4. nil for nobody and 0.
	Held  func(messages, lines int)
	Level func() int
	// ClockSet hears, on the goroutine of Run, that the clock was set; nil is
	// nobody. Uptime is how long the system runs; nil asks it.
	ClockSet func()
	Uptime   func() time.Duration
}

// Durable is a store on a disk: the state of all records in memory, a journal
// of what changed it, and a checkpoint now and then. Its methods may be called
// from any goroutine and do not wait for the disk; Run has the disk.
type Durable struct {
	opts    Options
	classes classes
	j       *journal.Journal
	clock   clock
	spill   *journal.Spill
	used    map[uint64]struct{} // spill files that the last checkpoint names; the journal's own
	tight   atomic.Bool         // spilling fails
	told    time.Time           // when that was said; the journal's own
	spilled atomic.Uint64       // bytes written to spill files
	size    atomic.Int64        // bytes of spill files
	bad     atomic.Uint64       // pages of them that could not be read

	mu struct {
		sync.Mutex
		state   *State
		body    []byte   // reused
		strict  string   // publisher whose last message was of class Always
		dirty   []string // topics to be written at the next flush
		tap     *tap     // of the backup that is being written
		toSpill []string // names of lines
		freed   bool     // a spill file may be idle
		stale   bool     // times on disk are wrong until a checkpoint
		// early is what was done before its message had a record, by line.
		early map[string]uint64
	}
	flush chan struct{} // the first topic is dirty
}

// Open reads the state that a directory holds; see journal.Open and
// Options.Spills. The state is the caller's to look at until the first Append.
func Open(d disk.Disk, o Options) (*Durable, *State, journal.Report, error) {
	if o.RetainedFlush == 0 {
		o.RetainedFlush = time.Minute
	}
	if o.Uptime == nil {
		o.Uptime = uptime
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Durable{opts: o, classes: newClasses(o.Default, o.Classes), flush: make(chan struct{}, 1)}
	s.clock.start = time.Now()
	s.mu.state = NewState()
	var err error
	if s.spill, err = journal.OpenSpill(d, o.MinFree+reserve, o.MaxSpill); err != nil {
		return nil, nil, journal.Report{}, err
	}
	before := s.spill.Last()
	bodies := make(map[uint64]*mqtt.Message)
	j, report, err := journal.Open(d, journal.Options{
		SegmentSize: o.SegmentSize, Interval: o.Interval, MinFree: o.MinFree, Log: o.Log,
		Snapshot: s.snapshot, Covered: s.covered, Beside: s.beside, Tight: s.tight.Load,
		Budget: o.Budget, Besides: s.spilled.Load, Stop: o.Stop,
	}, func(raw journal.Record) error {
		r, err := decodeRecord(Kind(raw.Kind), raw.Body)
		if err != nil {
			return fmt.Errorf("record %d of kind %d: %w", raw.Sequence, raw.Kind, err)
		}
		r.class = s.classes.strictest // it was forgotten which it was
		if r.Message != nil {
			r.Message.Shareable(new(atomic.Int32)) // lines and sessions will
		}
		if r.Kind >= bodyKept {
			s.mu.state.applyKept(&r, bodies)
		} else {
			s.replay(&r)
		}
		return nil
	})
	if err != nil { // the directory is left as it was
		return nil, nil, report, errors.Join(err, s.spill.Release(func(file uint64) bool { return file <= before }))
	}
	s.j = j
	s.adopt()
	s.mu.stale = s.mu.state.recovered(s.clock.start, o.Uptime(), s.spill.Last())
	return s, s.mu.state, report, nil
}

// Run keeps the store until ctx ends, then makes everything durable.
func (s *Durable) Run(ctx context.Context) error {
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer s.spill.Close()
	done := make(chan error, 1)
	go func() { done <- s.j.Run(inner) }()
	var due <-chan time.Time
	for {
		select {
		case <-s.flush:
			due = time.After(s.opts.RetainedFlush * s.j.Stretch())
		case <-due:
			due = nil
			s.writeDirty()
		case err := <-done:
			return err // the disk has failed
		case <-ctx.Done():
			s.writeDirty()
			stop()
			return <-done
		}
	}
}

// Append takes a change. It is written after the next Commit. The sequence is 0
// for what is not written for itself.
func (s *Durable) Append(r Record) (sequence uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.append(r)
}

// append is Append; the caller holds mu.
func (s *Durable) append(r Record) (sequence uint64) {
	m := &s.mu
	if s.isEarly(&r) {
		return 0
	}
	class, write := s.judge(&r)
	if class == Never && r.Message != nil && len(r.Destinations) == 0 { // what is queued may have to be spilled, in its order
		return 0
	}
	l := m.state.Lines[r.ClientID]
	m.state.Apply(&r)
	if r.Kind == MessageQueued || r.Kind == MessageFrom {
		s.mark(r.Destinations)
		if len(m.early) > 0 {
			defer s.catchUp(r.Destinations)
		}
	} else if l != nil {
		s.settle(&r, l)
	}
	if r.Kind == RetainedSet {
		write = s.retained(r.Message, write)
	}
	if !write {
		return 0 // promised as it is
	}
	r.date()
	if r.Kind == DeliveryDone && r.From > 0 {
		r.Kind, r.Count = LineCut, r.Number-r.From+1
	}
	m.body = appendRecord(m.body[:0], &r)
	if m.tap != nil {
		m.tap.take(r.Kind, m.body)
	}
	return s.j.Append(byte(r.Kind), m.body, class == Always)
}

// isEarly notes the entry that is done although its message has no record yet: a
// destination gets a message first, and may be quick. It reports whether the
// record is about nothing else. The caller holds mu.
func (s *Durable) isEarly(r *Record) bool {
	l := s.mu.state.Lines[r.ClientID]
	if r.Kind != DeliveryDone || l == nil || r.Number != l.Last+1 {
		return false
	}
	if s.mu.early == nil {
		s.mu.early = make(map[string]uint64)
	}
	s.mu.early[r.ClientID] = r.Number
	if r.first() == r.Number {
		return true
	}
	r.Number--
	return false
}

// catchUp ends what was done before its record, which came now. The caller
// holds mu.
func (s *Durable) catchUp(to []Destination) {
	for i := range to {
		name := to[i].Name
		n, ok := s.mu.early[name]
		if !ok {
			continue
		}
		delete(s.mu.early, name)
		if n == to[i].Number {
			s.append(Record{Kind: DeliveryDone, ClientID: name, Number: n})
		}
	}
}

// settle books what a record has changed about a line that is no message. The
// caller holds mu.
func (s *Durable) settle(r *Record, l *Line) {
	ended := r.Kind == SessionEnded
	if l.disk != nil {
		s.mu.freed = s.mu.freed || l.disk.freed || ended
		if l.disk.freed = false; ended {
			l.disk = nil // somebody may hold it
		}
	}
	if ended {
		delete(s.mu.early, r.ClientID)
	}
	s.charge(l, ended)
}

// judge finds the class of a record, and whether it is written at all. The
// caller holds mu.
func (s *Durable) judge(r *Record) (c Class, write bool) {
	switch r.Kind {
	case MessageQueued, MessageFrom:
		c = s.classes.of(r.Message.Topic)
		if r.class = c; c == Always {
			s.mu.strict = r.Message.Publisher
		}
	case RetainedSet, RetainedCleared:
		c = s.classes.of(r.Message.Topic)
	case PacketReceived:
		// In one commit with its message, which was appended just before.
		if c = Interval; s.mu.strict == r.ClientID && r.ClientID != "" {
			c = Always
		}
		r.class, s.mu.strict = c, ""
	case PacketReleased:
		if l := s.mu.state.Lines[r.ClientID]; l != nil {
			c = l.Received[uint16(r.Number)]
		}
	case SessionKept, SessionEnded, Subscribed, Unsubscribed, HandedOut:
		c = s.classes.strictest // rare, and no topic says which
	case DeliveryReceived, DeliveryDone:
		if !s.mu.state.known(r) {
			return c, false // its message is of class Never
		}
		c = Interval // their loss costs a message sent again
	case LineCut:
		c = Interval
	case WillSet:
		c = Interval
	}
	return c, c != Never
}

// retained decides whether a retained value is written now or with others of
// its kind. The caller holds mu.
func (s *Durable) retained(m *mqtt.Message, write bool) bool {
	lazy := m.QoS == mqtt.AtMostOnce || s.opts.Lazy != nil && s.opts.Lazy(m)
	entry := s.mu.state.Retained[m.Topic]
	now := s.second()
	if !lazy || !write || now-entry.written >= uint32(hot/time.Second) && !entry.dirty {
		entry.written, entry.dirty = now, false
		s.mu.state.Retained[m.Topic] = entry
		return write
	}
	if !entry.dirty {
		entry.dirty = true
		s.mu.state.Retained[m.Topic] = entry
		s.mu.dirty = append(s.mu.dirty, m.Topic)
		if len(s.mu.dirty) == 1 {
			select {
			case s.flush <- struct{}{}:
			default:
			}
		}
	}
	return false
}

// second is the time by the clock of Retained.written: what was never written
// is long ago.
func (s *Durable) second() uint32 { return uint32((time.Since(s.clock.start) + hot) / time.Second) }

// writeDirty writes the retained values that waited.
func (s *Durable) writeDirty() {
	m := &s.mu
	m.Lock()
	for _, name := range m.dirty {
		entry, ok := m.state.Retained[name]
		if !ok || !entry.dirty {
			continue // cleared, or written since
		}
		entry.written, entry.dirty = s.second(), false
		m.state.Retained[name] = entry
		m.body = appendRecord(m.body[:0], s.timely(&Record{Kind: RetainedSet, Message: entry.Message}))
		s.j.Append(byte(RetainedSet), m.body, false)
	}
	m.dirty = nil
	m.Unlock()
	s.j.Commit()
}

// snapshot gives the state to a checkpoint.
func (s *Durable) snapshot(add func(kind byte, body []byte) error) error {
	if err := s.syncSpill(); err != nil {
		return err
	}
	return s.dump(add, false)
}

// Commit has what was appended written; see journal.Journal.
func (s *Durable) Commit() (sequence uint64) { return s.j.Commit() }

// Status reports whether everything up to sequence is as safe as its class
// asks. An error says that it never will be.
func (s *Durable) Status(sequence uint64) (done bool, err error) { return s.j.Status(sequence) }

// Refuses reports whether a message to the topic called name cannot be kept as
// its class promises: the disk has failed, and it is of class Always.
func (s *Durable) Refuses(name string) bool { return s.j.Degraded() && s.classes.of(name) == Always }

// Pressed reports whether the disk is behind; see journal.Journal.
func (s *Durable) Pressed() bool { return s.j.Pressed() }

// Notify calls f once when Status of sequence is decided.
func (s *Durable) Notify(sequence uint64, f func()) { s.j.Notify(sequence, f) }

// Stats describe a store.
type Stats struct {
	journal.Stats
	Spilled   uint64 // bytes written to spill files
	SpillSize int64  // bytes that they take
	BadSpill  uint64 // pages of them that could not be read
}

// Stats describes the store.
func (s *Durable) Stats() Stats {
	return Stats{s.j.Stats(), s.spilled.Load(), s.size.Load(), s.bad.Load()}
}
