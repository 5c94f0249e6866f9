//go:build !linux

package disk

import (
	"math"
	"os"
)

const noFollow = 0

// linked reports false off Linux: it is not looked after.
func linked(os.FileInfo) bool { return false }

// Datasync implements File.
func (f osFile) Datasync() error { return f.Sync() }

// Free implements Disk; off Linux it does not say.
func (d *Dir) Free() (int64, error) { return math.MaxInt64, nil }

// Lock does nothing off Linux.
func (d *Dir) Lock() error { return nil }

// here reports no error off Linux.
func (d *Dir) here() error { return nil }

// give does nothing off Linux.
func (d *Dir) give(*os.File) {}
