//go:build !linux

package drivers

import (
	"errors"
	"time"
)

func adjustClock(time.Duration) error {
	return errors.New("setting the clock is for Linux")
}
