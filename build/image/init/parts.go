package main

import (
	"context"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// part is something that runs as long as the machine does.
type part struct {
	name string
	run  func(context.Context) error
}

// parts are all of them; they run side by side. One that fails is started
// again after a pause that doubles, from one second to a minute.
func (b *board) parts() []part {
	return []part{
		{"devices", b.devices},
		{"gateway", b.gateway},
		{"network", b.network},
		{"notifications", b.notifications},
		{"services", b.services},
		{"problems", b.problems},
		{"updates", b.updates},
		{"log file", b.logFile},
	}
}

// run keeps the parts running until ctx ends, and waits for them; the watchdog
// watches over that, too.
func (b *board) run(ctx context.Context) {
	ended := make(chan struct{})
	var all, last sync.WaitGroup
	last.Go(func() {
		b.keep(ctx, part{"watchdog", func(ctx context.Context) error { return b.watchdog(ctx, ended) }})
	})
	for _, p := range b.parts() {
		all.Go(func() { b.keep(ctx, p) })
	}
	all.Wait()
	close(ended)
	last.Wait()
}

func (b *board) keep(ctx context.Context, p part) {
	for pause := time.Second; ctx.Err() == nil; {
		begin := time.Now()
		err := p.run(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(begin) > time.Minute {
			pause = time.Second
		}
		b.logf("%s ended: %v; again in %v", p.name, err, pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, time.Minute)
	}
}

// restart ends the machine in order and starts it again; how is what the
// firmware is told, "0 tryboot" for a trial of the other slot. The first
// caller decides. It returns at once.
func (b *board) restart(how string) {
	b.ending.Lock()
	defer b.ending.Unlock()
	if b.ending.how == "" {
		b.ending.how = how
		b.ending.stop()
	}
}

// end stops the machine: what is left of it cannot fail usefully.
func (b *board) end() {
	b.ending.Lock()
	how := b.ending.how
	b.ending.Unlock()
	b.logf("restarting %s", how)
	unix.Sync()
	if err := unix.Unmount(dataDir, 0); err != nil { // somebody has a file open there: at least nothing changes any more
		unix.Mount("", dataDir, "", unix.MS_REMOUNT|unix.MS_RDONLY, "")
	}
	unix.Sync()
	if how == "" {
		unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
	}
	word, err := unix.BytePtrFromString(how)
	if err == nil {
		unix.Syscall6(unix.SYS_REBOOT, unix.LINUX_REBOOT_MAGIC1, unix.LINUX_REBOOT_MAGIC2, unix.LINUX_REBOOT_CMD_RESTART2, uintptr(unsafe.Pointer(word)), 0, 0)
	}
	unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
}
