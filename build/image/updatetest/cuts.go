package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/dunlin-mqtt/dunlin/build/image/emulator"
	"github.com/dunlin-mqtt/dunlin/build/image/slots"
	"github.com/dunlin-mqtt/dunlin/build/image/update"
)

// write is one that QEMU's driver blklogwrites recorded.
type write struct {
	at int64
	b  []byte
}

// The log of writes is as the kernel's dm-log-writes has it: a sector with the
// magic number, version, entries, sector size; then a sector for each entry
// (sector, sectors, flags, length of data) and what was written.
const (
	logMagic   = 0x6a736677736872
	logDiscard = 4
)

// readLog reads a log as far as it goes: the machine may have been killed.
func readLog(name string) (all []write, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 1<<20)
	var head [slots.Sector]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	// QEMU writes the first sector last, and not at all when it is killed.
	if magic := binary.LittleEndian.Uint64(head[:]); magic != logMagic && magic != 0 {
		return nil, fmt.Errorf("%s is no log of writes", name)
	}
	for {
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return all, nil
		}
		sector, sectors, flags := binary.LittleEndian.Uint64(head[:]), binary.LittleEndian.Uint64(head[8:]), binary.LittleEndian.Uint64(head[16:])
		if flags&logDiscard != 0 || sectors == 0 {
			continue
		}
		if sectors > cardSize/slots.Sector || sector > cardSize/slots.Sector-sectors {
			return nil, errors.New("the log has a write outside of the card")
		}
		w := write{int64(sector) * slots.Sector, make([]byte, sectors*slots.Sector)}
		if _, err := io.ReadFull(in, w.b); err != nil {
			return all, nil
		}
		all = append(all, w)
	}
}

// recorder is a card that remembers what is written to it, sector by sector,
// as QEMU's does.
type recorder struct {
	*slots.Device
	t *trial
}

func (r recorder) WriteAt(p []byte, at int64) (int, error) {
	for s := 0; s < len(p); s += slots.Sector {
		r.t.recorded = append(r.t.recorded, write{at + int64(s), slices.Clone(p[s : s+slots.Sector])})
	}
	return r.Device.WriteAt(p, at)
}

// write writes an update into the idle slot. The first one is recorded, behind
// what the card was before it.
func (t *trial) write(file []byte) error {
	f, err := update.Read(bytes.NewReader(file), t.keys)
	if err != nil {
		return err
	}
	device, err := slots.OpenDevice(t.card)
	if err != nil {
		return err
	}
	defer device.Close()
	var disk slots.Disk = device
	if t.recorded == nil {
		if err := emulator.Card(t.card, t.base, cardSize); err != nil {
			return err
		}
		disk = recorder{device, t}
	}
	card, err := slots.Open(disk)
	if err != nil {
		return err
	}
	choice, err := card.Choice()
	if err != nil {
		return err
	}
	return card.Write(choice.Trial, f.Manifest, f.Contents, func(int64) {})
}

// powerCuts rebuilds cards as they were after so many writes of the update and
// its trial, looks at each, and boots a few.
func (t *trial) powerCuts(cuts, boots int) error {
	base := t.base
	all := t.recorded
	for n := range 2 {
		log, err := readLog(t.log(n + 1))
		if errors.Is(err, os.ErrNotExist) {
			continue // recorded here
		}
		if err != nil {
			return err
		}
		all = append(all, log...)
	}
	points := cutPoints(all, cuts)
	booted := map[int]bool{}
	for i := range boots {
		booted[points[(2*i+1)*len(points)/(2*boots)]] = true
	}
	f, err := os.OpenFile(base, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	states, done := map[string]int{}, 0
	for n, w := range all {
		if _, err := f.WriteAt(w.b, w.at); err != nil {
			return err
		}
		if _, is := slices.BinarySearch(points, n); !is {
			continue
		}
		state, err := look(base)
		if err != nil {
			return fmt.Errorf("a power cut behind write %d of %d: %w", n+1, len(all), err)
		}
		states[state]++
		done++
		if booted[n] {
			if err := t.bootCut(base, state); err != nil {
				return err
			}
		}
	}
	for state, n := range states {
		fmt.Printf("   %3d cards: %s\n", n, state)
	}
	if len(states) < 4 {
		return fmt.Errorf("%d kinds of cards: the cuts miss a part of the update", len(states))
	}
	t.check(fmt.Sprintf("%d power cuts in %d writes left good cards", done, len(all)), nil)
	return nil
}

// cutPoints spreads the cuts: half of them around the writes that decide, half
// anywhere in the slots.
func cutPoints(all []write, cuts int) []int {
	var near, slot []int
	for n, w := range all {
		switch {
		case decides(w.at):
			near = append(near, n-1, n)
		case w.at >= slots.SlotA.Offset() && w.at < slots.Data.Offset():
			slot = append(slot, n)
		}
	}
	points := append(spread(near, cuts/2), spread(slot, cuts-cuts/2)...)
	slices.Sort(points)
	points = slices.Compact(points)
	for n := range all { // whatever was doubled
		if len(points) >= cuts {
			break
		}
		if _, is := slices.BinarySearch(points, len(all)-1-n); !is {
			points = append(points, len(all)-1-n)
			slices.Sort(points)
		}
	}
	return points
}

// decides tells of a write into the selector, or the boot sector or seal of a slot.
func decides(at int64) bool {
	for _, s := range []slots.Partition{slots.SlotA, slots.SlotB} {
		if in := at - s.Offset(); in >= 0 && in < s.Bytes() {
			return in < 4*slots.Sector || in >= slots.MaxContents
		}
	}
	return at >= slots.Selector.Offset() && at < slots.SlotA.Offset()
}

// spread takes n of the points, evenly, the first and the last too.
func spread(points []int, n int) (some []int) {
	if len(points) <= n {
		return slices.DeleteFunc(points, func(p int) bool { return p < 0 })
	}
	for i := range n {
		some = append(some, max(0, points[i*(len(points)-1)/max(1, n-1)]))
	}
	return some
}

// look checks a card, and says in what state it is.
func look(card string) (state string, err error) {
	err = onCard(card, func(c *slots.Card) error {
		choice, err := c.Choice()
		if err != nil {
			return err
		}
		state = fmt.Sprintf("slot %d starts", choice.Default)
		for _, slot := range []slots.Partition{slots.SlotA, slots.SlotB} {
			is, m, err := c.Slot(slot.Number)
			if is == slots.Broken || is == slots.Blank && slot.Number == choice.Default {
				return fmt.Errorf("slot %d starts, and slot %d is %v: %w", choice.Default, slot.Number, is, err)
			}
			if state += fmt.Sprintf(", %d is %v", slot.Number, is); m != nil {
				state += " with " + m.Version
			}
		}
		return nil
	})
	return state, err
}

// bootCut boots a card that lost its power, without changing it.
func (t *trial) bootCut(base, state string) error {
	kept := t.card
	t.card = filepath.Join(t.dir, "cut")
	defer func() { t.card = kept }()
	if err := emulator.Card(base, t.card, cardSize); err != nil {
		return err
	}
	choice, err := t.choice()
	if err != nil {
		return err
	}
	if t.power(choice.Default, "", "") {
		t.up("a card starts whose power was cut: " + state)
	}
	t.cut()
	return nil
}
