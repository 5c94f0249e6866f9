package disk

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// noFollow keeps a name in the data directory from leading elsewhere.
const noFollow = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// linked reports whether a file has a name. There are file systems that count
// none.
func linked(fi fs.FileInfo) bool {
	s, ok := fi.Sys().(*syscall.Stat_t)
	return ok && s.Nlink > 0
}

var errDeleted = errors.New("the file was deleted by another program")

// Datasync implements File with fdatasync(2). A file that has lost its name is
// gone with its last descriptor: nothing in it is durable.
func (f osFile) Datasync() error {
	err := ignoringInterrupts(func() error { return syscall.Fdatasync(int(f.Fd())) })
	if err == nil && f.linked && f.deleted() {
		err = errDeleted
	}
	if err != nil {
		return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
	}
	return nil
}

// deleted reports whether f has lost its name. It asks for nothing else: Linux
// from 6.13 on, asked for the time of the last change, gives the next change a time
// of its own, and writes the inode for it.
func (f osFile) deleted() bool {
	var s unix.Statx_t
	err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_NLINK, &s)
	return err == nil && s.Mask&unix.STATX_NLINK != 0 && s.Nlink == 0
}

// Free implements Disk.
func (d *Dir) Free() (int64, error) {
	if err := d.here(); err != nil {
		return 0, err
	}
	var s syscall.Statfs_t
	if err := syscall.Statfs(d.path, &s); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: d.path, Err: err}
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}

// give hands a new file of root's to the owner of the directory. A failure
// leaves it root's, who can still use it.
func (d *Dir) give(f *os.File) {
	var s syscall.Stat_t
	if os.Geteuid() == 0 && syscall.Stat(d.path, &s) == nil && s.Uid != 0 {
		f.Chown(int(s.Uid), int(s.Gid))
	}
}
