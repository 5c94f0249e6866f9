package main

import (
	"context"
	"sync"
	"time"

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
		{"gateway", b.gateway},
		{"network", b.network},
	}
}

// run keeps the parts running until ctx ends, and waits for them.
func (b *board) run(ctx context.Context) {
	var all sync.WaitGroup
	for _, p := range b.parts() {
		all.Go(func() { b.keep(ctx, p) })
	}
	all.Wait()
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

// end stops the machine in order: what is left of it cannot fail usefully.
func (b *board) end() {
	b.logf("restarting")
	unix.Sync()
	unix.Unmount(dataDir, unix.MNT_DETACH)
	unix.Sync()
	unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
}
