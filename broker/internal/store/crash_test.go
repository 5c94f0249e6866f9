package store

import (
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disktest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// Whatever a power cut leaves is the state after some number of records, with
// everything that sessions are made of: not fewer than were promised, and none
// that came later than one that is lost.
func TestCrashLeavesAPrefix(t *testing.T) {
	for _, class := range []Class{Always, Interval} {
		t.Run([]string{Always: "always", Interval: "interval"}[class], func(t *testing.T) {
			d := disktest.New(1 << 30)
			h := &history{d: d, class: class, everyday: everyday{rng: rand.New(rand.NewPCG(1, uint64(class))), model: NewState()}}
			synctest.Test(t, func(t *testing.T) { h.run(t, 1200) })
			rng := rand.New(rand.NewPCG(2, 2))
			n := crashStates(t, 100) / 2
			for i := range n {
				ops := rng.IntN(d.Ops() + 1)
				if h.judge(t, d.Crash(ops, disktest.Losses()[i%5], rng), ops, false); t.Failed() {
					t.Fatalf("after %d of %d operations, loss %d", ops, d.Ops(), i%5)
				}
			}
			t.Logf("%d states of %d operations, %d checkpoints, %d records while one was written", n, d.Ops(), h.checkpoints, h.during)
			if h.checkpoints < 5 || h.during < 5 {
				t.Errorf("%d checkpoints, %d records while one was written", h.checkpoints, h.during)
			}
		})
	}
}

// crashStates is how many states a test looks at: a share of what the
// environment asks for, or a few.
func crashStates(t *testing.T, few int) int {
	if s := os.Getenv("CRASH_STATES"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n / 10
	}
	return few
}

// history is what a store was told, and what it promised.
type history struct {
	everyday
	d        *disktest.Fake
	s        *Durable
	class    Class
	after    []string // the state after each number of records
	promised []promised

	checkpoints, during int
}

// promised is how many records were durable when the disk had done so much.
type promised struct{ ops, records int }

// add makes a record and gives it to the store.
func (h *history) add() *Record {
	r := h.next()
	h.s.Append(r)
	h.model.Apply(&r)
	h.after = append(h.after, portrait(h.model))
	return &r
}

// run makes n records, in groups. Some come while a checkpoint is written.
func (h *history) run(t *testing.T, n int) {
	h.d.Fail(func(op, name string) error {
		if op == "create" && strings.HasPrefix(name, "checkpoint-") {
			h.checkpoints++
		}
		if op == "write" && strings.HasPrefix(name, "checkpoint-") {
			h.during++
			h.add()
		}
		return nil
	})
	var err error
	if h.s, _, _, err = Open(h.d, Options{Default: h.class, SegmentSize: 16 << 10}); err != nil {
		t.Fatal(err)
	}
	h.after = append(h.after, portrait(h.model))
	stop := run(t, h.s)
	synctest.Wait() // what it does at first, and what is added then
	for len(h.after) <= n {
		known := 0
		for range 1 + h.rng.IntN(5) {
			if h.add().promises() {
				known = len(h.after) - 1
			}
		}
		ops := -1
		h.s.Notify(h.s.Commit(), func() { ops = h.d.Ops() })
		synctest.Wait()
		if ops < 0 {
			t.Fatal("not decided after a commit")
		}
		if h.class == Always && known > 0 {
			h.promised = append(h.promised, promised{ops, known})
		}
		if h.rng.IntN(8) == 0 {
			known := len(h.after) - 1
			time.Sleep(2 * time.Second) // the interval passes
			synctest.Wait()
			h.promised = append(h.promised, promised{h.d.Ops(), known})
		}
	}
	stop()
}

// promises reports whether a record of class Always is durable before it is
// promised: the others cost a message sent again.
func (r *Record) promises() bool {
	switch r.Kind {
	case DeliveryDone, DeliveryReceived, WillSet, LineCut, PacketReceived, PacketReleased:
		return false
	}
	return true
}

// judge opens what a crash left.
func (h *history) judge(t *testing.T, d *disktest.Fake, ops int, harmed bool) {
	t.Helper()
	for range 2 { // a start that is cut off changes nothing
		_, state, report, err := Open(d, Options{SegmentSize: 16 << 10})
		if err != nil {
			t.Fatal(err)
		}
		if !harmed && report.BadPages+report.Missing+len(report.Damaged) > 0 {
			t.Errorf("a power cut is no damage: %+v", report)
		}
		least := 0
		for _, p := range h.promised {
			if p.ops <= ops {
				least = p.records
			}
		}
		got := portrait(state)
		if slices.Contains(h.after[least:], got) {
			continue
		}
		t.Errorf("%d records were promised, and the state is that of no number from there on; %d were made", least, len(h.after)-1)
		if i := slices.Index(h.after, got); i >= 0 {
			t.Errorf("it is that after %d", i)
			return
		}
		want := strings.Split(h.after[least], "\n")
		for line := range strings.Lines(got) {
			if !slices.Contains(want, strings.TrimSuffix(line, "\n")) {
				t.Errorf("not in the state after %d: %.150s", least, line)
			}
		}
		return
	}
}

// portrait is a state as text that is equal for equal states, to the last
// field. Messages are their checksums.
func portrait(s *State) string {
	var lines []string
	sum := func(m *mqtt.Message) uint32 { return crc32.ChecksumIEEE(encodedMessage(m)) }
	for topic, r := range s.Retained {
		lines = append(lines, fmt.Sprintf("retained %s %x", topic, sum(r.Message)))
	}
	for name, l := range s.Lines {
		will := crc32.ChecksumIEEE(appendRecord(nil, &Record{Kind: WillSet, Will: l.Will}))
		lines = append(lines, fmt.Sprintf("%q kept %v owner %q prefix %q expiry %d left %d sent %d last %d will %x subscriptions %v received %v", name, l.Kept, l.Owner,
			l.Prefix, l.Expiry, l.Left.UnixMilli(), l.Sent, l.Last, will, l.Subscriptions, slices.Sorted(maps.Keys(l.Received))))
		for i := range l.Entries {
			e := &l.Entries[i]
			d := e.destination(name)
			lines = append(lines, fmt.Sprintf("%q %d %x qos %d retain %v %v %q at %d received %v", name, e.Number, sum(e.Message), e.QoS, e.Retain,
				d.Identifiers, d.Share, e.At.UnixMilli(), e.Received))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// everyday makes the records that a broker makes: what is acknowledged is
// there, and numbers in a line rise.
type everyday struct {
	rng   *rand.Rand
	model *State
	made  int
}

var everydayKinds = []Kind{
	MessageQueued, MessageQueued, MessageQueued, MessageQueued, MessageFrom, RetainedSet, RetainedCleared, SessionKept, SessionKept, SessionEnded,
	Subscribed, Unsubscribed, PacketReceived, PacketReleased, DeliveryReceived, DeliveryDone, DeliveryDone, DeliveryDone, WillSet, WillSet, LineCut, LineCut, LineCut,
}

const (
	everydayQueue  = "\x00cloud"
	everydayOrigin = "\x00\x00cloud"
)

func (e *everyday) next() Record {
	e.made++
	now := time.UnixMilli(1_700_000_000_000 + int64(e.made))
	name := fmt.Sprintf("c%d", e.rng.IntN(5))
	if e.rng.IntN(5) == 0 {
		name = everydayQueue
	}
	kind := everydayKinds[e.rng.IntN(len(everydayKinds))]
	l := e.model.Lines[name]
	if name == everydayQueue && (kind >= SessionKept && kind <= SessionEnded || kind == WillSet) {
		kind = MessageQueued
	}
	if name != everydayQueue && (l == nil || !l.Kept) {
		kind = SessionKept
	}
	id := uint64(1 + e.rng.IntN(5))
	switch kind {
	case RetainedSet, RetainedCleared:
		m := e.message(now)
		m.Retain = true
		return Record{Kind: kind, Message: m}
	case SessionKept:
		r := Record{Kind: SessionKept, ClientID: name, Owner: "u" + name, Prefix: "p/", Expiry: time.Duration(e.made) * time.Second}
		if e.rng.IntN(2) == 0 {
			r.At, r.Sent = now, id
		}
		return r
	case Subscribed, Unsubscribed:
		s := mqtt.Subscription{Filter: fmt.Sprintf("f/%d", id), QoS: mqtt.QoS(e.rng.IntN(3)), Identifier: uint32(e.made)}
		return Record{Kind: kind, ClientID: name, Subscription: s}
	case WillSet:
		r := Record{Kind: WillSet, ClientID: name}
		if e.rng.IntN(3) > 0 {
			r.Will = &Will{Will: mqtt.Will{Message: *e.message(time.Time{}), Delay: time.Duration(id) * time.Minute, ExpiryInterval: time.Hour}}
		}
		return r
	case SessionEnded:
		return Record{Kind: kind, ClientID: name}
	case PacketReceived, PacketReleased:
		return Record{Kind: kind, ClientID: name, Number: id}
	case LineCut, DeliveryDone, DeliveryReceived:
		if l == nil || len(l.Entries) == 0 {
			break
		}
		from := e.rng.IntN(len(l.Entries))
		to := min(from+e.rng.IntN(6), len(l.Entries)-1)
		r := Record{Kind: kind, ClientID: name, Number: l.Entries[from].Number}
		if kind == LineCut {
			r.From, r.Number, r.Count = r.Number, l.Entries[to].Number, uint64(to-from+1)
		}
		return r
	}
	return e.queued(kind, now, id)
}

// queued is a message for some of the lines that there are, of QoS 2 with its
// origin now and then.
func (e *everyday) queued(kind Kind, now time.Time, id uint64) Record {
	r := Record{Kind: MessageQueued, Message: e.message(now), At: now}
	if kind == MessageFrom {
		r.Kind, r.ClientID, r.Origin = MessageFrom, everydayOrigin, uint16(id)
	} else if l := e.model.Lines[r.Message.Publisher]; l != nil && l.Kept && id < 3 {
		r.Origin = uint16(id)
	}
	to := append(slices.Sorted(maps.Keys(e.model.Lines)), everydayQueue)
	for _, name := range slices.Compact(slices.Sorted(slices.Values(to))) {
		if name == everydayOrigin || e.rng.IntN(3) > 0 {
			continue
		}
		n := uint64(1)
		if l := e.model.Lines[name]; l != nil {
			n = l.Last + 1
		}
		r.Destinations = append(r.Destinations, Destination{Name: name, Number: n, QoS: 1, Retain: id == 3, Identifiers: []uint32{uint32(id)}, Share: "s/#"})
	}
	if len(r.Destinations) == 0 {
		r.Destinations = []Destination{{Name: everydayQueue, Number: 1, QoS: 1}}
		if l := e.model.Lines[everydayQueue]; l != nil {
			r.Destinations[0].Number = l.Last + 1
		}
	}
	return r
}

func (e *everyday) message(now time.Time) *mqtt.Message {
	size := e.rng.IntN(200)
	if e.rng.IntN(4) == 0 {
		size = e.rng.IntN(6000) // more than a page
	}
	m := &mqtt.Message{Topic: fmt.Sprintf("t/%d", e.rng.IntN(5)), Payload: body(uint64(e.made), size), QoS: 1, Publisher: fmt.Sprintf("c%d", e.rng.IntN(5))}
	if e.rng.IntN(5) == 0 && !now.IsZero() {
		m.Properties = &mqtt.Properties{ContentType: "x", User: []mqtt.UserProperty{{Name: "a", Value: "b"}}}
		m.Expires = now.Add(time.Hour)
	}
	return m
}

// What comes while a checkpoint is written may be in it. A power cut right
// after does not take what came before that.
func TestCrashAfterACheckpoint(t *testing.T) {
	d := disktest.New(1 << 30)
	s, _, _, err := Open(d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	names := strings.Split("abcdefgh", "")
	queue := func(n uint64) {
		for _, name := range names {
			m := &mqtt.Message{Topic: "t", QoS: 1, Payload: body(n, 8000)}
			s.Append(Record{Kind: MessageQueued, Message: m, Destinations: []Destination{{Name: name, Number: n, QoS: 1}}})
		}
	}
	last := uint64(0)
	for range 12 {
		last++
		queue(last)
	}
	before := last
	d.Fail(func(op, name string) error {
		if op == "write" && strings.HasPrefix(name, "checkpoint-") && last < before+2 {
			last++
			queue(last)
		}
		return nil
	})
	if err := s.j.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	if last != before+2 {
		t.Fatal("nothing came while the checkpoint was written")
	}
	for ops := range d.Ops() + 1 {
		_, state, _, err := Open(d.Crash(ops, disktest.LoseAll, nil), Options{})
		if err != nil {
			t.Fatal(err)
		}
		there := make([]uint64, len(names))
		for i, name := range names {
			if l := state.Lines[name]; l != nil {
				there[i] = l.Last
			}
			if i > 0 && (there[i] > there[i-1] || there[i]+1 < there[0]) {
				t.Fatalf("after %d of %d operations %v and no more are there for %v", ops, d.Ops(), there[:i+1], names[:i+1])
			}
		}
	}
}
