// Package disk is the directory that a store lives in, as the few operations
// that it needs: files that are written at offsets and made durable, names that
// are made durable apart from them.
//
// It promises what POSIX promises and nothing more. Data is durable after
// File.Datasync, a name after Disk.SyncDir; until then either may be there, be
// missing, or be there in part, independently. A failed Datasync says that what
// was written since the last good one may be gone, also when a later one
// succeeds. Package disktest is a Disk that takes each of these liberties.
//
// No locks: a Disk may be used from any goroutine, a File by one at a time.
package disk
