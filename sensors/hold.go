package sensors

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// Why Ask refuses.
var (
	ErrNoDevice = errors.New("there is no device of this name")
	ErrGuards   = errors.New("a device with outputs is not paused: its outputs would not be guarded")
)

// Asked is what a person asks of a device.
type Asked byte

// ReadNow reads a device at once, or tries to open it; one that waits for
// events does so already. Pause closes it: it is offline with the reason
// paused until Resume, a changed configuration or a new start.
const (
	ReadNow Asked = iota
	Pause
	Resume
)

// wishes are what a person has asked for.
type wishes struct {
	hold, hurry atomic.Bool // see heed
	held        bool        // the device is paused
}

// Ask passes on what a person asks of a device; it does not wait for it.
func (m *Manager) Ask(name string, what Asked) error {
	m.state.Lock()
	owners := m.state.owners // replaced, never changed
	m.state.Unlock()
	for _, o := range owners {
		if o.dev.Name != name {
			continue
		}
		if what == Pause && len(o.outputs) > 0 {
			return ErrGuards
		}
		if what == ReadNow {
			o.hurry.Store(true)
		} else {
			o.hold.Store(what == Pause)
		}
		o.nudge()
		return nil
	}
	return ErrNoDevice
}

// heed does what a person has asked for.
func (o *owner) heed(ctx context.Context, now time.Time) {
	hold, hurry := o.hold.Load(), o.hurry.Swap(false)
	switch {
	case hold && !o.held:
		o.held = true
		err := faultf(Paused, "paused by a person")
		if o.health.State == Offline {
			o.health.explain(err, now)
			o.health.Error = err.Error()
			o.publishHealth(ctx)
			o.reopen(err, now)
		} else {
			o.down(ctx, err, now)
		}
	case !hold && o.held:
		o.held, hurry = false, true
		o.wait.reset()
	}
	if hurry && o.pusher == nil || hurry && !o.opened {
		o.next = now
	}
}
