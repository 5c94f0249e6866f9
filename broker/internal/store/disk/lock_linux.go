package disk

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// Lock keeps other processes from the directory until Unlock or the end of the
// process.
func (d *Dir) Lock() error {
	f, err := os.OpenFile(filepath.Join(d.path, "lock"), os.O_CREATE|os.O_RDWR|noFollow, 0o600)
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
