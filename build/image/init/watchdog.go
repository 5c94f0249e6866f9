package main

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// The Raspberry Pi's watchdog counts to 16 seconds at most.
const (
	watchdogTime  = 15 // seconds
	watchdogEvery = 4 * time.Second
	endTime       = stopTime + 10*time.Second // that the parts may take to end
)

// watchdog feeds the hardware's watchdog while dunlin gives signs of life, and
// while the machine ends, until the other parts have. A machine without one is
// started anew by init itself, as far as init can.
func (b *board) watchdog(ctx context.Context, ended <-chan struct{}) error {
	feed := func() error { return nil }
	if b.options["dunlin.watchdog"] != "off" {
		f, err := os.OpenFile("/dev/watchdog", os.O_WRONLY, 0)
		switch {
		case err == nil:
			// It stays armed when this ends: what comes then is a restart, or a hang.
			if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.WDIOC_SETTIMEOUT, watchdogTime); err != nil {
				b.logf("watchdog: %v; its own time stays", err)
			}
			feed = func() error { _, err := f.Write([]byte{0}); return err }
			defer f.Close()
		case errors.Is(err, os.ErrNotExist):
			b.logf("this board has no hardware watchdog")
		default:
			return err
		}
	}
	return b.feed(ctx, ended, feed)
}

func (b *board) feed(ctx context.Context, ended <-chan struct{}, feed func() error) error {
	tick := time.NewTicker(watchdogEvery)
	defer tick.Stop()
	ending := ctx.Done()
	var end <-chan time.Time // while the machine ends: dunlin may take longer for that than the hardware waits
	for {
		if end == nil && !b.life.lives(time.Now()) {
			b.logf("no gateway for %v: the machine starts anew", longSilence)
			unix.Sync()
			b.restart("0")
			<-ended
			return nil // and is not fed any more, should that fail
		}
		if err := feed(); err != nil {
			return err
		}
		select {
		case <-ending:
			ending, end = nil, time.After(endTime)
		case <-end:
			return nil
		case <-ended:
			return feed()
		case <-tick.C:
		}
	}
}
