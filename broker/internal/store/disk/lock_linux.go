package disk

import (
	"errors"
	"os"
	"syscall"
)

// Lock keeps other processes from the directory until Unlock or the end of the
// process. It writes nothing, so that it works on a full or read-only disk.
func (d *Dir) Lock() error {
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
