package slots_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	. "github.com/dunlin-mqtt/dunlin/build/image/slots"
	"github.com/dunlin-mqtt/dunlin/build/image/slots/slotstest"
)

const oldSize, newSize = 7 * Sector, Chunk + 3*Sector

func TestAnUpdateAndItsCommit(t *testing.T) {
	d := slotstest.New(t, slotstest.Contents(1, oldSize))
	c := slotstest.Open(t, d)
	next := slotstest.Contents(2, newSize)
	m := slotstest.Describe(t, next, "1.1.0", 2)
	var last int64
	if err := c.Write(3, m, bytes.NewReader(next), func(done int64) { last = done }); err != nil {
		t.Fatal(err)
	}
	if last != newSize {
		t.Errorf("progress ends at %d, want %d", last, newSize)
	}
	if choice, err := c.Choice(); err != nil || choice != (Choice{Default: 2, Trial: 3}) {
		t.Errorf("before the commit: %+v, %v", choice, err)
	}
	d.Log = nil
	if err := c.Choose(3); err != nil {
		t.Fatal(err)
	}
	if len(d.Log) != 3 || len(d.Log[1].B) != Sector {
		t.Errorf("the choice took %d operations, want a Sync, one sector, a Sync", len(d.Log))
	}
	if choice, err := c.Choice(); err != nil || choice != (Choice{Default: 3, Trial: 2}) {
		t.Errorf("after the commit: %+v, %v", choice, err)
	}
	if state, got, err := c.Slot(3); state != Whole || got.Version != "1.1.0" {
		t.Errorf("slot 3 is %v, %v, %v", state, got, err)
	}
	if err := c.Check(); err != nil {
		t.Error(err)
	}
	if err := c.Write(3, m, bytes.NewReader(next), func(int64) {}); err == nil {
		t.Error("the slot that starts was written")
	}
}

// TestEveryPowerCut cuts the power in every state that an update with its
// commit can leave on the card; CARD_STATES=4 for each operation.
func TestEveryPowerCut(t *testing.T) {
	old, next := slotstest.Contents(1, oldSize), slotstest.Contents(2, newSize)
	start := slotstest.New(t, old)
	d := start.With(0, nil)
	c := slotstest.Open(t, d)
	if err := c.Write(3, slotstest.Describe(t, next, "1.1.0", 2), bytes.NewReader(next), func(int64) {}); err != nil {
		t.Fatal(err)
	}
	if err := c.Choose(3); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	states := 4
	if n, err := strconv.Atoi(os.Getenv("CARD_STATES")); err == nil {
		states = n
	}
	blank, chosen := 0, 0
	for n := range len(d.Log) + 1 {
		for range states {
			cut := slotstest.Open(t, d.Crash(start, n, r))
			if err := cut.Check(); err != nil {
				t.Fatalf("after %d of %d operations: %v", n, len(d.Log), err)
			}
			choice, _ := cut.Choice()
			if state, _, _ := cut.Slot(3); state == Blank {
				blank++
			}
			if choice.Default == 3 {
				chosen++
			}
		}
	}
	if blank == 0 || chosen == 0 {
		t.Errorf("%d states with a blank slot, %d with the new choice: the test saw too little", blank, chosen)
	}
}

func TestACardThatFails(t *testing.T) {
	old, next := slotstest.Contents(1, oldSize), slotstest.Contents(2, newSize)
	m := slotstest.Describe(t, next, "1.1.0", 2)
	failures := 0
	for failing := 1; ; failing++ {
		d := slotstest.New(t, old)
		d.Failing = failing
		c := slotstest.Open(t, d)
		err := c.Write(3, m, bytes.NewReader(next), func(int64) {})
		if err == nil {
			break
		}
		if !errors.Is(err, slotstest.ErrBroken) {
			t.Fatalf("write %d: %v", failing, err)
		}
		if err := c.Check(); err != nil {
			t.Fatalf("after write %d failed: %v", failing, err)
		}
		failures++
	}
	if failures != 5 { // boot sector blank, two chunks, seal, boot sector
		t.Errorf("%d writes, want 5", failures)
	}
}

// liar is a card that forgets one sector of what it was given.
type liar struct{ *slotstest.Disk }

func (l liar) WriteAt(p []byte, at int64) (int, error) {
	n, err := l.Disk.WriteAt(p, at)
	if at == SlotB.Offset()+Chunk {
		l.Put(at+Sector, make([]byte, Sector))
	}
	return n, err
}

func TestContentsThatAreNotThoseOfTheManifest(t *testing.T) {
	next := slotstest.Contents(2, newSize)
	flipped := bytes.Clone(next)
	flipped[Chunk+5] ^= 1
	for name, tc := range map[string]struct {
		contents []byte
		wrap     func(*slotstest.Disk) Disk
		state    State
		want     string
	}{
		"a bit is different":        {flipped, nil, Blank, "bytes from 1048576 on are not those that were signed"},
		"the first bit":             {append([]byte{next[0] ^ 1}, next[1:]...), nil, Whole, "bytes from 0 on"},
		"the end is missing":        {next[:newSize-1], nil, Blank, "ends after 1050111 of 1050112 bytes"},
		"all is missing":            {nil, nil, Whole, "ends after 0 of"},
		"the card forgets a sector": {next, func(d *slotstest.Disk) Disk { return liar{d} }, Blank, "does not keep"},
	} {
		t.Run(name, func(t *testing.T) {
			d := slotstest.New(t, slotstest.Contents(1, oldSize))
			var on Disk = d
			if tc.wrap != nil {
				on = tc.wrap(d)
			}
			c := slotstest.Open(t, on)
			err := c.Write(3, slotstest.Describe(t, next, "1.1.0", 2), bytes.NewReader(tc.contents), func(int64) {})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if state, _, _ := c.Slot(3); state != tc.state {
				t.Errorf("the slot is %v, want %v", state, tc.state)
			}
			if err := c.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCheckFindsDamage(t *testing.T) {
	fresh := slotstest.New(t, slotstest.Contents(1, oldSize))
	for name, tc := range map[string]struct {
		at   int64
		b    []byte
		want string
	}{
		"a bit in slot A":       {SlotA.Offset() + 6*Sector, []byte{0, 1, 2, 3}, "slot 2: the bytes from 0 on"},
		"a bit in slot B":       {SlotB.Offset() + 99, []byte{0, 1, 2, 3}, "slot 3: the bytes from 0 on"},
		"no seal":               {SlotA.Offset() + MaxContents, make([]byte, Sector), "slot 2 has no manifest"},
		"slot A blank":          {SlotA.Offset(), make([]byte, Sector), "names slot 2, which is blank"},
		"no selector":           {Selector.Offset(), make([]byte, Sector), "not FAT12 or FAT16"},
		"no autoboot.txt":       {Selector.Offset() + (4+64)*Sector + 64, []byte("XUTOBOOT"), "autoboot.txt is not on the card"},
		"autoboot.txt is wrong": {Selector.Offset() + (4+64+32+20)*Sector, []byte("[all]\ntryboot_a_b=1\nboot_partition=4\n"), "does not name the two slots"},
		"the same slot twice":   {Selector.Offset() + (4+64+32+20)*Sector, []byte(Choice{Default: 3, Trial: 3}.Text()), "does not name the two slots"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := slotstest.Open(t, fresh.With(tc.at, tc.b)).Check(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestForeignCards(t *testing.T) {
	d := slotstest.New(t, slotstest.Contents(1, oldSize)).With(446+16+8, []byte{1})
	if _, err := Open(d); err == nil || !strings.Contains(err.Error(), "partition 2 is not where") {
		t.Errorf("another layout: %v", err)
	}
	if _, err := Open(&slotstest.Disk{}); err == nil {
		t.Error("an empty card was opened")
	}
}

func TestOneSlot(t *testing.T) {
	c := slotstest.Open(t, slotstest.New(t, slotstest.Contents(1, oldSize)).With(446+2*16, make([]byte, 16)))
	if !c.OneSlot {
		t.Fatal("the card has two slots")
	}
	if err := c.Check(); err != nil {
		t.Error(err)
	}
	if err := c.Choose(3); err == nil {
		t.Error("a slot that is not there was chosen")
	}
}

// readOnly is a card in a file, past everything that Device does.
type readOnly struct{ *os.File }

func (readOnly) WriteAt([]byte, int64) (int, error) { return 0, slotstest.ErrBroken }

func TestDevice(t *testing.T) {
	name := filepath.Join(t.TempDir(), "card")
	if err := slotstest.New(t, slotstest.Contents(1, oldSize)).WriteFile(name); err != nil {
		t.Fatal(err)
	}
	dev, err := OpenDevice(name)
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	c := slotstest.Open(t, dev)
	next := slotstest.Contents(2, newSize)
	if err := c.Write(3, slotstest.Describe(t, next, "1.1.0", 2), bytes.NewReader(next), func(int64) {}); err != nil {
		t.Fatal(err)
	}
	if err := c.Choose(3); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	on := slotstest.Open(t, readOnly{f})
	if err := on.Check(); err != nil {
		t.Error(err)
	}
	if choice, _ := on.Choice(); choice.Default != 3 {
		t.Errorf("the file's choice is %+v", choice)
	}
	if _, err := dev.WriteAt(make([]byte, 100), 0); err == nil {
		t.Error("a part of a sector was written")
	}
}

// A card at the end of its life is looked at, and refuses every write.
func TestADeviceThatCanOnlyBeRead(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can make a folder that can only be read")
	}
	dir := t.TempDir()
	name := filepath.Join(dir, "card")
	if err := slotstest.New(t, slotstest.Contents(1, oldSize)).WriteFile(name); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unix.Mount(dir, dir, "", unix.MS_BIND, ""), unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")); err != nil {
		t.Skip(err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	dev, err := OpenDevice(name)
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	c := slotstest.Open(t, dev)
	if err := c.Check(); err != nil {
		t.Error(err)
	}
	if err := c.Choose(3); err == nil {
		t.Error("it takes a choice")
	}
}
