package drivers

import (
	"syscall"
	"time"
)

// adjustClock moves the system's clock and tells the kernel that it is kept,
// to within a second; without news it takes that back by itself after some
// hours (adjtimex(2)).
func adjustClock(by time.Duration) error {
	const (
		maxError, estError, status, setOffset = 0x4, 0x8, 0x10, 0x100 // of linux/timex.h
		microseconds                          = 1_000_000
	)
	t := syscall.Timex{Modes: maxError | estError | status, Maxerror: microseconds, Esterror: microseconds}
	if by != 0 {
		t.Modes |= setOffset
		t.Time = syscall.NsecToTimeval(int64(by))
	}
	_, err := syscall.Adjtimex(&t)
	return err
}
