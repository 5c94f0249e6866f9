package sntp

import (
	"time"

	"golang.org/x/sys/unix"
)

// Clock is the machine's clock.
type Clock interface {
	Now() time.Time
	// Step sets it.
	Step(offset time.Duration) error
	// Slew lets it run faster or slower (by 500 ppm) until it has made offset up.
	Slew(offset time.Duration) error
}

// System is the kernel's clock. Setting it needs root.
type System struct{}

func (System) Now() time.Time { return time.Now() }

func (System) Step(offset time.Duration) error {
	ts := unix.NsecToTimespec(time.Now().Add(offset).UnixNano())
	if err := unix.ClockSettime(unix.CLOCK_REALTIME, &ts); err != nil {
		return err
	}
	return synchronized()
}

func (System) Slew(offset time.Duration) error {
	t := unix.Timex{Modes: unix.ADJ_OFFSET_SINGLESHOT, Offset: int64ToLong(offset.Microseconds())}
	if _, err := unix.Adjtimex(&t); err != nil {
		return err
	}
	return synchronized()
}

// synchronized tells the kernel that its clock is right, so that it sets a
// clock chip by it every eleven minutes, if there is one.
func synchronized() error {
	t := unix.Timex{Modes: unix.ADJ_STATUS | unix.ADJ_MAXERROR | unix.ADJ_ESTERROR}
	_, err := unix.Adjtimex(&t)
	return err
}
