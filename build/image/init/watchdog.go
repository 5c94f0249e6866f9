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
)

// watchdog feeds the hardware's watchdog while dunlin gives signs of life. A
// machine without one is started anew by init itself, as far as init can.
func (b *board) watchdog(ctx context.Context) error {
	var feed func() error
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
	tick := time.NewTicker(watchdogEvery)
	defer tick.Stop()
	for {
		if !b.life.lives(time.Now()) {
			b.logf("no gateway for %v: the machine starts anew", longSilence)
			unix.Sync()
			b.restart("0")
			<-ctx.Done()
			return nil // and is not fed any more, should that fail
		}
		if feed != nil {
			if err := feed(); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
