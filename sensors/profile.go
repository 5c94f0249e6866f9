package sensors

import (
	"maps"
	"slices"
	"time"
)

// Control is what an output takes on .../{entity}/set.
type Control struct {
	// Platform is switch (ON, OFF), number, text or button (anything).
	Platform string
	// Min and Max bound a number. Step is the distance between its values, 0
	// for any.
	Min, Max, Step float64
}

// Controller is a Commander that says what its outputs take, so that they can
// be announced. Controls may be called at any time.
type Controller interface {
	Commander
	// Controls are the outputs by entity.
	Controls() map[string]Control
}

// Profile is what a device has at one moment, for those who describe it to
// others.
type Profile struct {
	Device   string
	Model    string // of the configuration: the driver
	Topic    string // above the device's own topics
	Payload  Payload
	Interval time.Duration
	Features []Feature
}

// Feature is one entity of a Profile.
type Feature struct {
	Name        string
	Unit        string
	DeviceClass string // as configured
	StateClass  string // likewise, or what the driver says of it
	Category    string
	Listed      bool // the configuration names it
	// Value is the newest one, a float64, int64, uint64, bool or string; nil: there is
	// none yet, but the entity takes commands.
	Value any
	At    time.Time // of Value
	// Expiry is the Message Expiry Interval of values.
	Expiry  time.Duration
	Control *Control // nil: it takes no commands
}

// profile describes the device as it is now: entities that have a value, and
// outputs that have none.
func (o *owner) profile() *Profile {
	p := &Profile{Device: o.dev.Name, Model: o.dev.Model, Topic: o.topics.device, Payload: o.dev.Payload, Interval: o.dev.Interval}
	controls := o.controls()
	for i, e := range o.entities {
		f := o.feature(e)
		if i == 0 && f.DeviceClass == "" && f.StateClass == "" {
			f.DeviceClass, f.StateClass = o.dev.DeviceClass, o.dev.StateClass
		}
		if f.StateClass == "" && o.counts(e) {
			f.StateClass = "total_increasing"
		}
		if c, ok := controls[f.Name]; ok {
			f.Control = &c
			delete(controls, f.Name)
		}
		if f.Value != nil || f.Control != nil {
			p.Features = append(p.Features, f)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(controls)) {
		c := controls[name]
		p.Features = append(p.Features, Feature{Name: name, Listed: true, Control: &c})
	}
	return p
}

// counts reports whether the entity only grows; of what is made of several
// readings (an average, a derivative) nobody knows.
func (o *owner) counts(e *entity) bool {
	c, ok := o.dev.Driver.(Counter)
	return ok && c.Counts(e.name) && !slices.ContainsFunc(e.pipe.steps, func(s Step) bool { return s.Stage() == Smooth })
}

// controls are the device's outputs by entity, the caller's own.
func (o *owner) controls() map[string]Control {
	if c, ok := o.dev.Driver.(Controller); ok {
		return maps.Clone(c.Controls())
	}
	return map[string]Control{}
}

func (o *owner) feature(e *entity) Feature {
	f := Feature{Name: e.name, Unit: e.unit, DeviceClass: e.conf.DeviceClass, StateClass: e.conf.StateClass, Category: e.conf.Category, Listed: e.conf != &unlisted, Expiry: e.expires}
	if e.has {
		f.Value, f.At = e.value().Value, e.value().At
	}
	return f
}
