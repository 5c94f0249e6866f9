package serial

import (
	"context"
	"time"
)

// rescan is how often WaitFor looks. One look at a path is one stat, at a USB
// identity one walk of /sys/class/tty: about a millisecond on small boards.
const rescan = 500 * time.Millisecond

// grace is how many looks WaitFor gives udev to hand a new node to its group.
const grace = 4

// WaitFor blocks until the port that c means is there, or ctx ends; then its
// error is that of ctx. It opens nothing: a nil error says that Open is worth
// trying, not that it will work. A port that exists but may not be opened is
// given two seconds more, because permissions come a moment after the node.
func WaitFor(ctx context.Context, c Config) error {
	tick := time.NewTicker(rescan)
	defer tick.Stop()
	for locked := 0; ; {
		if path, err := Resolve(c); err == nil {
			switch exists, usable := look(path); {
			case usable, exists && locked == grace:
				return nil
			case exists:
				locked++
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
