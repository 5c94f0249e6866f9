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
// is offline and brings its outputs to their on_stop state, unless the device of
// its name that starts goes on with them. With an error,
// nothing has changed. It waits for the devices to stop: each at most for the
// deadline of its outputs. One Change runs at a time.
func (m *Manager) Change(stop []string, start []Device) error {
	var leave, stay []*owner
	m.state.Lock()
	for _, o := range m.state.owners {
		if slices.Contains(stop, o.dev.Name) {
			leave = append(leave, o)
		} else {
			stay = append(stay, o)
		}
	}
	ctx := m.state.ctx
	come, err := m.employ(start, stay)
	if err == nil {
		m.state.owners = stay
	}
	if ctx != nil { // Run waits for those that leave
		m.state.done.Add(1)
		defer m.state.done.Done()
	}
	m.state.Unlock()
	if err != nil {
		return err
	}
	for _, o := range leave {
		if i := slices.IndexFunc(come, func(c *owner) bool { return c.dev.Name == o.dev.Name }); i >= 0 {
			o.heir = come[i]
		}
		o.ends()
	}
	if ctx != nil {
		m.sweep(ctx, stay, come) // nothing is left of a device that is gone
	}
	m.state.Lock()
	m.state.owners = slices.Concat(stay, come)
	ctx, own := m.state.ctx, m.state.own
	if ctx != nil { // else Run will start them, or has ended
		for i, o := range come {
			o.begins(ctx, startsAfter(i))
		}
	}
	m.state.Unlock()
	if ctx != nil {
		m.hearCommands(ctx, own)
	}
	return nil
}
