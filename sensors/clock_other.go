//go:build !linux

package sensors

// clockSynced is for machines of developers, which keep their time.
func clockSynced() bool { return true }
