package sensors

import (
	"cmp"
	"context"
	"errors"
	"time"
)

// entity returns the device's entity with this name; it appears with its
// first reading. nil: the name is none, or there are too many.
func (o *owner) entity(name string) *entity {
	for _, e := range o.entities {
		if e.name == name {
			return e
		}
	}
	if len(o.entities) >= maxEntities || checkName(name, reserved[:]...) != nil {
		return nil
	}
	e, err := o.addEntity(name, &unlisted)
	if err != nil {
		return nil
	}
	return e
}

// addEntity gives c its pipeline. Values expire stale_after after they were
// read, or later where a throttle keeps their successor back or a window
// gathers readings for it; one that a gate keeps from being reported is renewed
// before it expires.
func (o *owner) addEntity(name string, c *Entity) (*entity, error) {
	e := &entity{name: name, conf: c, topic: o.topics.value(name), unit: c.Unit}
	if err := e.pipe.fill(c.Filters); err != nil {
		return nil, err
	}
	for _, f := range c.Filters {
		keep(f, o.opt.Totals, o.dev.Name+"/"+name)
	}
	hold, stale, pace := e.pipe.hold(), o.dev.StaleAfter, o.dev.Interval
	if d, ok := o.dev.Driver.(Paced); ok {
		pace = max(pace, d.Every(name))
		stale = max(stale, 3*d.Every(name))
	}
	// A reading that may be the last before the value expires is reported.
	e.pipe.renew = stale * 2 / 3
	if o.pusher == nil {
		e.pipe.renew = min(e.pipe.renew, stale-pace*5/4)
	} else {
		pace = stale // at most
	}
	e.pipe.renew = max(e.pipe.renew, hold)
	e.lives, e.expires = stale, stale+e.pipe.gathers(pace)+hold
	e.slot = o.values.place(o.dev.Name + "." + name)
	o.entities = append(o.entities, e)
	return e, nil
}

// take passes readings through their pipelines. It returns how many were
// valid, and the first rejection.
func (o *owner) take(readings []Reading, now time.Time) (good int, rejected error) {
	for _, r := range readings {
		err := o.takeOne(r, now)
		if err == nil {
			good++
		}
		if err == nil || err == errDisabled {
			continue
		}
		o.health.count(err)
		if rejected == nil {
			rejected = err
		}
	}
	return good, rejected
}

// takeAll is take for a reading; of a strict device nothing is valid beside a
// rejection.
func (o *owner) takeAll(readings []Reading, now time.Time) (good int, rejected error) {
	if good, rejected = o.take(readings, now); rejected != nil && o.dev.Strict {
		good = 0
	}
	return good, rejected
}

// errDisabled is a reading that failed and that nobody wants to know of.
var errDisabled = errors.New("disabled")

func (o *owner) takeOne(r Reading, now time.Time) error {
	e := o.entity(r.Entity)
	if e == nil {
		return faultf(Parse, "%q is no name of an entity", r.Entity)
	}
	if e.conf.Disabled && r.Err != nil {
		return errDisabled
	}
	if e.conf.Disabled {
		return nil // it shows that the device answers
	}
	if r.At.IsZero() {
		r.At = now
	}
	report, err := false, r.Err
	if err == nil {
		_, report, err = e.pipe.Feed(Sample{Value: r.Value, At: r.At}, now)
	}
	if err != nil {
		if e.row++; int(e.row) >= o.dev.FailAfter {
			o.health.fails(e.name, ReasonOf(err))
			o.values.set(e.slot, nil, time.Time{})
		}
		return err
	}
	if e.pipe.through {
		o.values.set(e.slot, e.pipe.newest, now.Add(e.lives))
		o.output(r.Entity).seen(e.pipe.newest, now)
	} else {
		o.values.extend(e.slot, now.Add(e.lives)) // the sensor lives, its filters gather
	}
	e.row = 0
	delete(o.health.Failed, e.name)
	e.unit = cmp.Or(e.conf.Unit, r.Unit)
	if report {
		e.has, e.dirty = true, true
	}
	return nil
}

// age withdraws the values of entities of which nothing has been read until
// they were stale, as of a key that a board no longer sends. One that the
// configuration names is missed; others, as counters of what went wrong or what
// an output confirms, come and go.
func (o *owner) age(ctx context.Context, now time.Time) {
	stale := false
	for _, e := range o.entities {
		if !e.has || int(e.row) >= o.dev.FailAfter || now.Before(o.values.until(e.slot)) {
			continue
		}
		stale = true
		e.row = int32(o.dev.FailAfter)
		if e.conf != &unlisted && o.output(e.name) == nil {
			o.health.fails(e.name, NoData)
		}
		o.values.set(e.slot, nil, time.Time{})
	}
	if stale {
		o.reviewEntities(ctx, now)
	}
}
