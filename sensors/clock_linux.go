package sensors

import "syscall"

// ClockSynced asks the kernel whether something disciplines its clock. Boards
// without a battery-backed clock start in the past, and say so.
func ClockSynced() bool {
	const staUnsync = 0x40 // STA_UNSYNC of linux/timex.h
	var t syscall.Timex
	state, err := syscall.Adjtimex(&t)
	const timeError = 5 // TIME_ERROR: the clock is not synchronized
	return err == nil && state != timeError && t.Status&staUnsync == 0
}
