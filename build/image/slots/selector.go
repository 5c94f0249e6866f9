package slots

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// Choice is what the selector tells the firmware: the slot that starts, and
// the one that starts once after a restart with "tryboot".
type Choice struct {
	Default, Trial int // partition numbers
}

// Other is the slot that is not the one given.
func Other(slot int) int { return SlotA.Number + SlotB.Number - slot }

// Text is the choice as autoboot.txt. It is of one length for every choice,
// so that a new choice is one sector written in place, and no directory.
func (c Choice) Text() string {
	return fmt.Sprintf("[all]\ntryboot_a_b=1\nboot_partition=%d\n[tryboot]\nboot_partition=%d\n", c.Default, c.Trial)
}

// parseChoice reads an autoboot.txt. Whatever else it says stays unread, as
// the firmware does it.
func parseChoice(text string) (c Choice, err error) {
	section, byPartition := "all", false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = strings.Trim(line, "[]")
		}
		switch {
		case section == "all" && line == "tryboot_a_b=1":
			byPartition = true
		case section == "all":
			fmt.Sscanf(line, "boot_partition=%d", &c.Default)
		case section == "tryboot":
			fmt.Sscanf(line, "boot_partition=%d", &c.Trial)
		}
	}
	if !byPartition || !isSlot(c.Default) || c.Trial != Other(c.Default) {
		return c, fmt.Errorf("autoboot.txt does not name the two slots: %q", text)
	}
	return c, nil
}

func isSlot(n int) bool { return n == SlotA.Number || n == SlotB.Number }

// Choice reads the selector.
func (c *Card) Choice() (Choice, error) {
	at, size, err := c.findSelector()
	if err != nil {
		return Choice{}, err
	}
	var b [Sector]byte
	if err := c.read(b[:], at); err != nil {
		return Choice{}, err
	}
	return parseChoice(string(b[:size]))
}

// Choose makes slot the one that starts. It writes one sector, and the card
// keeps either the old choice or the new one.
func (c *Card) Choose(slot int) error {
	if c.OneSlot || !isSlot(slot) {
		return fmt.Errorf("partition %d is not a slot of this card", slot)
	}
	at, size, err := c.findSelector()
	if err != nil {
		return err
	}
	text := Choice{slot, Other(slot)}.Text()
	if size < len(text) {
		return fmt.Errorf("autoboot.txt has only %d bytes", size)
	}
	b := make([]byte, Sector)
	copy(b, text+strings.Repeat("\n", size-len(text)))
	if err := c.disk.Sync(); err != nil { // what the choice relies on is there before it
		return err
	}
	if _, err := c.disk.WriteAt(b, at); err != nil {
		return err
	}
	return c.disk.Sync()
}

// findSelector finds the sector of autoboot.txt, as bytes from the card's
// start, and how many bytes of it are the file. The drive is FAT12 or FAT16,
// whose root directory lies in one piece; people copy files to it, so that
// the file is looked for every time (Microsoft, FAT: General Overview 1.03).
func (c *Card) findSelector() (at int64, size int, err error) {
	var boot [Sector]byte
	if err := c.read(boot[:], Selector.Offset()); err != nil {
		return 0, 0, err
	}
	le := binary.LittleEndian
	perCluster, reserved, fats := int64(boot[13]), int64(le.Uint16(boot[14:])), int64(boot[16])
	entries, perFAT := int64(le.Uint16(boot[17:])), int64(le.Uint16(boot[22:]))
	root := reserved + fats*perFAT
	first := root + (entries*32+Sector-1)/Sector // of cluster 2
	if le.Uint16(boot[11:]) != Sector || perCluster == 0 || reserved == 0 || fats == 0 || entries == 0 || perFAT == 0 || first >= Selector.Sectors {
		return 0, 0, errors.New("the card's first partition is not FAT12 or FAT16")
	}
	directory := make([]byte, (first-root)*Sector)
	if err := c.read(directory, Selector.Offset()+root*Sector); err != nil {
		return 0, 0, err
	}
	for e := directory; len(e) >= 32 && e[0] != 0; e = e[32:] {
		const directoryOrLabel = 0x18
		if string(e[:11]) != "AUTOBOOTTXT" || e[11]&directoryOrLabel != 0 {
			continue
		}
		cluster, size := int64(le.Uint16(e[26:])), le.Uint32(e[28:])
		sector := first + (cluster-2)*perCluster
		if cluster < 2 || sector >= Selector.Sectors || size > Sector {
			return 0, 0, fmt.Errorf("autoboot.txt is damaged: cluster %d, %d bytes", cluster, size)
		}
		return Selector.Offset() + sector*Sector, int(size), nil
	}
	return 0, 0, errors.New("autoboot.txt is not on the card")
}
