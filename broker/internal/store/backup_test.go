package store

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disktest"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
)

// writerFunc is an io.Writer that lets something happen meanwhile.
type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// busyStore is a store that changes, and the picture after each change.
type busyStore struct {
	*Durable
	src   *source
	after [][]string
}

func newBusyStore(t *testing.T, d *disktest.Fake, seed uint64, records int) *busyStore {
	t.Helper()
	s, stop := running(t, d, Options{Default: Always, SegmentSize: 32 << 10})
	t.Cleanup(stop)
	b := &busyStore{Durable: s, src: &source{rand.New(rand.NewPCG(seed, 1)), NewState(), time.UnixMilli(1_700_000_000_000)}}
	for range records {
		b.append()
	}
	b.Commit()
	return b
}

func (b *busyStore) append() {
	r := b.src.next()
	b.Append(r)
	b.src.model.Apply(&r)
}

func (b *busyStore) change(n int) {
	for range n {
		b.append()
		b.after = append(b.after, picture(b.src.model))
	}
	b.Commit()
}

func backupOf(t *testing.T, b *busyStore, eachWrite int) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := b.Backup(writerFunc(func(p []byte) (int, error) {
		b.change(eachWrite)
		return out.Write(p)
	})); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// A backup that is written while everything changes is the state at one time,
// not before the backup began.
func TestBackupIsOneMoment(t *testing.T) {
	for seed := range uint64(4) {
		b := newBusyStore(t, disktest.New(1<<30), seed, 900)
		b.after = append(b.after, picture(b.src.model))
		file := backupOf(t, b, 7)
		to := disktest.New(1 << 30)
		if err := Restore(to, bytes.NewReader(file), int64(len(file)), Everything); err != nil {
			t.Fatal(err)
		}
		_, state, report, err := Open(to, Options{})
		if err != nil || report.BadPages > 0 {
			t.Fatal(report, err)
		}
		got := picture(state)
		if !slices.ContainsFunc(b.after, func(p []string) bool { return slices.Equal(p, got) }) {
			t.Fatalf("seed %d: the backup of %d bytes is the state of none of %d times since it began", seed, len(file), len(b.after))
		}
	}
}

// Whatever a power cut during a restore leaves is the state of before, or that
// of the backup.
func TestCrashOfARestore(t *testing.T) {
	file := backupOf(t, newBusyStore(t, disktest.New(1<<30), 1, 300), 0)
	old := disktest.New(1 << 30)
	newBusyStore(t, old, 2, 600)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 60 {
		d := old.Crash(old.Ops(), disktest.KeepAll, rng)
		_, state, _, err := Open(d, Options{})
		if err != nil {
			t.Fatal(err)
		}
		before := picture(state)
		if err := Restore(d, bytes.NewReader(file), int64(len(file)), Everything); err != nil {
			t.Fatal(err)
		}
		_, state, _, err = Open(d, Options{})
		if err != nil {
			t.Fatal(err)
		}
		restored := picture(state)
		ops := i % (d.Ops() + 1)
		_, state, _, err = Open(d.Crash(ops, disktest.Losses()[rng.IntN(5)], rng), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := picture(state); !slices.Equal(got, before) && !slices.Equal(got, restored) {
			t.Fatalf("after %d of %d operations the state is neither the old nor that of the backup", ops, d.Ops())
		}
		if i == 0 && slices.Equal(before, restored) {
			t.Fatal("the backup changes nothing")
		}
	}
}

// A backup that is damaged or cut short anywhere is refused, and nothing is
// touched.
func TestDamagedBackup(t *testing.T) {
	file := backupOf(t, newBusyStore(t, disktest.New(1<<30), 1, 300), 0)
	refused := func(what string, b []byte) {
		t.Helper()
		d := disktest.New(1 << 30)
		d.Put("kept", []byte("x"))
		if err := Restore(d, bytes.NewReader(b), int64(len(b)), Everything); err == nil || d.Ops() != 0 {
			t.Errorf("%s: %v, %d operations", what, err, d.Ops())
		}
	}
	for at := 0; at < len(file); at += 4096 {
		refused("cut at a page", file[:at])
		refused("cut in a page", file[:at+100])
		bad := bytes.Clone(file)
		bad[at+40] ^= 4
		refused("a bit", bad)
	}
	refused("something else", []byte(strings.Repeat("not a backup ", 1000)))
}

// More changes than can be held while a backup goes out end the backup, not
// the gateway.
func TestBackupThatIsTooSlow(t *testing.T) {
	b := newBusyStore(t, disktest.New(1<<30), 1, 10)
	m := &mqtt.Message{Topic: "t", Payload: make([]byte, 1<<20), QoS: 1}
	if err := b.Backup(writerFunc(func(p []byte) (int, error) { return 0, io.ErrShortWrite })); err == nil {
		t.Error("a writer that fails is no error")
	}
	big := newBusyStore(t, disktest.New(1<<30), 1, 10)
	for i := range 100 {
		big.Append(Record{Kind: RetainedSet, Message: &mqtt.Message{Topic: fmt.Sprint(i), Payload: make([]byte, 2000), QoS: 1}})
	}
	first := true
	err := big.Backup(writerFunc(func(p []byte) (int, error) {
		for i := 0; first && i < 10; i++ {
			big.Append(Record{Kind: RetainedSet, Message: m})
		}
		if e := big.Backup(io.Discard); first && e == nil {
			t.Error("two backups at a time")
		}
		first = false
		return len(p), nil
	}))
	if err == nil || !strings.Contains(err.Error(), "8 MiB") {
		t.Errorf("overtaken: %v", err)
	}
	if err := b.Backup(io.Discard); err != nil {
		t.Errorf("after a failure: %v", err)
	}
}

// A long queue of a backup goes from file to file: neither the restore nor the
// start after it has it in memory, and the disk is given back when it drains.
func TestRestoreOfALongQueue(t *testing.T) {
	d := disktest.New(1 << 30)
	s, _, _, err := Open(d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	const n = 900
	for _, name := range []string{"\x00q", "c", "small"} {
		s.Append(Record{Kind: SessionKept, ClientID: name, Expiry: time.Hour})
		for i := range uint64(n) {
			if name == "small" && i > 3 {
				break
			}
			m := &mqtt.Message{Topic: "t", QoS: 1, Payload: body(i+1, 500)}
			s.Append(Record{Kind: MessageQueued, Message: m, At: time.Now(), Destinations: []Destination{{Name: name, Number: i + 1, QoS: 1}}})
		}
		s.beside()
	}
	var b bytes.Buffer
	if err := s.Backup(&b); err != nil {
		t.Fatal(err)
	}
	d = disktest.New(1 << 30)
	if err := Restore(d, bytes.NewReader(b.Bytes()), int64(b.Len()), Everything); err != nil {
		t.Fatal(err)
	}
	s, state, _, err := Open(d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]uint64{"\x00q": n, "c": n, "small": 4} {
		if l := state.Lines[name]; l.weight() > spillAt || l.Last != want || !l.Kept {
			t.Errorf("%q has %d bytes in memory, its last is %d", name, l.weight(), l.Last)
		}
		next := uint64(1)
		for after := uint64(0); ; {
			entries, upTo, err := s.Read(name, after, 64<<10)
			if err != nil {
				t.Fatal(err)
			}
			if len(entries) == 0 {
				break
			}
			for _, e := range entries {
				if e.Number != next || !bytes.Equal(e.Message.Payload, body(next, 500)) {
					t.Fatalf("%q: entry %d where %d should be", name, e.Number, next)
				}
				s.Append(Record{Kind: DeliveryDone, ClientID: name, Number: next})
				next++
			}
			after = upTo
		}
		if next != want+1 {
			t.Errorf("%q ends at %d", name, next)
		}
	}
	if err := s.j.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	for name := range d.Files() {
		if strings.HasSuffix(name, ".spill") {
			t.Errorf("%s is left", name)
		}
	}
	// A disk that is full in the middle is left as it was.
	full := disktest.New(600 << 10)
	if err := Restore(full, bytes.NewReader(b.Bytes()), int64(b.Len()), Everything); err == nil || len(full.Files()) > 0 {
		t.Errorf("a restore to a full disk: %v, %d files", err, len(full.Files()))
	}
}

// What is more than the level of memory allows goes to disk when it changes.
func TestRelieve(t *testing.T) {
	level, held := 0, 0
	s, state, _, err := Open(disktest.New(1<<30), Options{Level: func() int { return level }, Held: func(messages, lines int) { held += messages + lines }})
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(80) {
		m := &mqtt.Message{Topic: "t", QoS: 1, Payload: body(i+1, 1000)}
		s.Append(Record{Kind: MessageQueued, Message: m, Destinations: []Destination{{Name: "\x00q", Number: i + 1, QoS: 1}, {Name: "c", Number: i + 1, QoS: 1}}})
	}
	s.beside()
	before := held
	if l := state.Lines["c"]; l.Spilled() || before < 80<<10 {
		t.Fatalf("%d bytes are booked", before)
	}
	level = 1
	s.Relieve()
	s.beside()
	for _, name := range []string{"\x00q", "c"} {
		if l := state.Lines[name]; !l.Spilled() || l.weight() > spillAt/4 {
			t.Errorf("%q has %d bytes in memory", name, l.weight())
		}
	}
	if held > before/2 {
		t.Errorf("%d bytes are booked, %d were", held, before)
	}
	s.Append(Record{Kind: SessionEnded, ClientID: "c"})
	s.Append(Record{Kind: LineCut, ClientID: "\x00q", From: 1, Number: 80, Count: 80})
	if held != 0 {
		t.Errorf("%d bytes are booked for nothing", held)
	}
}

// FuzzRestore: what is no backup is refused or restored, never half.
func FuzzRestore(f *testing.F) {
	d := disktest.New(1 << 30)
	s, _, _, err := Open(d, Options{})
	if err != nil {
		f.Fatal(err)
	}
	s.Append(Record{Kind: RetainedSet, Message: &mqtt.Message{Topic: "t", Payload: []byte("1")}})
	var b bytes.Buffer
	if err := s.Backup(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(b.Bytes()[:5000%b.Len()])
	f.Fuzz(func(t *testing.T, b []byte) {
		d := disktest.New(1 << 30)
		if err := Restore(d, bytes.NewReader(b), int64(len(b)), Everything); err != nil {
			if d.Ops() != 0 {
				t.Errorf("refused with %v, after %d operations", err, d.Ops())
			}
			return
		}
		if _, _, report, err := Open(d, Options{}); err != nil || report.BadPages > 0 {
			t.Errorf("what was restored is %+v, %v", report, err)
		}
	})
}
