package sensors

import (
	"cmp"
	"time"
)

func (e *entity) name() string { return e.Entity.Name }

// entity returns the device's entity with this name; it appears with its
// first reading. nil: the name is none, or there are too many.
func (o *owner) entity(name string) *entity {
	for _, e := range o.entities {
		if e.name() == name {
			return e
		}
	}
	if len(o.entities) >= maxEntities || checkName(name, reserved[:]...) != nil {
		return nil
	}
	e, err := o.addEntity(Entity{Name: name})
	if err != nil {
		return nil
	}
	return e
}

// addEntity gives c its pipeline. Values expire stale_after after they were
// read, or later where a throttle keeps their successor back; one that a gate
// keeps from being reported is renewed before it expires.
func (o *owner) addEntity(c Entity) (*entity, error) {
	p, err := NewPipeline(c.Filters...)
	if err != nil {
		return nil, err
	}
	for _, f := range c.Filters {
		keep(f, o.opt.Totals, o.dev.Name+"/"+c.Name)
	}
	hold, stale := p.hold(), o.dev.StaleAfter
	if d, ok := o.dev.Driver.(Paced); ok {
		stale = max(stale, 3*d.Every(c.Name))
	}
	p.gates = append(p.gates, &maxInterval{period: max(hold, stale*2/3)})
	e := &entity{Entity: c, pipe: p, expiry: stale + hold, unit: c.Unit, ref: o.dev.Name + "." + c.Name, lives: stale}
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

func (o *owner) takeOne(r Reading, now time.Time) error {
	e := o.entity(r.Entity)
	if e == nil {
		return faultf(Parse, "%q is no name of an entity", r.Entity)
	}
	if r.At.IsZero() {
		r.At = now
	}
	s, report, err := Sample{}, false, r.Err
	if err == nil {
		s, report, err = e.pipe.Feed(Sample{Value: r.Value, At: r.At}, now)
	}
	if err != nil {
		if e.row++; e.row >= o.dev.FailAfter {
			o.health.Failed[e.name()] = ReasonOf(err)
			o.board.set(e.ref, nil, time.Time{})
		}
		return err
	}
	if e.pipe.through {
		o.board.set(e.ref, e.pipe.newest, now.Add(e.lives))
		o.output(r.Entity).seen(e.pipe.newest, now)
	}
	e.row = 0
	delete(o.health.Failed, e.name())
	e.unit = cmp.Or(e.Unit, r.Unit)
	if report {
		e.value, e.has, e.dirty = s, true, true
	}
	return nil
}
