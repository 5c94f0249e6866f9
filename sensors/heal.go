package sensors

import (
	"context"
	"fmt"
	"time"
)

// Recoverer is Buses that can free a bus which a chip or its controller holds.
type Recoverer interface {
	// Recover frees the bus with this id. It blocks for a moment; beside a
	// transfer that hangs it may be called too. tried is false where the bus has
	// no way.
	Recover(ctx context.Context, id string) (tried bool, err error)
}

// Power is the GPIO line that supplies a device. It is active for as long as
// the device is wanted, but for the time of a power cycle.
type Power struct {
	Line   LineOptions
	Off    time.Duration // how long the supply is off; 0 is 2 s
	Settle time.Duration // how long the device takes to start; 0 is 1 s
}

// remedy is a step of the ladder: first every interval is tried again, then the
// device is opened anew, its bus recovered, its supply cycled.
type remedy uint8

const (
	reopened remedy = iota
	recovered
	powerCycled
)

// The ladder has this many rungs; a device that stays away is opened anew
// on most of them, so that others on its bus have peace.
const rungs = 8

// ladder is how far a device that fails has come, and what is due before it is
// opened.
type ladder struct {
	rung   int // steps since the last good reading
	remedy remedy
}

// climb takes the next rung for a device that failed with err; its supply can
// be cut if it is powered.
func (l *ladder) climb(err error, powered bool) {
	switch r := ReasonOf(err); r {
	case Unplugged, NotFound, Permission, Busy, Panic, Parse, Exited, Shutdown, Paused:
		return // no clock and no supply changes that
	case Hung:
		l.rung = max(l.rung, 1) // opening waits for it
	}
	l.rung++
	switch l.remedy = reopened; l.rung % rungs {
	case 2:
		l.remedy = recovered
	case 3:
		if powered {
			l.remedy = powerCycled
		}
	}
}

// apply begins the remedy that is due; false: there is none but opening.
func (o *owner) apply(ctx context.Context) bool {
	step, wire, limit := o.ladder.remedy, o.freed, o.dev.Timeout
	var m method
	switch {
	case step == recovered:
		b, ok := o.opt.Buses.(Recoverer)
		d, onBus := o.dev.Driver.(BusUser)
		if !ok || !onBus || d.Bus() == "" {
			return false
		}
		m = func(ctx context.Context) ([]Reading, error) {
			tried, err := b.Recover(ctx, d.Bus())
			if !tried {
				return nil, errNoRemedy
			}
			return nil, err
		}
	case step == powerCycled:
		wire, limit = nil, limit+o.supply.power.times()
		m = func(ctx context.Context) ([]Reading, error) { return nil, o.supply.cycle(ctx, o.opt.Buses) }
	default:
		return false
	}
	if o.hung {
		wire = nil // who has it may be waiting for this
	}
	c := o.begin(ctx, healing, limit, wire, m)
	c.step = step
	if o.hung {
		o.aside = c
	} else {
		o.call = c
	}
	return true
}

var errNoRemedy = fmt.Errorf("the bus has no way to be recovered")

// healed counts a step of the ladder that was taken.
func (o *owner) healed(c *call, err error) {
	switch {
	case err == errNoRemedy:
		return
	case err != nil:
		o.log().Warn("not healed", "err", err)
		return
	case c.step == recovered:
		o.health.Recovered++
	default:
		o.health.PowerCycled++
	}
	o.log().Warn("healing", "bus_recovered", o.health.Recovered, "power_cycled", o.health.PowerCycled)
}

func (p *Power) times() time.Duration { return p.Off + p.Settle }

// supply is the line of a device's Power. It belongs to the calls that open and
// heal.
type supply struct {
	power *Power // nil: none
	line  Line   // nil: not claimed yet
}

// switchOn claims the line, active, if that has not happened.
func (s *supply) switchOn(b Buses) (err error) {
	if s.power == nil || s.line != nil {
		return nil
	}
	r := s.power.Line
	r.Output, r.Initial, r.Consumer = true, true, "dunlin"
	s.line, err = b.Line(r)
	return err
}

// cycle takes the supply away for a while.
func (s *supply) cycle(ctx context.Context, b Buses) error {
	err := s.switchOn(b)
	for _, on := range []bool{false, true} {
		if err == nil {
			err = s.line.Write(on)
		}
		d := s.power.Off
		if on {
			d = s.power.Settle
		}
		select {
		case <-time.After(d):
		case <-ctx.Done(): // the supply must come back
		}
	}
	return err
}

// close gives the line back.
func (s *supply) close() error {
	if s.line == nil {
		return nil
	}
	return s.line.Close()
}
