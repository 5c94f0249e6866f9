package sensors

import (
	"context"
	"time"
)

// stop is the clean end: outputs to their on_stop state, the reason, then the
// end of the session with its will, then the hardware.
func (o *owner) stop(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	o.refuseWaiting(ctx, faultf(Shutdown, "the gateway stops"))
	free := o.abandon()
	if free && o.opened && o.commander != nil && !o.inherited() {
		c := newCall(ctx, commanding, stopLimit, o.bus, func(ctx context.Context) ([]Reading, error) {
			return nil, o.commander.Stop(ctx)
		})
		go c.run()
		var out outcome
		if out, free = await(c); out.err != nil {
			o.log().Error("outputs not brought to on_stop", "err", out.err)
		}
	}
	o.goodbye(ctx)
	if free {
		c := newCall(ctx, closing, o.dev.Timeout, nil, closer(o.dev.Driver))
		go c.run()
		_, free = await(c)
	}
	if free {
		if err := o.supply.close(); err != nil {
			o.log().Warn("power line not given back", "err", err)
		}
	}
	if !free {
		o.log().Error("a driver call never returned", "reason", string(Hung))
	}
	o.publishStatus()
}

// abandon ends the calls on their way; false when one does not return.
func (o *owner) abandon() (free bool) {
	free = true
	for _, c := range []*call{o.call, o.aside} {
		if c == nil {
			continue
		}
		c.cancel()
		c.limit = time.Now()
		if _, ok := await(c); !ok {
			free = false
		}
	}
	o.call, o.aside = nil, nil
	return free
}

// await waits for a call's outcome until it counts as hung.
func await(c *call) (out outcome, ok bool) {
	timer := time.NewTimer(time.Until(c.limit.Add(grace)))
	defer timer.Stop()
	select {
	case out = <-c.done:
		return out, true
	case <-timer.C:
		c.cancel()
		return outcome{}, false
	}
}

// goodbye says offline with the reason shutdown. A device inside its will's
// delay attaches once more, so that the truth does not wait for the delay.
func (o *owner) goodbye(ctx context.Context) {
	for _, e := range o.entities {
		o.values.set(e.slot, nil, time.Time{})
	}
	o.inbox.open(nil)
	if o.session == nil && o.said && !o.aborted.IsZero() {
		s, err := o.opt.Attach("dev:"+o.dev.Name, o.will, nil)
		if err != nil {
			o.log().Warn("no session", "err", err)
			return
		}
		o.session = s
	}
	o.health.become(Offline, Shutdown, time.Now())
	o.publishHealth(ctx)
	o.forget(ctx)
	if o.session == nil {
		return // the will is out
	}
	if err := o.session.DisconnectWithWill(); err != nil {
		o.log().Warn("session not ended", "err", err)
	}
	o.session = nil
}
