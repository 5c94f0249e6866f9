// Package disktest is a disk.Disk in memory that remembers every operation, can
// fail any of them, and can lose power after any of them: Crashes yields the
// disks that a machine may find afterwards.
//
// After a power cut a write that was not followed by Datasync may be there, be
// missing, be there in part, sector by sector and in any order, or have left
// garbage in the sectors it touched. A name that was not followed by SyncDir
// may be the old one or the new one, each independently of others and of the
// file's content.
package disktest
