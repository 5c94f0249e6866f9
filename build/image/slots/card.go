package slots

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// SealBytes is the end of a slot's partition, where its manifest is: outside
// of the file system.
const SealBytes = 16 << 10

// MaxContents is how many bytes of a slot its file system may use.
var MaxContents = SlotA.Bytes() - SealBytes

// Disk is what a card is kept on. Offsets and lengths are whole sectors; a
// sector is written whole or not at all, and what was written before a Sync
// that returned nil outlives a power cut.
type Disk interface {
	io.ReaderAt
	io.WriterAt
	Sync() error
}

// Card is a card with dunlin's image on it.
type Card struct {
	OneSlot bool // such a card has no selector, and takes no updates
	disk    Disk
}

// Open looks at the card's partition table and refuses a card that is not
// laid out as dunlin's image is.
func Open(d Disk) (*Card, error) {
	c := &Card{disk: d}
	var mbr [Sector]byte
	if err := c.read(mbr[:], 0); err != nil {
		return nil, err
	}
	if mbr[510] != 0x55 || mbr[511] != 0xaa {
		return nil, fmt.Errorf("the card has no partition table")
	}
	c.OneSlot = mbr[446+16*(SlotB.Number-1)+4] == 0
	for _, p := range []Partition{Selector, SlotA, SlotB} {
		e := mbr[446+16*(p.Number-1):]
		start, sectors := binary.LittleEndian.Uint32(e[8:]), binary.LittleEndian.Uint32(e[12:])
		if c.OneSlot && p.Number != SlotA.Number {
			continue
		}
		if int64(start) != p.Start || int64(sectors) != p.Sectors {
			return nil, fmt.Errorf("the card's partition %d is not where dunlin's image has it", p.Number)
		}
	}
	return c, nil
}

func (c *Card) read(b []byte, at int64) error {
	if _, err := c.disk.ReadAt(b, at); err != nil {
		return fmt.Errorf("reading the card at byte %d: %w", at, err)
	}
	return nil
}

func partition(slot int) Partition {
	if slot == SlotB.Number {
		return SlotB
	}
	return SlotA
}

// State is how a slot is.
type State int

const (
	Whole  State = iota // every byte is the one that its manifest names
	Blank               // no boot sector: an update was cut short, and the firmware cannot start it
	Broken              // anything else
)

func (s State) String() string { return [...]string{"whole", "blank", "broken"}[s] }

// Slot looks at a slot's every byte. The manifest is nil unless it is whole;
// err says what is broken.
func (c *Card) Slot(slot int) (State, *Manifest, error) {
	p := partition(slot)
	boot := make([]byte, Sector)
	if err := c.read(boot, p.Offset()); err != nil {
		return Broken, nil, err
	}
	if bytes.Equal(boot, make([]byte, Sector)) {
		return Blank, nil, nil
	}
	m, err := c.Seal(slot)
	if err == nil {
		err = m.Verify(c.contents(slot, m.Size))
	}
	if err != nil {
		return Broken, nil, fmt.Errorf("slot %d: %w", slot, err)
	}
	return Whole, m, nil
}

// contents reads a slot in whole chunks, as Manifest.Reader asks for them.
func (c *Card) contents(slot int, size int64) io.Reader {
	return io.NewSectionReader(c.disk, partition(slot).Offset(), size)
}

// Check looks at everything that a start needs: the selector names a whole
// slot, and the other one is whole too, or blank.
func (c *Card) Check() error {
	choice := Choice{Default: SlotA.Number}
	if !c.OneSlot {
		var err error
		if choice, err = c.Choice(); err != nil {
			return err
		}
		if state, _, err := c.Slot(choice.Trial); state == Broken {
			return err
		}
	}
	switch state, _, err := c.Slot(choice.Default); state {
	case Broken:
		return err
	case Blank:
		return fmt.Errorf("the selector names slot %d, which is blank", choice.Default)
	}
	return nil
}
