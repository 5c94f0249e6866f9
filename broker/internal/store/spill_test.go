package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disktest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// rig is one queue on a store on a fake disk.
type rig struct {
	t    *testing.T
	disk *disktest.Fake
	s    *Durable
	q    *Queue
	name string
	stop func()
}

func open(t *testing.T, d *disktest.Fake, l QueueLimits, class Class) *rig {
	t.Helper()
	s, _, report, err := Open(d, Options{SegmentSize: 32 << 10, Default: class, Spills: true})
	if err != nil || report.BadPages > 0 {
		t.Fatal(report, err)
	}
	l.Spills = true
	r := &rig{t: t, disk: d, s: s, q: NewQueue(l, 0), name: "\x00q", stop: run(t, s)}
	r.q.Restore(s.Queue(r.name), suspects)
	for r.q.Loads() {
		_, after, last := r.q.Behind()
		entries, upTo, err := s.Read(r.name, after, 16<<10)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			upTo = last
		}
		r.q.Load(entries, upTo)
	}
	return r
}

// inFlight is how many entries may be in flight, suspects how many of those that
// are there may have been.
const inFlight, suspects = 8, 30

// body is the payload of an entry: its number and so many bytes that follow
// from it.
func body(n uint64, size int) []byte {
	b := binary.BigEndian.AppendUint64(nil, n)
	for len(b) < size {
		b = append(b, byte(n))
	}
	return b
}

func (r *rig) push(n uint64, size int) (seq uint64) {
	m := &mqtt.Message{Topic: fmt.Sprint("t/", n%3), Payload: body(n, size), QoS: 1}
	seq = r.q.Push(time.Now(), m)
	r.letGo()
	if seq > 0 {
		r.s.Append(Record{Kind: MessageQueued, At: time.Now(), Message: m, Destinations: []Destination{{Name: r.name, Number: seq, QoS: 1}}})
	}
	r.commit()
	return seq
}

func (r *rig) letGo() {
	gone, cuts := r.q.Gone()
	for _, n := range gone {
		r.s.Append(Record{Kind: DeliveryDone, ClientID: r.name, Number: n})
	}
	for _, c := range cuts {
		r.s.Append(Record{Kind: LineCut, ClientID: r.name, From: c.From, Number: c.To, Count: c.Count})
	}
}

func (r *rig) commit() {
	r.s.Commit()
	synctest.Wait()
}

func (r *rig) next() (mqtt.Queued, bool) {
	r.t.Helper()
	for failed := 0; ; {
		e, ok := r.q.Next(time.Now())
		r.letGo()
		if ok {
			r.handed(0)
			return e, true
		}
		want, after, last := r.q.Behind()
		if !want {
			return e, false
		}
		entries, upTo, err := r.s.Read(r.name, after, 16<<10)
		if err != nil {
			if failed++; failed > 1 { // once, if a test wants it
				r.t.Fatal(err)
			}
			continue
		}
		if len(entries) == 0 {
			upTo = last
		}
		r.q.Load(entries, upTo)
		if len(entries) == 0 {
			return e, false
		}
	}
}

// handed tells the store up to where the queue was handed out, 0 while it is.
func (r *rig) handed(seq uint64) {
	if r.s.Queue(r.name).Handed != seq {
		r.s.Append(Record{Kind: HandedOut, ClientID: r.name, Number: seq})
		r.commit()
	}
}

func (r *rig) rewind() {
	r.q.Rewind()
	if seq := r.q.Handed(); seq > 0 {
		r.handed(seq)
	}
}

func (r *rig) done(seq uint64) {
	r.s.Append(Record{Kind: DeliveryDone, ClientID: r.name, Number: seq})
	r.commit()
}

// kill ends the process without a word and begins another.
func (r *rig) kill(l QueueLimits) *rig {
	d := r.disk.Crash(r.disk.Ops(), disktest.KeepAll, rand.New(rand.NewPCG(1, 1)))
	r.stop()
	return open(r.t, d, l, Interval)
}

// FuzzSpill drives a queue that spills, the store behind it, and a slice.
func FuzzSpill(f *testing.F) {
	f.Add([]byte("\x00\x08\x10\x18\xf8\xf8\xf8\xf8\xf8\xf8\xf8\xf8\xf8\x01\x01\x02\x03\x05\x01\x01\x02\x03\x06\x01\x01\x02\x03\x07"))
	for seed := range uint64(5) {
		rng := rand.New(rand.NewPCG(seed, 0))
		ops := make([]byte, 300)
		for i := range ops {
			if ops[i] = byte(rng.Uint32()); rng.IntN(3) == 0 {
				ops[i] &^= 7 // grow
			}
		}
		f.Add(ops)
	}
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) > 300 {
			return
		}
		synctest.Test(t, func(t *testing.T) { raceSpill(t, ops) })
	})
}

type held struct {
	seq, n uint64
	handed bool // since the last Rewind
	sent   bool // ever
	maybe  bool // nobody knows
	got    bool
}

// before reports whether the entry may have been handed out.
func (h *held) before() bool { return h.sent || h.maybe || h.got }

// spillRace compares a queue whose store spills with a model that is a slice.
type spillRace struct {
	*testing.T
	*rig
	limits          QueueLimits
	model           []held
	pushed, dropped uint64
	step            int
}

func raceSpill(t *testing.T, ops []byte) {
	l := QueueLimits{Messages: 1000, Bytes: 600 << 10}
	race := &spillRace{T: t, rig: open(t, disktest.New(1<<30), l, Interval), limits: l}
	defer func() { race.stop() }()
	for step, op := range ops {
		race.step = step
		switch arg := int(op >> 3); op & 7 {
		case 0, 4:
			race.push(8 + arg*1000)
		case 1:
			race.next(1 + arg%4)
		case 2, 3:
			race.remove(arg % 3)
		case 5:
			race.receive()
		case 6:
			race.withdraw(arg % 9)
		case 7:
			switch {
			case arg < 20:
				race.rewind()
			case arg < 26:
				time.Sleep(2 * time.Second)
			default:
				race.kill()
			}
		}
		race.check()
	}
}

// push queues a message of that many bytes.
func (r *spillRace) push(size int) {
	r.pushed++
	if seq := r.rig.push(r.pushed, size); seq > 0 {
		r.model = append(r.model, held{seq: seq, n: r.pushed})
	}
}

// next takes so many that were not handed out since the last rewind.
func (r *spillRace) next(count int) {
	for range count {
		i := slices.IndexFunc(r.model, func(h held) bool { return !h.handed })
		if i >= inFlight {
			return
		}
		e, ok := r.rig.next()
		if ok != (i >= 0) {
			r.Fatalf("step %d: next %v %v, the model has %d at %d", r.step, e.Seq, ok, len(r.model), i)
		}
		if !ok {
			return
		}
		h := &r.model[i]
		if e.Seq != h.seq || string(e.Message.Payload) != string(body(h.n, len(e.Message.Payload))) || e.Received != h.got {
			r.Fatalf("step %d: next is %d, want %+v", r.step, e.Seq, *h)
		}
		if (e.Sent > 0) != h.before() {
			r.Fatalf("step %d: %d was handed out %d times, want %+v", r.step, e.Seq, e.Sent, *h)
		}
		h.handed, h.sent = true, true
	}
}

// remove acknowledges the first that was handed out, or one of those behind it.
func (r *spillRace) remove(behind int) {
	i := slices.IndexFunc(r.model, func(h held) bool { return h.handed })
	if i < 0 {
		return
	}
	if k := i + behind; k < len(r.model) && r.model[k].handed {
		i = k
	}
	if !r.q.Remove(r.model[i].seq) {
		r.Fatalf("step %d: %d is not there", r.step, r.model[i].seq)
	}
	r.done(r.model[i].seq)
	r.model = slices.Delete(r.model, i, i+1)
}

// receive records a PUBREC for the first that has none.
func (r *spillRace) receive() {
	for i := range min(len(r.model), suspects) {
		if h := &r.model[i]; h.handed && !h.got {
			r.q.Received(h.seq)
			r.s.Append(Record{Kind: DeliveryReceived, ClientID: r.name, Number: h.seq})
			r.commit()
			h.got = true
			return
		}
	}
}

// withdraw gives up one that was never handed out, so many before the last.
func (r *spillRace) withdraw(before int) {
	if k := len(r.model) - 1 - before; k >= 0 && !r.model[k].before() && r.q.Withdraw(r.model[k].seq, mqtt.DropReplaced) {
		r.letGo()
		r.commit()
		r.dropped++
		r.model = slices.Delete(r.model, k, k+1)
	}
}

func (r *spillRace) rewind() {
	r.rig.rewind()
	for i := range r.model {
		r.model[i].handed = false
	}
}

// kill ends the process; what was handed out may be known to the next.
func (r *spillRace) kill() {
	r.rig = r.rig.kill(r.limits)
	r.dropped = 0
	handed := r.s.Queue(r.name).Handed
	for i := range r.model {
		h := &r.model[i]
		h.maybe = handed == 0 && i < suspects || h.maybe && h.seq <= handed
		h.handed = false
	}
}

// check takes out of the model what overflow has dropped, the oldest that was
// never handed out, and compares the accounts.
func (r *spillRace) check() {
	s := r.q.Stats(time.Now())
	if d := s.Dropped - r.dropped; d > 0 && s.Messages <= len(r.model) {
		there := r.held()
		last := uint64(0)
		r.model = slices.DeleteFunc(r.model, func(h held) bool {
			if _, found := slices.BinarySearch(there, h.seq); found {
				return false
			}
			if last = h.seq; h.sent || h.got {
				r.Fatalf("step %d: %d was dropped, which was handed out", r.step, h.seq)
			}
			return true
		})
		for i := range r.model {
			if h := &r.model[i]; h.seq < last && !h.before() {
				r.Fatalf("step %d: %d was dropped before %d", r.step, last, h.seq)
			}
		}
		r.dropped = s.Dropped
	}
	if s.Messages != len(r.model) || s.Accepted != s.Removed+s.Dropped+uint64(s.Messages) || s.Bytes < 0 || s.Drops[mqtt.DropLost] > 0 {
		r.Fatalf("step %d: %+v, the model has %d", r.step, s, len(r.model))
	}
}

// A backup holds what is spilled.
func TestBackupOfASpill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := QueueLimits{Messages: 1000, Bytes: 1 << 30}
		r := open(t, disktest.New(1<<30), l, Interval)
		for n := range uint64(60) {
			r.push(n+1, 9000)
		}
		for range 5 {
			e, _ := r.next()
			r.q.Remove(e.Seq)
			r.done(e.Seq)
		}
		r.rewind()
		var backup bytes.Buffer
		if err := r.s.Backup(&backup); err != nil {
			t.Fatal(err)
		}
		r.stop()
		d := disktest.New(1 << 30)
		if err := Restore(d, bytes.NewReader(backup.Bytes()), int64(backup.Len()), Everything); err != nil {
			t.Fatal(err)
		}
		r = open(t, d, l, Interval)
		defer r.stop()
		if n := r.s.Queue(r.name).Handed; n != 5 {
			t.Errorf("%d was handed out last, want 5", n)
		}
		for n := uint64(6); n <= 60; n++ {
			if e, ok := r.next(); !ok || e.Seq != n || string(e.Message.Payload) != string(body(n, 9000)) {
				t.Fatalf("entry %d is %d, %v", n, e.Seq, ok)
			}
		}
	})
}

// What is of class Never is in memory only, but no more of it than of other
// classes: its backlog goes to disk, also after a time when the disk was full,
// although none of it is written for itself.
func TestBacklogOfClassNever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := disktest.New(1 << 30)
		s, stop := running(t, d, Options{Default: Never})
		n := uint64(0)
		weight := func() int64 {
			for range 2000 {
				n++
				m := &mqtt.Message{Topic: "t", QoS: 1, Payload: body(n, 200)}
				s.Append(Record{Kind: MessageQueued, Message: m, Destinations: []Destination{{Name: "\x00q", Number: n, QoS: 1}}})
				s.Commit()
				time.Sleep(time.Millisecond)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.mu.state.Lines["\x00q"].weight()
		}
		if w := weight(); w > spillAt {
			t.Errorf("%d bytes in memory", w)
		}
		full := errors.New("no space left on device")
		d.Fail(func(op, name string) error { return full })
		if w := weight(); w < spillAt || !s.Tight() {
			t.Errorf("%d bytes in memory on a full disk", w)
		}
		d.Fail(func(op, name string) error { return nil })
		if w := weight(); w > spillAt || s.Tight() {
			t.Errorf("%d bytes in memory, and the disk has space again", w)
		}
		next := uint64(1)
		for after := uint64(0); ; {
			entries, upTo, err := s.Read("\x00q", after, 64<<10)
			if err != nil {
				t.Fatal(err)
			}
			if len(entries) == 0 {
				break
			}
			for _, e := range entries {
				if e.Number != next {
					t.Fatalf("entry %d where %d should be", e.Number, next)
				}
				next++
			}
			after = upTo
		}
		if next != n+1 {
			t.Errorf("%d of %d messages", next-1, n)
		}
		stop()
	})
}
