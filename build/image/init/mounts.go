package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/dunlin-mqtt/dunlin/build/image/slots"
)

// mountKernel mounts what the kernel itself shows. It has no console yet: a
// failure shows in what comes after.
func (b *board) mountKernel() {
	os.Chmod("/", 0o755) // the kernel's own, in memory, lets everybody write
	const plain = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	for _, m := range []struct {
		where, kind, options string
		flags                uintptr
	}{
		{"/proc", "proc", "", plain},
		{"/sys", "sysfs", "", plain},
		{"/dev", "devtmpfs", "mode=0755", unix.MS_NOSUID | unix.MS_NOEXEC},
		{"/run", "tmpfs", "mode=0755,size=16m", plain},
		{"/tmp", "tmpfs", "mode=1777,size=16m", plain},
	} {
		err := os.MkdirAll(m.where, 0o755)
		if err == nil {
			err = unix.Mount(m.kind, m.where, m.kind, m.flags, m.options)
		}
		if err != nil {
			b.logf("mount %s: %v", m.where, err)
		}
	}
}

// openConsole makes the console the first process' output, whatever the
// kernel had open, and the ring's.
func (b *board) openConsole() {
	console, err := os.OpenFile("/dev/console", os.O_RDWR, 0)
	if err != nil {
		return // a board without one runs too
	}
	for fd := range 3 {
		unix.Dup3(int(console.Fd()), fd, 0) // fails only for a bad descriptor
	}
	b.log.to(console)
}

// findDisk is the name of the block device that carries dunlin's partition
// table, by the disk's signature; empty for none. Of several it is the first
// by name: a card before a disk on USB.
func findDisk(classes, devices string) string {
	entries, err := os.ReadDir(classes)
	if err != nil {
		return ""
	}
	var names []string
	for _, e := range entries {
		if _, err := os.Stat(filepath.Join(classes, e.Name(), "partition")); err != nil {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if isCard(filepath.Join(devices, name)) {
			return name
		}
	}
	return ""
}

func isCard(device string) bool {
	f, err := os.Open(device)
	if err != nil {
		return false
	}
	defer f.Close()
	var mbr [slots.Sector]byte
	if _, err := f.ReadAt(mbr[:], 0); err != nil {
		return false
	}
	return bytes.Equal(mbr[510:], []byte{0x55, 0xaa}) && binary.LittleEndian.Uint32(mbr[440:]) == slots.DiskID
}

func setHostname(name string) error { return unix.Sethostname([]byte(name)) }
