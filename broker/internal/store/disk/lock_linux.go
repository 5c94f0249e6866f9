package disk

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// Lock keeps other processes from the directory until Unlock or the end of the
// process. It writes nothing, so that it works on a full or read-only disk; a
// directory that is not this user's is no disk that has failed, and an error.
func (d *Dir) Lock() error {
	const write = 2 // W_OK
	if syscall.Access(d.path, write) == syscall.EACCES {
		return fmt.Errorf("user %d may not write there", os.Getuid())
	}
	f, err := os.Open(d.path)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close() // nothing was written
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return errors.New("another dunlin uses it")
		}
		return err
	}
	d.lock = f
	return nil
}

// errAway says that what is at the directory's path is on another file system
// than what was locked: the disk that is mounted there may have gone. What is
// written now would be hidden when it is back.
var errAway = errors.New("data directory: its disk is away, and another one at its place")

// here reports whether the directory is the one that was locked, or stands for
// it: a disk that was unplugged comes back with the same inode, and perhaps
// another device number; one that was deleted is made anew on the same file
// system. These are locked anew.
func (d *Dir) here() error {
	if d.lock == nil {
		return nil
	}
	var is, was syscall.Stat_t
	if err := syscall.Stat(d.path, &is); err != nil {
		return &os.PathError{Op: "stat", Path: d.path, Err: err}
	}
	if err := syscall.Fstat(int(d.lock.Fd()), &was); err != nil {
		return &os.PathError{Op: "stat", Path: d.path, Err: err}
	}
	switch {
	case is.Dev == was.Dev && is.Ino == was.Ino:
		return nil
	case is.Dev != was.Dev && is.Ino != was.Ino:
		return errAway
	}
	old := d.lock
	err := d.Lock()
	if err == nil {
		old.Close() // the lock of what is there no more
	}
	return err
}
