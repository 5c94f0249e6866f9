package sntp

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Restore sets the clock forward to the time kept in the file, or to another
// that has passed for certain, if it is behind: a board without a clock chip
// starts in 1970. It says how far it was behind. A file that is not there is no
// error.
func Restore(c Clock, file string, passed time.Time) (behind time.Duration, err error) {
	b, err := os.ReadFile(file)
	if err == nil {
		var kept time.Time
		if kept, err = time.Parse(time.RFC3339, strings.TrimSpace(string(bytes.Trim(b, "\x00")))); kept.After(passed) {
			passed = kept
		}
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if behind = passed.Sub(c.Now()); behind <= 0 {
		return 0, err
	}
	return behind, errors.Join(err, c.Step(behind))
}

// Keep writes the time into the file: a new one, flushed, in the old one's
// place.
func Keep(c Clock, file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	temp := file + ".new"
	f, err := os.Create(temp)
	if err != nil {
		return err
	}
	_, err = f.WriteString(c.Now().UTC().Format(time.RFC3339) + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(temp, file)
}
