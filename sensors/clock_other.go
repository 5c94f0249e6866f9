//go:build !linux

package sensors

// ClockSynced is for machines of developers, which keep their time.
func ClockSynced() bool { return true }
