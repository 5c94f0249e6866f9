package main

import (
	"encoding/binary"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/dunlin-mqtt/dunlin/build/image/slots"
)

// partitions makes the file systems: FAT by mtools and mkfs.vfat, ext4 by
// mke2fs, all as files. Of the same trees they are the same bytes.
func (b *build) partitions() error {
	selector, err := b.selectorTree()
	if err != nil {
		return err
	}
	if err := b.fat(slots.Selector.Label, slots.Selector.Bytes(), "16", selector, b.temporary("selector.img")); err != nil {
		return err
	}
	if err := b.fat("DUNLIN-OS", slots.MaxContents, "32", b.temporary("slot"), b.product(".slot")); err != nil {
		return err
	}
	data := b.temporary("data.img")
	if err := sparse(data, slots.Data.Bytes()); err != nil {
		return err
	}
	// Blocks of 4096 bytes, not the 1024 of a small file system: it grows with the
	// card, up to the 64 GiB that "resize" reserves room for.
	return b.command("mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-L", slots.Data.Label, "-U", "6e6c7564-0000-4000-8000-000000000001",
		"-E", "hash_seed=6e6c7564-0000-4000-8000-000000000002,resize=16777216,lazy_itable_init=0,root_owner=0:0,nodiscard", data).Run()
}

// fat makes a file system of a tree of files.
func (b *build) fat(label string, size int64, bits, tree, to string) error {
	seconds, err := strconv.ParseInt(b.epoch, 10, 64)
	if err != nil {
		return err
	}
	date := time.Unix(seconds, 0)
	if err := filepath.WalkDir(tree, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(name, date, date)
	}); err != nil {
		return err
	}
	if err := sparse(to, size); err != nil {
		return err
	}
	cluster := map[string]string{"16": "4", "32": "1"}[bits]
	if err := b.command("mkfs.vfat", "--invariant", "-F", bits, "-s", cluster, "-n", label, to).Run(); err != nil {
		return err
	}
	names, err := filepath.Glob(filepath.Join(tree, "*"))
	if err != nil {
		return err
	}
	slices.Sort(names)
	return b.command("mcopy", append([]string{"-s", "-m", "-Q", "-i", to}, append(names, "::")...)...).Run()
}

// sparse makes a file of zeros.
func sparse(name string, size int64) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := f.Truncate(size); err != nil {
		return err
	}
	return f.Close()
}

// card puts the partitions together. It ends one MiB after the last.
func (b *build) card() error {
	f, err := os.Create(b.image())
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(slots.Data.Offset() + slots.Data.Bytes() + 1<<20); err != nil {
		return err
	}
	type piece struct {
		slots.Partition
		file string
	}
	pieces := []piece{{slots.Selector, b.temporary("selector.img")}, {slots.SlotA, b.product(".slot")}, {slots.SlotB, b.product(".slot")}, {slots.Data, b.temporary("data.img")}}
	if b.oneSlot {
		pieces = slices.Delete(pieces, 2, 3)
	}
	var mbr [slots.Sector]byte
	binary.LittleEndian.PutUint32(mbr[440:], slots.DiskID)
	mbr[510], mbr[511] = 0x55, 0xaa
	for _, p := range pieces {
		entry := mbr[446+16*(p.Number-1):]
		if p.Number == slots.Selector.Number {
			entry[0] = 0x80 // bootable
		}
		copy(entry[1:8], []byte{0xfe, 0xff, 0xff, p.Type, 0xfe, 0xff, 0xff}) // no cylinders, heads and sectors
		binary.LittleEndian.PutUint32(entry[8:], uint32(p.Start))
		binary.LittleEndian.PutUint32(entry[12:], uint32(p.Sectors))
		content, err := os.ReadFile(p.file)
		if err != nil {
			return err
		}
		if err := writeSparse(f, content, p.Offset()); err != nil {
			return err
		}
	}
	if _, err := f.WriteAt(mbr[:], 0); err != nil {
		return err
	}
	if err := b.seal(f); err != nil {
		return err
	}
	return f.Close()
}

// seal writes the manifest of the slots' contents behind them, as an update does.
func (b *build) seal(f *os.File) error {
	for _, p := range []slots.Partition{slots.SlotA, slots.SlotB} {
		if p.Number == slots.SlotB.Number && b.oneSlot {
			break
		}
		if _, err := f.WriteAt(b.manifest.SealOf(), p.Offset()+slots.MaxContents); err != nil {
			return err
		}
	}
	return nil
}

// writeSparse leaves out what is zero.
func writeSparse(f *os.File, content []byte, at int64) error {
	for piece := range slices.Chunk(content, 64<<10) {
		if slices.ContainsFunc(piece, func(c byte) bool { return c != 0 }) {
			if _, err := f.WriteAt(piece, at); err != nil {
				return err
			}
		}
		at += int64(len(piece))
	}
	return nil
}
