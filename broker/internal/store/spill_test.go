package store

import (
	"bytes"
	"context"
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
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	l.Spills = true
	r := &rig{t: t, disk: d, s: s, q: NewQueue(l, 0), name: "\x00q"}
	r.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
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

func raceSpill(t *testing.T, ops []byte) {
	l := QueueLimits{Messages: 1000, Bytes: 600 << 10}
	r := open(t, disktest.New(1<<30), l, Interval)
	defer func() { r.stop() }()
	var model []held
	var n, dropped uint64
	accounts := func(step int) {
		t.Helper()
		s := r.q.Stats(time.Now())
		if d := s.Dropped - dropped; d > 0 && s.Messages <= len(model) { // overflow takes the oldest that was never handed out
			there := r.held()
			last := uint64(0)
			model = slices.DeleteFunc(model, func(h held) bool {
				if _, found := slices.BinarySearch(there, h.seq); found {
					return false
				}
				if last = h.seq; h.sent || h.got {
					t.Fatalf("step %d: %d was dropped, which was handed out", step, h.seq)
				}
				return true
			})
			for i := range model {
				if h := &model[i]; h.seq < last && !h.before() {
					t.Fatalf("step %d: %d was dropped before %d", step, last, h.seq)
				}
			}
			dropped = s.Dropped
		}
		if s.Messages != len(model) || s.Accepted != s.Removed+s.Dropped+uint64(s.Messages) || s.Bytes < 0 || s.Drops[mqtt.DropLost] > 0 {
			t.Fatalf("step %d: %+v, the model has %d", step, s, len(model))
		}
	}
	for step, op := range ops {
		switch arg := int(op >> 3); op & 7 {
		case 0, 4: // push, 8 bytes to 31 kB
			n++
			seq := r.push(n, 8+arg*1000)
			if seq > 0 {
				model = append(model, held{seq: seq, n: n})
			}
		case 1: // next
			for range 1 + arg%4 {
				i := slices.IndexFunc(model, func(h held) bool { return !h.handed })
				if i >= inFlight {
					break
				}
				e, ok := r.next()
				if ok != (i >= 0) {
					t.Fatalf("step %d: next %v %v, the model has %d at %d", step, e.Seq, ok, len(model), i)
				}
				if !ok {
					break
				}
				if h := &model[i]; e.Seq != h.seq || string(e.Message.Payload) != string(body(h.n, len(e.Message.Payload))) || e.Received != h.got {
					t.Fatalf("step %d: next is %d, want %+v", step, e.Seq, *h)
				}
				if h := &model[i]; (e.Sent > 0) != h.before() {
					t.Fatalf("step %d: %d was handed out %d times, want %+v", step, e.Seq, e.Sent, *h)
				}
				model[i].handed, model[i].sent = true, true
			}
		case 2, 3: // remove what was handed out, the first or another
			i := slices.IndexFunc(model, func(h held) bool { return h.handed })
			if i < 0 {
				break
			}
			if k := i + arg%3; k < len(model) && model[k].handed {
				i = k
			}
			if !r.q.Remove(model[i].seq) {
				t.Fatalf("step %d: %d is not there", step, model[i].seq)
			}
			r.done(model[i].seq)
			model = slices.Delete(model, i, i+1)
		case 5: // received
			for i := range min(len(model), suspects) {
				if model[i].handed && !model[i].got {
					r.q.Received(model[i].seq)
					r.s.Append(Record{Kind: DeliveryReceived, ClientID: r.name, Number: model[i].seq})
					r.commit()
					model[i].got = true
					break
				}
			}
		case 6: // withdraw one that was never handed out
			if k := len(model) - 1 - arg%9; k >= 0 && !model[k].before() && r.q.Withdraw(model[k].seq, mqtt.DropReplaced) {
				r.letGo()
				r.commit()
				dropped++
				model = slices.Delete(model, k, k+1)
			}
		case 7:
			switch {
			case arg < 20:
				r.rewind()
			case arg < 26:
				time.Sleep(2 * time.Second)
			default:
				r = r.kill(l)
				dropped = 0
				handed := r.s.Queue(r.name).Handed
				for i := range model {
					h := &model[i]
					h.maybe = handed == 0 && i < suspects || h.maybe && h.seq <= handed
				}
			}
			for i := range model {
				model[i].handed = model[i].handed && arg >= 20 && arg < 26
			}
		}
		accounts(step)
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
		s, _, _, err := Open(d, Options{Default: Never})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
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
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
