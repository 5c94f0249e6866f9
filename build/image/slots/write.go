package slots

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Seal reads a slot's manifest, without looking at its contents.
func (c *Card) Seal(slot int) (*Manifest, error) {
	b := make([]byte, SealBytes)
	if err := c.read(b, sealAt(slot)); err != nil {
		return nil, err
	}
	m, _, err := ReadManifest(bufio.NewReader(bytes.NewReader(b)))
	if err != nil {
		return nil, fmt.Errorf("slot %d has no manifest: %w", slot, err)
	}
	return m, nil
}

func sealAt(slot int) int64 { return partition(slot).Offset() + MaxContents }

// SealOf is what lies in the last SealBytes of the slot's partition.
func (m *Manifest) SealOf() []byte {
	b := make([]byte, SealBytes)
	copy(b, m.Text())
	return b
}

// errInUse is the answer to a write into the slot that the firmware starts.
var errInUse = errors.New("the slot to be written is the one that starts")

// Write puts contents into a slot that the selector does not start. The order
// is what keeps the card good at every moment: the boot sector goes first, so
// that the firmware cannot start a half-written slot, and comes back last,
// when all the rest was read back from the card as it should be. Nothing is
// written that m has no right sum for. Progress is told the bytes written.
func (c *Card) Write(slot int, m *Manifest, contents io.Reader, progress func(done int64)) error {
	choice, err := c.Choice()
	if err != nil {
		return err
	}
	if !isSlot(slot) || slot == choice.Default || c.OneSlot {
		return errInUse
	}
	at := partition(slot).Offset()
	// Whoever sent a file that is broken from its start has still two slots.
	r, buf := m.Reader(contents), make([]byte, Chunk)
	n, err := r.Read(buf)
	if err != nil {
		return err
	}
	boot := bytes.Clone(buf[:Sector])
	if bytes.Equal(boot, make([]byte, Sector)) {
		return errors.New("the contents have no boot sector")
	}
	clear(buf[:Sector])
	if err := c.writeNow(buf[:Sector], at); err != nil {
		return err
	}
	for done := int64(0); ; {
		if _, err := c.disk.WriteAt(buf[:n], at+done); err != nil {
			return fmt.Errorf("writing slot %d: %w", slot, err)
		}
		done += int64(n)
		progress(done)
		if n, err = r.Read(buf); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
	}
	if err := c.writeNow(m.SealOf(), sealAt(slot)); err != nil {
		return err
	}
	if err := c.verifyBut(slot, m, boot); err != nil {
		return fmt.Errorf("the card does not keep what is written: %w", err)
	}
	return c.writeNow(boot, at)
}

// writeNow writes and waits until it would outlive a power cut.
func (c *Card) writeNow(b []byte, at int64) error {
	if _, err := c.disk.WriteAt(b, at); err != nil {
		return err
	}
	return c.disk.Sync()
}

// verifyBut reads a slot back whose boot sector is still to come.
func (c *Card) verifyBut(slot int, m *Manifest, boot []byte) error {
	if got, err := c.Seal(slot); err != nil || !bytes.Equal(got.Text(), m.Text()) {
		return fmt.Errorf("its manifest differs: %v", err)
	}
	rest := io.NewSectionReader(c.disk, partition(slot).Offset()+Sector, m.Size-Sector)
	return m.Verify(io.MultiReader(bytes.NewReader(boot), rest))
}
