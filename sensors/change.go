package sensors

import (
	"slices"
	"time"
)

// startsAfter is when the nth device of many starts. What devices do at the same
// moment they do at every interval, and the most that happens at one moment is
// what the program needs memory for; but every moment costs a wake-up of the
// processor. So a few start together.
func startsAfter(n int) time.Duration { return time.Duration(n/16) * 10 * time.Millisecond }

// Change stops the devices that are named and then starts others, which may
// have the same names; the rest is not touched. A device that is stopped
// brings its outputs to their on_stop state and is offline. With an error,
// nothing has changed. It waits for the devices to stop: each at most for the
// deadline of its outputs. One Change runs at a time.
func (m *Manager) Change(stop []string, start []Device) error {
	var leave, stay []*owner
	m.crew.Lock()
	for _, o := range m.crew.owners {
		if slices.Contains(stop, o.dev.Name) {
			leave = append(leave, o)
		} else {
			stay = append(stay, o)
		}
	}
	ctx := m.crew.ctx
	come, err := m.employ(start, stay)
	if err == nil {
		m.crew.owners = stay
	}
	if ctx != nil { // Run waits for those that leave
		m.crew.done.Add(1)
		defer m.crew.done.Done()
	}
	m.crew.Unlock()
	if err != nil {
		return err
	}
	for _, o := range leave {
		o.ends()
	}
	if ctx != nil {
		m.sweep(ctx, slices.Concat(stay, come)) // nothing is left of a device that is gone
	}
	m.crew.Lock()
	m.crew.owners = slices.Concat(stay, come)
	ctx, own := m.crew.ctx, m.crew.own
	if ctx != nil { // else Run will start them, or has ended
		for i, o := range come {
			o.begins(ctx, startsAfter(i))
		}
	}
	m.crew.Unlock()
	if ctx != nil {
		m.hearCommands(ctx, own)
	}
	return nil
}
