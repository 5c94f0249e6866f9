package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/dunlin-mqtt/dunlin/build/image/slots"
)

// mountData mounts /data, in memory if the card gives none: the machine
// always starts. The kernel replays the journal of ext4 by itself.
func (b *board) mountData() {
	if err := b.mountCardData(); err != nil {
		b.inMemory(err)
	}
	b.dataDirs()
}

// inMemory gives the machine a /data that is lost with the power, and in it the
// settings of the card's, if that can be read at least: a card at the end of its
// life takes nothing any more.
func (b *board) inMemory(why error) {
	b.volatile.Store(true)
	b.logf("THE CARD'S /data CANNOT BE USED: %v. Everything is kept in memory only, and lost with the power.", why)
	b.note("data", fmt.Sprintf("The card's data partition cannot be used (%s): values, users and settings are kept in memory only. Flash the card again, or take another one.", strings.ReplaceAll(why.Error(), "\n", ", ")))
	var settings map[string][]byte
	for _, options := range []string{"norecovery", "norecovery," + secondSuperblock} {
		if len(settings) == 0 && b.disk != "" {
			settings = b.cardSettings(options)
		}
	}
	if err := unix.Mount("tmpfs", dataDir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0755,size=25%"); err != nil {
		b.logf("tmpfs on /data: %v", err)
	}
	b.dataDirs()
	for name, content := range settings {
		if err := restoreSetting(name, content); err != nil {
			b.logf("%v", err)
		}
	}
}

// secondSuperblock is ext4's first copy of its superblock and descriptors, in
// block 32768, as the option wants it: in KiB. No copy says that there is a
// journal to replay, so that the card is only read by it.
const secondSuperblock = "sb=131072"

// cardSettings are the settings in a /data that can only be read.
func (b *board) cardSettings(options string) map[string][]byte {
	if err := unix.Mount(b.partition(slots.Data.Number), dataDir, "ext4", unix.MS_RDONLY|unix.MS_NODEV|unix.MS_NOSUID|unix.MS_NOEXEC, options); err != nil {
		b.logf("/data as it is: %v", err)
		return nil
	}
	defer unix.Unmount(dataDir, unix.MNT_DETACH)
	return readSettings(keptDir, etcDir, filepath.Join(etcDir, includeDir))
}

func restoreSetting(name string, content []byte) error {
	owner, dir := 0, filepath.Dir(name)
	if strings.HasPrefix(name, etcDir+"/") {
		owner = gatewayUser
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	if err := os.Chown(dir, 0, gatewayUser); err != nil {
		return err
	}
	return replaceFile(name, content, 0o600, owner)
}

// readSettings reads the files of directories, those that can be read.
func readSettings(dirs ...string) map[string][]byte {
	files := map[string][]byte{}
	for _, dir := range dirs {
		entries, _ := os.ReadDir(dir) // of a damaged one, what there is
		for _, e := range entries {
			name := filepath.Join(dir, e.Name())
			if text, err := readSmall(name, fileLimit); err == nil && e.Type().IsRegular() {
				files[name] = text
			}
		}
	}
	return files
}

// keepData goes on in memory once the kernel has found damage in /data, and lets
// nobody write there: a dunlin that ended would not start again.
func (b *board) keepData(ctx context.Context) {
	if b.volatile.Load() {
		return
	}
	if err := writable(dataDir); err != nil {
		unix.Unmount(dataDir, unix.MNT_DETACH)
		b.inMemory(err)
		b.takeUsersFiles(ctx)
	}
}

func (b *board) dataDirs() {
	for _, dir := range []struct {
		name  string
		mode  os.FileMode
		owner int
	}{{keptDir, 0o700, 0}, {etcDir, 0o750, 0}, {homeDir, 0o700, gatewayUser}, {"/run/dunlin", 0o755, gatewayUser}} {
		err := os.MkdirAll(dir.name, dir.mode)
		if err == nil {
			err = os.Chown(dir.name, dir.owner, gatewayUser)
		}
		if err != nil {
			b.logf("%v", err)
		}
	}
}

// dataOptions let ext4 write its own journal once a minute, not every five
// seconds: what must be durable is synced by who writes it, and the notes that
// files were changed are an eighth of what a day writes to the card.
const dataOptions = "errors=remount-ro,commit=60"

func (b *board) mountCardData() error {
	if err := os.MkdirAll(dataDir, 0o755); err != nil {
		return err
	}
	if b.disk == "" {
		return errors.New("no card was found")
	}
	name := partitionName(b.disk, slots.Data.Number)
	if err := b.growPartition(name); err != nil {
		b.logf("grow %s: %v", name, err) // it stays as large as it is
	}
	if err := waitFor("/dev/"+name, 5*time.Second); err != nil {
		return err
	}
	if err := unix.Mount("/dev/"+name, dataDir, "ext4", unix.MS_NOATIME|unix.MS_NODEV|unix.MS_NOSUID|unix.MS_NOEXEC, dataOptions); err != nil {
		return fmt.Errorf("mount %s: %w", name, err)
	}
	if err := writable(dataDir); err != nil {
		return errors.Join(err, unix.Unmount(dataDir, unix.MNT_DETACH))
	}
	if err := growFilesystem(name); err != nil {
		b.logf("grow the file system on %s: %v", name, err)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dataDir, &st); err == nil {
		b.logf("/data: %d MiB, %d MiB free", st.Blocks*uint64(st.Bsize)>>20, st.Bavail*uint64(st.Bsize)>>20)
		if st.Bavail == 0 {
			b.note("data", "The card's data partition is full: what comes is kept in memory only until there is room.")
		}
	}
	return nil
}

// writable finds out by writing: a card at the end of its life turns
// read-only without saying so. A full one is written to again once there is room.
func writable(dir string) error {
	name := filepath.Join(dir, ".writable")
	f, err := os.Create(name)
	if err == nil {
		_, err = f.WriteString("yes\n")
		err = errors.Join(err, f.Sync(), f.Close(), os.Remove(name))
	}
	if errors.Is(err, unix.ENOSPC) {
		return nil
	}
	return err
}

// growPartition lets /data's partition reach to the card's end: in the table
// on the card, and in the kernel's mind.
func (b *board) growPartition(name string) error {
	total, err := sectors(b.disk, "size")
	if err != nil {
		return err
	}
	size, err := sectors(name, "size")
	if err != nil {
		return err
	}
	start, err := sectors(name, "start")
	if err != nil {
		return err
	}
	const most = 1<<32 - 1 // sectors, in an MBR: 2 TiB
	want := min(total-start, most)
	if want < size+2048 {
		return nil // it does, but for less than a MiB
	}
	f, err := os.OpenFile("/dev/"+b.disk, os.O_RDWR|os.O_SYNC, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := writeLength(f, slots.Data.Number, uint32(want)); err != nil {
		return err
	}
	part := unix.BlkpgPartition{Start: start * slots.Sector, Length: want * slots.Sector, Pno: int32(slots.Data.Number)}
	arg := unix.BlkpgIoctlArg{Op: unix.BLKPG_RESIZE_PARTITION, Datalen: int32(unsafe.Sizeof(part)), Data: (*byte)(unsafe.Pointer(&part))}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.BLKPG, uintptr(unsafe.Pointer(&arg))); errno != 0 {
		return errno
	}
	b.logf("%s grown from %d to %d MiB", name, size>>11, want>>11)
	return nil
}

// writeLength changes how long a partition is in an MBR. The sector is
// written as a whole: it is the old or the new one after a power cut.
func writeLength(disk *os.File, number int, length uint32) error {
	mbr := make([]byte, slots.Sector)
	if _, err := disk.ReadAt(mbr, 0); err != nil {
		return err
	}
	binary.LittleEndian.PutUint32(mbr[446+16*(number-1)+12:], length)
	_, err := disk.WriteAt(mbr, 0)
	return err
}

// growFilesystem lets the mounted ext4 fill its partition (resize_inode and
// the kernel do the work; nothing to do is no error).
func growFilesystem(name string) error {
	const resize = 0x40086610 // EXT4_IOC_RESIZE_FS, _IOW('f', 16, __u64)
	length, err := sectors(name, "size")
	if err != nil {
		return err
	}
	d, err := os.Open(dataDir)
	if err != nil {
		return err
	}
	defer d.Close()
	var st unix.Statfs_t
	if err := unix.Statfs(dataDir, &st); err != nil {
		return err
	}
	blocks := uint64(length) * slots.Sector / uint64(st.Bsize)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, d.Fd(), resize, uintptr(unsafe.Pointer(&blocks))); errno != 0 {
		return errno
	}
	return nil
}

// sectors reads a number of sectors of 512 bytes that the kernel tells of a
// block device.
func sectors(name, what string) (int64, error) {
	text, err := os.ReadFile(filepath.Join("/sys/class/block", name, what))
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
}

// waitFor waits until a file is there.
func waitFor(name string, patience time.Duration) error {
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		_, err := os.Stat(name)
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}
