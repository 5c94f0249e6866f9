package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Dir is a directory of the operating system.
type Dir struct {
	path string
	lock *os.File // nil while it is not locked
}

// OpenDir makes the directory if it is missing, with mode 0700, and returns
// it.
func OpenDir(path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	return &Dir{path: path}, nil
}

// Unlock lets other processes use the directory.
func (d *Dir) Unlock() {
	if d.lock != nil {
		d.lock.Close() // the lock goes with it
		d.lock = nil
	}
}

// Names implements Disk.
func (d *Dir) Names() ([]string, error) {
	f, err := os.Open(d.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

// Create implements Disk. The file has mode 0600, and belongs to whom the
// directory belongs to: root may look after it for another user.
func (d *Dir) Create(name string) (File, error) {
	if err := d.here(); err != nil {
		return nil, err
	}
	f, err := d.open(name, os.O_CREATE|os.O_EXCL)
	if err == nil {
		d.give(f.(osFile).File)
	}
	return f, err
}

// Open implements Disk.
func (d *Dir) Open(name string) (File, error) { return d.open(name, 0) }

func (d *Dir) open(name string, flags int) (File, error) {
	f, err := os.OpenFile(filepath.Join(d.path, name), os.O_RDWR|noFollow|flags, 0o600)
	if errors.Is(err, syscall.EROFS) && flags == 0 {
		f, err = os.OpenFile(filepath.Join(d.path, name), os.O_RDONLY|noFollow, 0) // what is there can be read
	}
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err != nil || !fi.Mode().IsRegular() {
		f.Close() // nothing was written
		return nil, fmt.Errorf("%s: not a regular file", filepath.Join(d.path, name))
	}
	return osFile{f, linked(fi)}, nil
}

// Rename implements Disk.
func (d *Dir) Rename(from, to string) error {
	if err := d.here(); err != nil {
		return err
	}
	return os.Rename(filepath.Join(d.path, from), filepath.Join(d.path, to))
}

// Remove implements Disk.
func (d *Dir) Remove(name string) error { return os.Remove(filepath.Join(d.path, name)) }

// SyncDir implements Disk.
func (d *Dir) SyncDir() error {
	if err := d.here(); err != nil {
		return err
	}
	f, err := os.Open(d.path)
	if err != nil {
		return err
	}
	defer f.Close()
	return ignoringInterrupts(func() error { return syscall.Fsync(int(f.Fd())) })
}

type osFile struct {
	*os.File
	linked bool // it has a name, as far as the file system tells
}

func (f osFile) Size() (int64, error) {
	fi, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}

func ignoringInterrupts(f func() error) error {
	for {
		if err := f(); err != syscall.EINTR {
			return err
		}
	}
}
