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
