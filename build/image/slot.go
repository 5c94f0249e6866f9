package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dunlin-mqtt/dunlin/build/image/slots"
)

// slotTree lays out the files of a slot: the firmware, the kernel with its
// device trees, and the first file system.
func (b *build) slotTree() error {
	files, err := b.kernel(b)
	if err != nil {
		return err
	}
	firmware, err := b.moduleDir("github.com/gokrazy/firmware")
	if err != nil {
		return err
	}
	tree := b.temporary("slot")
	if err := os.MkdirAll(filepath.Join(tree, "overlays"), 0o755); err != nil {
		return err
	}
	for _, name := range b.firmware {
		if err := copyFile(filepath.Join(firmware, name), filepath.Join(tree, name)); err != nil {
			return err
		}
	}
	globs := files.trees
	if files.overlays != "" {
		globs = append(globs, filepath.Join(files.overlays, "*"))
	}
	for i, glob := range globs {
		to := tree
		if i >= len(files.trees) {
			to = filepath.Join(tree, "overlays")
		}
		names, err := filepath.Glob(glob)
		if err != nil || len(names) == 0 {
			return fmt.Errorf("no files %s: %w", glob, err)
		}
		for _, name := range names {
			base := filepath.Base(name)
			if other, ok := files.renamed[base]; ok {
				base = other
			}
			if err := copyFile(name, filepath.Join(to, base)); err != nil {
				return err
			}
		}
	}
	if err := b.kernelInto(files.image, filepath.Join(tree, b.kernelFile)); err != nil {
		return err
	}
	if err := copyFile(b.temporary("initrd.gz"), filepath.Join(tree, "initrd.gz")); err != nil {
		return err
	}
	for name, text := range map[string]string{
		"config.txt":  b.config,
		"cmdline.txt": "console=tty1 console=serial0,115200 panic=10 quiet\n",
		"image.txt":   "board=" + b.board + "\nversion=" + b.version + "\n",
	} {
		if err := os.WriteFile(filepath.Join(tree, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return b.licenceFiles(tree, files, firmware)
}

func (b *build) kernelInto(from, to string) error {
	if !b.compress {
		return copyFile(from, to)
	}
	image, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(image); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(to, packed.Bytes(), 0o644)
}

func copyFile(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o644)
}

// selectorTree lays out the drive DUNLIN: what the firmware reads first, and
// a note for the user.
func (b *build) selectorTree() (string, error) {
	firmware, err := b.moduleDir("github.com/gokrazy/firmware")
	if err != nil {
		return "", err
	}
	tree := b.temporary("selector")
	if err := os.MkdirAll(tree, 0o755); err != nil {
		return "", err
	}
	autoboot := slots.Choice{Default: slots.SlotA.Number, Trial: slots.SlotB.Number}.Text()
	if b.oneSlot {
		autoboot = fmt.Sprintf("[all]\nboot_partition=%d\n", slots.SlotA.Number)
	}
	for name, text := range map[string]string{"autoboot.txt": autoboot, "README.txt": cardNote} {
		if err := os.WriteFile(filepath.Join(tree, name), []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	return tree, copyFile(filepath.Join(firmware, "bootcode.bin"), filepath.Join(tree, "bootcode.bin"))
}
