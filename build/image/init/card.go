package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf16"

	"golang.org/x/sys/unix"

	"github.com/dunlin-mqtt/dunlin/build/image/slots"
)

// errorsFile is what a user without a screen reads on the card.
const errorsFile = "dunlin-errors.txt"

// onCard mounts the drive DUNLIN, lets do work in it, and unmounts it: the
// rest of the time nothing can damage it. Only one works at a time.
func (b *board) onCard(do func(dir string) error) (err error) {
	b.card <- struct{}{}
	defer func() { <-b.card }()
	if b.disk == "" {
		return errors.New("there is no card")
	}
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME
	const options = "fmask=0077,dmask=0077,flush"
	err = unix.Mount(b.partition(slots.Selector.Number), cardDir, "vfat", flags, options)
	if errors.Is(err, unix.EROFS) { // a card that takes nothing any more can still be read
		err = unix.Mount(b.partition(slots.Selector.Number), cardDir, "vfat", flags|unix.MS_RDONLY, options)
	}
	if err != nil {
		return fmt.Errorf("mount the drive %s: %w", slots.Selector.Label, err)
	}
	defer func() { err = errors.Join(err, unix.Unmount(cardDir, 0)) }()
	return do(cardDir)
}

// report says on the card what is wrong with one part of the machine, in
// words for a user without a screen; empty when nothing is. What other parts
// reported stays. Blocks while the card is written.
func (b *board) report(part, text string) {
	if !b.news(part, text) {
		return
	}
	if text != "" {
		b.logf("%s: %s", part, text)
	}
	if err := b.onCard(b.writeReports); err != nil {
		b.logf("%s: %v", errorsFile, err)
	}
}

// news keeps what is reported, and tells whether that differs from before.
func (b *board) news(part, text string) bool {
	b.reports.Lock()
	defer b.reports.Unlock()
	if b.reports.text[part] == text {
		return false
	}
	if b.reports.text[part] = text; text == "" {
		delete(b.reports.text, part)
	}
	b.tellReports()
	return true
}

// writeReports brings the file up to date, for who holds the card.
func (b *board) writeReports(dir string) error {
	b.reports.Lock()
	defer b.reports.Unlock()
	return writeReports(dir, b.reports.text)
}

// writeReports writes the file, or takes it away when all is well.
func writeReports(dir string, reports map[string]string) error {
	name := filepath.Join(dir, errorsFile)
	if len(reports) == 0 {
		if err := os.Remove(name); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	text := strings.ReplaceAll(reportText(reports), "\n", "\r\n")
	if old, err := os.ReadFile(name); err == nil && string(old) == text {
		return nil // a card has a life time
	}
	return writeFile(name, []byte(text), 0o600)
}

// reportText is empty when all is well.
func reportText(reports map[string]string) string {
	var text strings.Builder
	for _, part := range slices.Sorted(maps.Keys(reports)) {
		fmt.Fprintf(&text, "%s: %s\n\n", part, strings.TrimSpace(reports[part]))
	}
	return text.String()
}

// readSmall reads a file of at most limit bytes; nil if it is not there.
func readSmall(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s is longer than %d bytes: it is not read", filepath.Base(name), limit)
	}
	return plain(b), err
}

// plain is a text as UTF-8 without a mark in front: editors on Windows put one
// there, and save as UTF-16 if they are let.
func plain(b []byte) []byte {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(b, []byte("\xff\xfe")):
		order = binary.LittleEndian
	case bytes.HasPrefix(b, []byte("\xfe\xff")):
		order = binary.BigEndian
	default:
		return bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	}
	var units []uint16
	for pair := range slices.Chunk(b[2:len(b)&^1], 2) {
		units = append(units, order.Uint16(pair))
	}
	return []byte(string(utf16.Decode(units)))
}

// writeFile writes a file so that it outlives a power cut, once its
// directory does.
func writeFile(name string, content []byte, mode os.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

// replaceFile puts a new file in another's place: there is always one of them.
func replaceFile(name string, content []byte, mode os.FileMode, owner int) error {
	if err := writeFile(name+".new", content, mode); err != nil {
		return err
	}
	if err := os.Chown(name+".new", owner, owner); err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// erase overwrites a file before it is removed, so that its bytes are not
// left on the card. (A card may keep a copy where no computer reaches it.)
func erase(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, info.Size()))
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(name))
}
