package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// replaceFile changes a file as a whole: it is the old one or the new one at
// any moment, also after a power cut. change gets what it holds, nothing when
// it does not exist. FILE.new is the lock: two changes at a time would lose
// one. The new file is readable for its owner only, who stays the owner.
func replaceFile(name string, change func(old []byte) ([]byte, error)) (err error) {
	tmp := name + ".new"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there: another change is under way, or one was interrupted; remove it then", tmp)
	}
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()      // the first error is the one to tell
			os.Remove(tmp) // so is this one's
		}
	}()
	info, err := os.Lstat(name)
	var old []byte
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file", name)
	default:
		if old, err = os.ReadFile(name); err != nil {
			return err
		}
		if err = keepOwner(f, info); err != nil {
			return err
		}
	}
	text, err := change(old)
	if err != nil {
		return err
	}
	if _, err = f.Write(text); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(tmp, name); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

// syncDir makes a rename in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close() // nothing was written through it
	return d.Sync()
}
