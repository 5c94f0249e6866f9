// Package slotstest has cards in memory, for tests of what updates them.
package slotstest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/build/image/slots"
)

// Disk is a card in memory, of the sectors that were ever written. It
// remembers every write, and can fail.
type Disk struct {
	sectors map[int64][]byte // never changed in place: states of a card share them
	Log     []Op
	Failing int // the write that fails, from 1; 0: none
	writes  int
}

// Op is a write, or a Sync when B is nil.
type Op struct {
	At int64
	B  []byte
}

// ErrBroken is the error of a write that was to fail.
var ErrBroken = errors.New("the card is broken")

func (d *Disk) ReadAt(p []byte, at int64) (int, error) {
	clear(p)
	for done := 0; done < len(p); {
		from := (at + int64(done)) % slots.Sector
		n := min(int(slots.Sector-from), len(p)-done)
		if s := d.sectors[(at+int64(done))/slots.Sector]; s != nil {
			copy(p[done:done+n], s[from:])
		}
		done += n
	}
	return len(p), nil
}

func (d *Disk) WriteAt(p []byte, at int64) (int, error) {
	if d.writes++; d.writes == d.Failing {
		return 0, ErrBroken
	}
	d.Log = append(d.Log, Op{at, bytes.Clone(p)})
	d.Put(at, p)
	return len(p), nil
}

func (d *Disk) Sync() error {
	d.Log = append(d.Log, Op{})
	return nil
}

// Put writes past the log, at any byte.
func (d *Disk) Put(at int64, b []byte) {
	for len(b) > 0 {
		s := make([]byte, slots.Sector)
		d.ReadAt(s, at/slots.Sector*slots.Sector)
		n := copy(s[at%slots.Sector:], b)
		d.sectors[at/slots.Sector] = s
		at, b = at+int64(n), b[n:]
	}
}

// WriteFile writes the card into a file, which has holes where nothing is.
func (d *Disk) WriteFile(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(slots.Data.Offset()); err != nil {
		return err
	}
	for at, b := range d.sectors {
		if _, err := f.WriteAt(b, at*slots.Sector); err != nil {
			return err
		}
	}
	return f.Close()
}

// With is the card as it was, changed at one place.
func (d *Disk) With(at int64, b []byte) *Disk {
	changed := &Disk{sectors: maps.Clone(d.sectors)}
	changed.Put(at, b)
	return changed
}

// Crash is a card as a power cut may leave it after n operations: all that was
// synced, and of the rest what the generator says, torn at any sector.
func (d *Disk) Crash(start *Disk, n int, r *rand.Rand) *Disk {
	c := &Disk{sectors: maps.Clone(start.sectors)}
	synced := 0
	for i, o := range d.Log[:n] {
		if o.B == nil {
			synced = i
		}
	}
	for i, o := range d.Log[:n] {
		for s := 0; s < len(o.B); s += slots.Sector {
			if i < synced || r.IntN(2) == 0 {
				c.sectors[(o.At+int64(s))/slots.Sector] = o.B[s : s+slots.Sector]
			}
		}
	}
	return c
}

// Contents are what a slot may hold: bytes that begin with a boot sector.
func Contents(seed uint64, size int) []byte {
	b := make([]byte, size)
	r := rand.NewChaCha8([32]byte{byte(seed)})
	r.Read(b)
	return b
}

// Describe is the manifest of such contents for a Raspberry Pi, of a day in
// November 2026.
func Describe(t testing.TB, b []byte, version string, day int) *slots.Manifest {
	t.Helper()
	m, err := slots.Describe(bytes.NewReader(b), "rpi", version, time.Date(2026, 11, day, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// New is a card as it is flashed: both slots hold b.
func New(t testing.TB, b []byte) *Disk {
	t.Helper()
	d := &Disk{sectors: make(map[int64][]byte)}
	le := binary.LittleEndian
	mbr := make([]byte, slots.Sector)
	mbr[510], mbr[511] = 0x55, 0xaa
	for _, p := range []slots.Partition{slots.Selector, slots.SlotA, slots.SlotB, slots.Data} {
		e := mbr[446+16*(p.Number-1):]
		e[4] = p.Type
		le.PutUint32(e[8:], uint32(p.Start))
		le.PutUint32(e[12:], uint32(p.Sectors))
	}
	d.Put(0, mbr)
	m := Describe(t, b, "1.0.0", 1)
	for _, p := range []slots.Partition{slots.SlotA, slots.SlotB} {
		d.Put(p.Offset(), b)
		d.Put(p.Offset()+slots.MaxContents, m.SealOf())
	}
	d.Put(slots.Selector.Offset(), SelectorDrive(slots.Choice{Default: 2, Trial: 3}.Text()))
	return d
}

// SelectorDrive is the start of a FAT16 drive with a few files, the third of
// which is autoboot.txt, in cluster 7.
func SelectorDrive(text string) []byte {
	b := make([]byte, 150*slots.Sector)
	le := binary.LittleEndian
	le.PutUint16(b[11:], slots.Sector)
	b[13] = 4                 // sectors a cluster
	le.PutUint16(b[14:], 4)   // reserved sectors
	b[16] = 2                 // FATs
	le.PutUint16(b[17:], 512) // root entries
	le.PutUint16(b[22:], 32)  // sectors a FAT
	root := (4 + 2*32) * slots.Sector
	for i, name := range []string{"DUNLIN     ", "BOOTCODEBIN", "AUTOBOOTTXT", "DUNLIN~1YAM"} {
		e := b[root+32*i:]
		copy(e, name)
		if i == 0 {
			e[11] = 8
		}
		le.PutUint16(e[26:], uint16(5+i))
		le.PutUint32(e[28:], uint32(len(text)))
	}
	copy(b[root+512*32+(7-2)*4*slots.Sector:], text)
	return b
}

// Open opens a card.
func Open(t testing.TB, d slots.Disk) *slots.Card {
	t.Helper()
	c, err := slots.Open(d)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
