package sensors

import (
	"context"
	"slices"
	"time"
)

// startsAfter is when the nth device of many starts. What devices do at the same
// moment they do at every interval, and the most that happens at one moment is
// what the program needs memory for; but every moment costs a wake-up of the
// processor. So a few start together.
func startsAfter(n int) time.Duration { return time.Duration(n/16) * 10 * time.Millisecond }

// start runs an owner until Run or the owner itself is stopped; the caller
// holds the lock and Run lasts.
func (m *Manager) start(o *owner, after time.Duration) {
	ctx, cancel := context.WithCancel(m.crew.ctx)
	ended := make(chan struct{})
	o.dismiss = func() { cancel(); <-ended }
	m.crew.done.Add(1)
	o.begins(ctx, after)
	context.AfterFunc(ctx, func() {
		defer m.crew.done.Done()
		defer close(ended)
		o.ends()
	})
}

// Change stops the devices that are named and then starts others, which may
// have the same names; the rest is not touched. A device that is stopped
// brings its outputs to their on_stop state and is offline. With an error,
// nothing has changed. It waits for the devices to stop: each at most for the
// deadline of its outputs. One Change runs at a time.
func (m *Manager) Change(stop []string, start []Device) error {
	var leave []func()
	var stay []*owner
	m.crew.Lock()
	for _, o := range m.crew.owners {
		switch {
		case !slices.Contains(stop, o.dev.Name):
			stay = append(stay, o)
		case o.dismiss != nil:
			leave = append(leave, o.dismiss)
		}
	}
	ctx := m.crew.ctx
	come, err := m.employ(start, stay)
	if err == nil {
		m.crew.owners = stay
	}
	m.crew.Unlock()
	if err != nil {
		return err
	}
	for _, dismiss := range leave {
		dismiss()
	}
	if ctx != nil {
		m.sweep(ctx, slices.Concat(stay, come)) // nothing is left of a device that is gone
	}
	m.crew.Lock()
	defer m.crew.Unlock()
	m.crew.owners = slices.Concat(stay, come)
	if m.crew.ctx == nil {
		return nil // Run will start them, or has ended
	}
	for i, o := range come {
		m.start(o, startsAfter(i))
	}
	return nil
}
