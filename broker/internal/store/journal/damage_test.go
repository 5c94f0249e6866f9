package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/dunlin-mqtt/dunlin/broker/internal/store/disktest"
)

// putGroup puts a group into pages of a segment, from page at on.
func putGroup(segment []byte, g *group, epoch uint64, at int) {
	g.seal(0, epoch, uint64(at))
	copy(segment[at*pageSize:], g.pages)
}

func numbered(from, to uint64) *group {
	g := new(group)
	for n := from; n <= to; n++ {
		g.add(put, n, binary.LittleEndian.AppendUint64(make([]byte, 0, 500), n)[:500])
	}
	return g
}

func sequences(t *testing.T, d *disktest.Fake) (got []uint64, r Report) {
	t.Helper()
	_, r, err := Open(d, Options{}, func(rec Record) error { got = append(got, rec.Sequence); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return got, r
}

func upTo(last uint64) (all []uint64) {
	for n := uint64(1); n <= last; n++ {
		all = append(all, n)
	}
	return all
}

// A group whose sync failed was written again in the next segment. What the
// first attempt left must not put later records in front of earlier ones.
func TestAbandonedGroup(t *testing.T) {
	first, second := make([]byte, 16*pageSize), make([]byte, 16*pageSize)
	before, again := numbered(1, 5), numbered(6, 30)
	putGroup(first, before, 1, 0)
	putGroup(first, again, 1, len(before.heads))
	clear(first[(len(before.heads)+1)*pageSize:][:pageSize]) // its second page never arrived
	putGroup(second, again, 2, 0)
	d := disktest.New(1 << 20)
	d.Put(segmentName(1), first)
	d.Put(segmentName(2), second)
	if got, _ := sequences(t, d); !slices.Equal(got, upTo(30)) {
		t.Errorf("got %v", got)
	}
}

// One page that cannot be read loses the records on it, is counted, and is no
// reason not to start.
func TestDamagedPage(t *testing.T) {
	file := make([]byte, 16*pageSize)
	g := numbered(1, 60)
	putGroup(file, g, 1, 0)
	putGroup(file, numbered(61, 61), 1, len(g.heads)) // so that the group before was synced
	rng := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		d := disktest.New(1 << 20)
		bad := slices.Clone(file)
		at := rng.IntN((len(g.heads) - 1) * pageSize)
		bad[at] ^= 1 << rng.IntN(8)
		d.Put(segmentName(1), bad)
		got, r := sequences(t, d)
		lost := 61 - len(got)
		if inBody := at%pageSize < headerSize+bodySize; lost > 10 || inBody && r.BadPages != 1 && lost > 0 {
			t.Fatalf("a bit of byte %d flipped: %d records lost, %d bad pages", at, lost, r.BadPages)
		}
		if !slices.IsSorted(got) {
			t.Fatalf("out of order: %v", got)
		}
	}
}

// Of the last group nothing says whether it was synced: behind a hole in it
// nothing is believed, also by later starts, and that is no damage.
func TestHoleInTheLastGroup(t *testing.T) {
	file := make([]byte, 16*pageSize)
	before, last := numbered(1, 9), numbered(10, 60)
	putGroup(file, before, 1, 0)
	putGroup(file, last, 1, len(before.heads))
	for hole := range last.heads {
		page := len(before.heads) + hole
		bad := slices.Clone(file)
		bad[page*pageSize+100] ^= 1
		d := disktest.New(1 << 20)
		d.Put(segmentName(1), bad)
		got, r := sequences(t, d)
		n := uint64(len(got))
		if !slices.Equal(got, upTo(n)) || n < uint64(9+7*hole) || n > uint64(9+8*(hole+1)) {
			t.Errorf("a hole in page %d: %v", page, got)
		}
		if behind := len(before.heads) + len(last.heads) - page; r.BadPages > 0 || r.Missing > 0 || r.Torn < behind || r.Torn > behind+1 {
			t.Errorf("a hole in page %d: %+v", page, r)
		}
		again := make([]byte, 16*pageSize) // what the next process writes has the same numbers
		putGroup(again, numbered(n+1, n+3), 2, 0)
		d.Put(segmentName(2), again)
		if got, r := sequences(t, d); !slices.Equal(got, upTo(n+3)) || r.BadPages > 0 || r.Missing > 0 {
			t.Errorf("a hole in page %d, at the start after the next: %v, %+v", page, got, r)
		}
		clear(again)
		putGroup(again, numbered(n+1, n+30), 2, 0)
		clear(again[:pageSize]) // and was not synced, either
		d.Put(segmentName(2), again)
		if got, r := sequences(t, d); !slices.Equal(got, upTo(n)) || r.BadPages > 0 || r.Missing > 0 {
			t.Errorf("a hole in page %d, and in the first after it: %v, %+v", page, got, r)
		}
	}
}

func TestCutFile(t *testing.T) {
	file := make([]byte, 16*pageSize)
	g := numbered(1, 60)
	putGroup(file, g, 1, 0)
	for size := 0; size < len(g.heads)*pageSize; size += 333 {
		d := disktest.New(1 << 20)
		d.Put(segmentName(1), file[:size])
		got, r := sequences(t, d)
		if whole := size / pageSize; len(got) < whole*7 || !slices.Equal(got, upTo(uint64(len(got)))) {
			t.Errorf("cut at %d: %d records", size, len(got))
		}
		if size > 0 && r.BadPages > 0 {
			t.Errorf("cut at %d: a torn end is no damage", size)
		}
	}
}

// A damaged checkpoint is not believed while an older one is there, is read as
// far as it goes when it is the only one, and is kept for a person to look at.
func TestDamagedCheckpoint(t *testing.T) {
	l := &registry{map[uint64][]byte{}}
	for n := range uint64(200) {
		l.entries[n] = value(n)
	}
	d := disktest.New(1 << 30)
	if _, err := writeCheckpoint(d, coverage{number: 1, epoch: 1, sequence: 9}, l.snapshot); err != nil {
		t.Fatal(err)
	}
	if _, err := writeCheckpoint(d, coverage{number: 2, epoch: 1, sequence: 9}, l.snapshot); err != nil {
		t.Fatal(err)
	}
	bad := slices.Clone(d.Files()[checkpointName(2)])
	bad[3*pageSize+100] ^= 1
	d.Put(checkpointName(2), bad)
	got := &registry{map[uint64][]byte{}}
	if _, r, err := Open(d, Options{}, got.apply); err != nil || len(got.entries) != 200 || !slices.Equal(r.Damaged, []string{checkpointName(2)}) {
		t.Errorf("with an older one: %d entries, %v, %v", len(got.entries), r, err)
	}
	if err := d.Remove(checkpointName(1)); err != nil {
		t.Fatal(err)
	}
	got = &registry{map[uint64][]byte{}}
	j, r, err := Open(d, Options{Snapshot: l.snapshot}, got.apply)
	if err != nil || len(got.entries) < 150 || len(got.entries) == 200 || r.BadPages == 0 {
		t.Errorf("alone: %d entries, %v, %v", len(got.entries), r, err)
	}
	if err := j.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	if _, ok := d.Files()[checkpointName(2)+badSuffix]; !ok {
		t.Error("the damaged file was not kept")
	}
}

// A checkpoint whose first page is lost still says which segments it covers:
// what is in older files is not taken for new.
func TestCheckpointWithoutItsBeginning(t *testing.T) {
	l := &registry{map[uint64][]byte{}}
	for n := range uint64(200) {
		l.entries[n] = value(n)
	}
	d := disktest.New(1 << 30)
	if _, err := writeCheckpoint(d, coverage{number: 3, epoch: 7, sequence: 1000}, l.snapshot); err != nil {
		t.Fatal(err)
	}
	bad := slices.Clone(d.Files()[checkpointName(3)])
	clear(bad[:pageSize])
	d.Put(checkpointName(3), bad)
	old := make([]byte, 8*pageSize)
	putGroup(old, numbered(300, 310), 5, 0) // covered, and not yet used again
	d.Put(segmentName(5), old)
	d.Put(segmentName(4), old[:5*pageSize]) // of no use any more
	got := &registry{map[uint64][]byte{}}
	j, r, err := Open(d, Options{SegmentSize: 8 * pageSize, Snapshot: got.snapshot}, got.apply)
	if err != nil || len(got.entries) < 150 || got.entries[300] != nil || r.BadPages != 1 {
		t.Fatalf("%d entries, %+v, %v", len(got.entries), r, err)
	}
	if err := j.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	if names := slices.Sorted(maps.Keys(d.Files())); !slices.Equal(names, []string{segmentName(5), checkpointName(3) + badSuffix, checkpointName(4)}) {
		t.Errorf("left: %q", names)
	}
}

// An older checkpoint whose segments were overwritten stands for nothing: what
// can be read of the newest is better.
func TestCheckpointFromLongAgo(t *testing.T) {
	old, now := &registry{map[uint64][]byte{1: value(1)}}, &registry{map[uint64][]byte{}}
	for n := range uint64(200) {
		now.entries[n+2] = value(n + 2)
	}
	d := disktest.New(1 << 30)
	if _, err := writeCheckpoint(d, coverage{number: 1, epoch: 1, sequence: 9}, old.snapshot); err != nil {
		t.Fatal(err)
	}
	if _, err := writeCheckpoint(d, coverage{number: 9, epoch: 20, sequence: 900}, now.snapshot); err != nil {
		t.Fatal(err)
	}
	d.Put(segmentName(20), make([]byte, 8*pageSize))
	bad := slices.Clone(d.Files()[checkpointName(9)])
	bad[2*pageSize+100] ^= 1
	d.Put(checkpointName(9), bad)
	got := &registry{map[uint64][]byte{}}
	j, _, err := Open(d, Options{Snapshot: got.snapshot}, got.apply)
	if err != nil || len(got.entries) < 150 || got.entries[1] != nil {
		t.Fatalf("%d entries, %v", len(got.entries), err)
	}
	if err := j.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	if _, ok := d.Files()[checkpointName(1)]; ok {
		t.Error("the old checkpoint was left")
	}
}

// A segment that was cut short in the middle of others, or is gone, is damage:
// what is missing is counted by the gap it leaves.
func TestCutInTheMiddle(t *testing.T) {
	files := [3][]byte{}
	for i := range files {
		files[i] = make([]byte, 8*pageSize)
		putGroup(files[i], numbered(uint64(1+50*i), uint64(50+50*i)), uint64(1+i), 0)
	}
	for size := 0; size < 6*pageSize; size += 777 {
		d := disktest.New(1 << 20)
		d.Put(segmentName(1), files[0])
		d.Put(segmentName(2), files[1][:size])
		d.Put(segmentName(3), files[2])
		got, r := sequences(t, d)
		if lost := 150 - len(got); lost != r.Missing || r.BadPages == 0 || !slices.Equal(r.Damaged, []string{segmentName(2)}) {
			t.Errorf("cut at %d: %d records lost, %+v", size, lost, r)
		}
	}
	d := disktest.New(1 << 20)
	d.Put(segmentName(1), files[0])
	d.Put(segmentName(3), files[2])
	if got, r := sequences(t, d); len(got) != 100 || r.Missing != 50 {
		t.Errorf("without the second: %d records, %+v", len(got), r)
	}
}

func TestNewerFormat(t *testing.T) {
	file := make([]byte, 4*pageSize)
	g := numbered(1, 3)
	g.seal(0, 1, 0)
	binary.LittleEndian.PutUint16(g.pages[28:], Version+1)
	resum(g.pages[:pageSize])
	copy(file, g.pages)
	d := disktest.New(1 << 20)
	d.Put(segmentName(1), file)
	_, _, err := Open(d, Options{}, func(Record) error { return nil })
	if !errors.Is(err, errNewer) || !strings.Contains(err.Error(), segmentName(1)) {
		t.Errorf("Open = %v", err)
	}
	if d.Ops() != 0 {
		t.Error("the file was touched")
	}
}

// A full or read-only disk does not keep the gateway from starting, and what
// cannot be kept is not promised.
func TestFullDisk(t *testing.T) {
	d := disktest.New(1 << 20)
	file := make([]byte, 16*pageSize)
	putGroup(file, numbered(1, 20), 1, 0)
	d.Put(segmentName(1), file)
	d.SetFree(0)
	d.Fail(func(op, _ string) error {
		if op == "write" || op == "create" || op == "rename" {
			return errors.New("read-only file system")
		}
		return nil
	})
	if got, _ := sequences(t, d); len(got) != 20 {
		t.Errorf("%d records", len(got))
	}
}

// resum makes a page's checksum right again.
func resum(p []byte) {
	used := int(binary.LittleEndian.Uint16(p[2:]))
	binary.LittleEndian.PutUint32(p[4:], crc32.Checksum(p[8:headerSize+used], castagnoli))
}

// A record that goes on in the next segment is not completed with the rest of
// another when its own end is cut off, wherever that is.
func TestCutBeforeARecordGoesOn(t *testing.T) {
	const pages = 21
	body := func(n uint64) []byte { // every fifth page is divided as this one
		return bytes.Repeat(binary.LittleEndian.AppendUint64(nil, n), 200)[:5*(pageSize-headerSize)/16-recordHeader]
	}
	g := new(group)
	for n := uint64(1); len(g.pages) < (pages+20)*pageSize; n++ {
		g.add(put, n, body(n))
	}
	g.file = pages
	first, second := make([]byte, pages*pageSize), make([]byte, 20*pageSize)
	g.seal(0, 1, 0)
	copy(first, g.pages)
	const next = 1<<64 - pages // the page after those of the first segment is number 0 of the second
	g.seal(0, 2, next)
	copy(second, g.pages[pages*pageSize:])
	for cut := pages; cut > 0; cut-- {
		d := disktest.New(1 << 24)
		d.Put(segmentName(1), first[:cut*pageSize])
		d.Put(segmentName(2), second)
		_, _, err := Open(d, Options{}, func(rec Record) error {
			if !bytes.Equal(rec.Body, body(rec.Sequence)) {
				t.Errorf("cut after %d pages, record %d is mixed with another", cut, rec.Sequence)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
