package slots

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"math/rand/v2"
	"testing"
	"time"
)

// disk is a card in memory, of the sectors that were ever written. It
// remembers every write, and can fail.
type disk struct {
	sectors map[int64][]byte // never changed in place: states of a card share them
	log     []op
	writes  int
	failing int // the write that fails, from 1; 0: none
}

// op is a write, or a Sync when b is nil.
type op struct {
	at int64
	b  []byte
}

var errBroken = errors.New("the card is broken")

func (d *disk) ReadAt(p []byte, at int64) (int, error) {
	clear(p)
	for done := 0; done < len(p); {
		from := (at + int64(done)) % Sector
		n := min(int(Sector-from), len(p)-done)
		if s := d.sectors[(at+int64(done))/Sector]; s != nil {
			copy(p[done:done+n], s[from:])
		}
		done += n
	}
	return len(p), nil
}

func (d *disk) WriteAt(p []byte, at int64) (int, error) {
	if d.writes++; d.writes == d.failing {
		return 0, errBroken
	}
	d.log = append(d.log, op{at, bytes.Clone(p)})
	d.put(at, p)
	return len(p), nil
}

func (d *disk) Sync() error {
	d.log = append(d.log, op{})
	return nil
}

// put writes past the log, at any byte.
func (d *disk) put(at int64, b []byte) {
	for len(b) > 0 {
		s := make([]byte, Sector)
		d.ReadAt(s, at/Sector*Sector)
		n := copy(s[at%Sector:], b)
		d.sectors[at/Sector] = s
		at, b = at+int64(n), b[n:]
	}
}

// with is the card as it was, changed at one place.
func (d *disk) with(at int64, b []byte) *disk {
	changed := &disk{sectors: maps.Clone(d.sectors)}
	changed.put(at, b)
	return changed
}

// crash is a card as a power cut may leave it after n operations: all that was
// synced, and of the rest what the generator says, torn at any sector.
func (d *disk) crash(start *disk, n int, r *rand.Rand) *disk {
	c := &disk{sectors: maps.Clone(start.sectors)}
	synced := 0
	for i, o := range d.log[:n] {
		if o.b == nil {
			synced = i
		}
	}
	for i, o := range d.log[:n] {
		for s := 0; s < len(o.b); s += Sector {
			if i < synced || r.IntN(2) == 0 {
				c.sectors[(o.at+int64(s))/Sector] = o.b[s : s+Sector]
			}
		}
	}
	return c
}

// contents are what a slot may hold: bytes that begin with a boot sector.
func contents(seed uint64, size int) []byte {
	b := make([]byte, size)
	r := rand.NewChaCha8([32]byte{byte(seed)})
	r.Read(b)
	return b
}

func describe(t testing.TB, b []byte, version string, day int) *Manifest {
	t.Helper()
	m, err := Describe(bytes.NewReader(b), "rpi", version, time.Date(2026, 11, day, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// newCard is a card as it is flashed: both slots hold b.
func newCard(t testing.TB, b []byte) *disk {
	t.Helper()
	d := &disk{sectors: make(map[int64][]byte)}
	le := binary.LittleEndian
	mbr := make([]byte, Sector)
	mbr[510], mbr[511] = 0x55, 0xaa
	for _, p := range []Partition{Selector, SlotA, SlotB, Data} {
		e := mbr[446+16*(p.Number-1):]
		e[4] = p.Type
		le.PutUint32(e[8:], uint32(p.Start))
		le.PutUint32(e[12:], uint32(p.Sectors))
	}
	d.put(0, mbr)
	m := describe(t, b, "1.0.0", 1)
	for _, p := range []Partition{SlotA, SlotB} {
		d.put(p.Offset(), b)
		d.put(p.Offset()+MaxContents, m.SealOf())
	}
	d.put(Selector.Offset(), selectorDrive(Choice{2, 3}.Text()))
	return d
}

// selectorDrive is the start of a FAT16 drive with a few files, the third of
// which is autoboot.txt, in cluster 7.
func selectorDrive(text string) []byte {
	b := make([]byte, 150*Sector)
	le := binary.LittleEndian
	le.PutUint16(b[11:], Sector)
	b[13] = 4                 // sectors a cluster
	le.PutUint16(b[14:], 4)   // reserved sectors
	b[16] = 2                 // FATs
	le.PutUint16(b[17:], 512) // root entries
	le.PutUint16(b[22:], 32)  // sectors a FAT
	root := (4 + 2*32) * Sector
	for i, name := range []string{"DUNLIN     ", "BOOTCODEBIN", "AUTOBOOTTXT", "DUNLIN~1YAM"} {
		e := b[root+32*i:]
		copy(e, name)
		if i == 0 {
			e[11] = 8
		}
		le.PutUint16(e[26:], uint16(5+i))
		le.PutUint32(e[28:], uint32(len(text)))
	}
	copy(b[root+512*32+(7-2)*4*Sector:], text)
	return b
}

func open(t testing.TB, d Disk) *Card {
	t.Helper()
	c, err := Open(d)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
