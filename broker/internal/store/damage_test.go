package store

import (
	"errors"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disk"
	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disktest"
	"github.com/dunlin-mqtt/dunlin/broker/internal/store/journal"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// No page of a checkpoint takes more from a session than the messages on it.
func TestEveryPageOfACheckpoint(t *testing.T) {
	d := disktest.New(1 << 30)
	s, _, _, err := Open(d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Append(Record{Kind: SessionKept, ClientID: "c", Owner: "u", Expiry: 1 << 40})
	s.Append(Record{Kind: Subscribed, ClientID: "c", Subscription: mqtt.Subscription{Filter: "t", QoS: 1}})
	const messages = 200
	for n := range uint64(messages) {
		m := &mqtt.Message{Topic: "t", QoS: 1, Payload: make([]byte, 1000)}
		s.Append(Record{Kind: MessageQueued, Message: m, Destinations: []Destination{{Name: "c", Number: n + 1, QoS: 1}}})
	}
	if err := s.j.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	for name, whole := range d.Files() {
		if !strings.HasPrefix(name, "checkpoint-") {
			continue
		}
		for at := 0; at < len(whole); at += 4096 {
			bad := slices.Clone(whole)
			bad[at+100] ^= 1
			d := disktest.New(1 << 30)
			d.Put(name, bad)
			_, state, report, err := Open(d, Options{})
			if err != nil {
				t.Fatal(err)
			}
			l := state.Lines["c"]
			if l == nil || !l.Kept || l.Owner != "u" || len(l.Subscriptions) != 1 || len(l.Entries) < messages-6 || l.Last != messages {
				t.Fatalf("page %d of %d: %+v", at/4096, len(whole)/4096, l)
			}
			if report.BadPages != 1 {
				t.Errorf("page %d: %+v", at/4096, report)
			}
		}
	}
}

// Nor does a page take a backlog that is on disk: what names it is there twice.
func TestEveryPageOfACheckpointThatNamesFiles(t *testing.T) {
	d := disktest.New(1 << 30)
	s, _, _, err := Open(d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	const messages = 140
	names := []string{"c", "\x00q"}
	s.Append(Record{Kind: SessionKept, ClientID: "c", Owner: "u", Expiry: 1 << 40})
	s.Append(Record{Kind: Subscribed, ClientID: "c", Subscription: mqtt.Subscription{Filter: "t", QoS: 1}})
	for n := range uint64(messages) {
		for _, name := range names {
			m := &mqtt.Message{Topic: "t", QoS: 1, Payload: body(n+1, 1000)}
			s.Append(Record{Kind: MessageQueued, Message: m, Destinations: []Destination{{Name: name, Number: n + 1, QoS: 1}}})
		}
	}
	s.beside() // as Run does
	if err := s.j.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	if err := d.Remove("0000000000000001.seg"); err != nil { // with it nothing is lost
		t.Fatal(err)
	}
	for name, whole := range d.Files() {
		if !strings.HasPrefix(name, "checkpoint-") {
			continue
		}
		for at := 0; at < len(whole); at += 4096 {
			bad := slices.Clone(whole)
			bad[at+100] ^= 1
			d.Put(name, bad)
			s, state, _, err := Open(d, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if l := state.Lines["c"]; l == nil || !l.Kept || l.Owner != "u" || len(l.Subscriptions) != 1 || l.Last != messages {
				t.Fatalf("page %d of %d takes the session", at/4096, len(whole)/4096)
			}
			for _, name := range names {
				n := 0
				for after := uint64(0); ; {
					entries, upTo, err := s.Read(name, after, 1<<20)
					if err != nil || len(entries) == 0 {
						break
					}
					n, after = n+len(entries), upTo
				}
				if n < messages-5 {
					t.Errorf("page %d of %d: %q has %d of %d messages", at/4096, len(whole)/4096, name, n, messages)
				}
			}
		}
	}
}

// A spill file with a bad page is kept for a person to look at when nothing
// needs it any more.
func TestDamagedSpillIsKept(t *testing.T) {
	d := disktest.New(1 << 30)
	s, _, _, err := Open(d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	const messages = 300
	for n := range uint64(messages) {
		m := &mqtt.Message{Topic: "t", QoS: 1, Payload: body(n+1, 1000)}
		s.Append(Record{Kind: MessageQueued, Message: m, Destinations: []Destination{{Name: "\x00q", Number: n + 1, QoS: 1}}})
	}
	s.beside()
	name := ""
	for file := range d.Files() {
		if strings.HasSuffix(file, ".spill") {
			name = file
		}
	}
	bad := slices.Clone(d.Files()[name])
	bad[2*4096+99] ^= 1
	d.Put(name, bad)
	got := 0
	for after := uint64(0); ; {
		entries, upTo, err := s.Read("\x00q", after, 64<<10)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) == 0 {
			break
		}
		got, after = got+len(entries), upTo
	}
	if got >= messages || got < messages-6 || s.Stats().BadSpill != 1 {
		t.Errorf("%d of %d messages, %+v", got, messages, s.Stats())
	}
	s.Append(Record{Kind: LineCut, ClientID: "\x00q", From: 1, Number: messages, Count: uint64(got)})
	if err := s.j.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	left := d.Files()
	if _, there := left[name]; there || !slices.Equal(left[name+".bad"], bad) {
		t.Errorf("the file is not kept, or not as it was")
	}
}

// Harm to several pages of a checkpoint costs nothing while the journal is there
// that led to it. Without that it costs what is on them; a backlog on disk goes
// only with both places that name its files.
func TestCheckpointWithoutItsEnd(t *testing.T) {
	d := disktest.New(1 << 30)
	s, _, _, err := Open(d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	const messages, values = 140, 12
	for n := range uint64(values) {
		m := &mqtt.Message{Topic: "r/" + string(rune('a'+n)), QoS: 1, Payload: body(n, 1000), Retain: true}
		s.Append(Record{Kind: RetainedSet, Message: m})
	}
	for n := range uint64(messages) {
		m := &mqtt.Message{Topic: "t", QoS: 1, Payload: body(n+1, 1000)}
		s.Append(Record{Kind: MessageQueued, Message: m, Destinations: []Destination{{Name: "\x00q", Number: n + 1, QoS: 1}}})
	}
	s.beside() // as Run does
	if err := s.j.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	name := "checkpoint-0000000000000001"
	whole := d.Files()[name]
	pages := len(whole) / pageSize
	naming := regexp.MustCompile(`(?s)h.{8}\x02\x00q`)
	var named []int // pages with a record of kind 104 about \x00q
	for at := range pages {
		if naming.Match(whole[at*pageSize:][:pageSize]) {
			named = append(named, at)
		}
	}
	if len(named) != 2 || named[1] != pages-1 {
		t.Fatalf("of %d pages, %v name files", pages, named)
	}
	const first = "0000000000000001.seg"
	segment := d.Files()[first]
	for from := range pages {
		for to := from + 1; to <= pages; to++ {
			if n := to - from; n != 5 && (to != pages || from%2 > 0) && os.Getenv("CRASH_STATES") == "" {
				continue // make crash takes all
			}
			bad := slices.Clone(whole)
			clear(bad[from*pageSize : to*pageSize])
			if to == pages {
				bad = bad[:from*pageSize]
			}
			d.Put(name, bad)
			d.Put(first, segment)
			if lost, report := countLost(t, d, values+messages); lost > 0 || report.BadPages < 1 {
				t.Errorf("without pages %d to %d of %d, with the journal: %d messages lost, %+v", from, to-1, pages, lost, report)
			}
			if err := d.Remove(first); err != nil {
				t.Fatal(err)
			}
			backlog := from > named[0] || to < pages // at least one place is left
			if lost, report := countLost(t, d, values+messages); backlog && lost > 5*(to-from)+1 || report.BadPages < 1 {
				t.Errorf("without pages %d to %d of %d: %d messages lost, %+v", from, to-1, pages, lost, report)
			}
		}
	}
}

// countLost is how many of so many messages a start does not find, retained or
// in the queue.
func countLost(t *testing.T, d *disktest.Fake, all int) (lost int, report journal.Report) {
	t.Helper()
	s, state, report, err := Open(d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	all -= len(state.Retained)
	for after := uint64(0); ; {
		entries, upTo, err := s.Read("\x00q", after, 1<<20)
		if err != nil || len(entries) == 0 {
			return all, report
		}
		all, after = all-len(entries), upTo
	}
}

// poorDisk is a disk on which some of a spill file cannot be read, or all of it.
type poorDisk struct {
	*disktest.Fake
	page int64 // of the only spill file that there is; -1: it cannot be opened
	away bool  // nothing can be
}

func (d *poorDisk) Open(name string) (disk.File, error) {
	if d.away {
		return nil, fs.ErrNotExist
	}
	if d.page < 0 && strings.HasSuffix(name, ".spill") {
		return nil, errors.New("input/output error")
	}
	f, err := d.Fake.Open(name)
	if strings.HasSuffix(name, ".spill") {
		f = &poorFile{f, d.page * 4096}
	}
	return f, err
}

type poorFile struct {
	disk.File
	at int64 // of the page
}

func (f *poorFile) ReadAt(b []byte, off int64) (int, error) {
	if off > f.at || off+int64(len(b)) <= f.at {
		return f.File.ReadAt(b, off)
	}
	n, _ := f.File.ReadAt(b[:f.at-off], off)
	return n, errors.New("input/output error")
}

// A place of a spill file that cannot be read costs what is on it, and a file that
// cannot be opened what is in it. A disk that is away costs nothing.
func TestSpillThatCannotBeRead(t *testing.T) {
	const messages = 300
	for _, tc := range []struct {
		name        string
		page        int64
		least, most int // messages that are read
		bad         uint64
	}{
		{"one page", 5, messages - 6, messages - 1, 1},
		{"the first page", 0, messages - 6, messages - 1, 1},
		{"the file", -1, 1, messages / 2, 0},
	} {
		d := &poorDisk{Fake: disktest.New(1 << 30), page: tc.page}
		s, _, _, err := Open(d, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for n := range uint64(messages) {
			m := &mqtt.Message{Topic: "t", QoS: 1, Payload: body(n+1, 1000)}
			s.Append(Record{Kind: MessageQueued, Message: m, Destinations: []Destination{{Name: "\x00q", Number: n + 1, QoS: 1}}})
		}
		s.beside()
		if err := s.j.Checkpoint(); err != nil { // a segment is there
			t.Fatal(err)
		}
		d.away = true
		if _, upTo, err := s.Read("\x00q", 0, 64<<10); err == nil || upTo != 0 {
			t.Errorf("%s: a disk that is away: read up to %d, %v", tc.name, upTo, err)
		}
		d.away = false
		got := 0
		for after := uint64(0); ; {
			entries, upTo, err := s.Read("\x00q", after, 64<<10)
			if err != nil {
				t.Fatal(tc.name, err)
			}
			if len(entries) == 0 {
				break
			}
			got, after = got+len(entries), upTo
		}
		if bad := s.Stats().BadSpill; got < tc.least || got > tc.most || tc.bad > 0 && bad != tc.bad || bad == 0 {
			t.Errorf("%s: %d of %d messages, %d bad pages", tc.name, got, messages, bad)
		}
	}
}
