package drivers

import "github.com/dunlin-mqtt/dunlin/sensors"

// What the outputs of each driver take, for whoever announces them.
var (
	_ sensors.Controller = (*gpioOut)(nil)
	_ sensors.Controller = (*sim)(nil)
	_ sensors.Controller = (*modbusUnit)(nil)
	_ sensors.Controller = (*lines)(nil)
	_ sensors.Controller = framePusher{}
	_ sensors.Controller = framePoller{}
	_ sensors.Controller = settablePulse{}
)

// Controls implements sensors.Controller.
func (d *gpioOut) Controls() map[string]sensors.Control {
	return map[string]sensors.Control{d.entity: {Platform: "switch"}}
}

// Controls implements sensors.Controller.
func (s *sim) Controls() map[string]sensors.Control {
	all := map[string]sensors.Control{}
	for _, e := range s.signals {
		if e.Signal == "output" {
			all[e.name] = sensors.Control{Platform: "switch"}
		}
	}
	return all
}

// unbounded stands for a bound that a number does not have.
const unbounded = 1e9

// Controls implements sensors.Controller.
func (d *modbusUnit) Controls() map[string]sensors.Control {
	all := map[string]sensors.Control{}
	for _, r := range d.registers {
		w := r.writable()
		if w == nil {
			continue
		}
		c := sensors.Control{Platform: "number", Min: -unbounded, Max: unbounded, Step: w.Step}
		switch r.format.Type {
		case "bit":
			c.Platform = "switch"
		case "string":
			c.Platform = "text"
		}
		if w.Min != nil {
			c.Min = *w.Min
		}
		if w.Max != nil {
			c.Max = *w.Max
		}
		all[r.name] = c
	}
	return all
}

// Controls implements sensors.Controller.
func (k *talking) Controls() map[string]sensors.Control {
	all := map[string]sensors.Control{}
	for name, c := range k.commands {
		all[name] = sensors.Control{Platform: c.platform, Min: -unbounded, Max: unbounded}
	}
	return all
}

// Controls implements sensors.Controller: totals as read off the meter.
func (d settablePulse) Controls() map[string]sensors.Control {
	all := map[string]sensors.Control{}
	for i := range d.meter.totals {
		if t := &d.meter.totals[i]; t.Settable {
			all[t.entity] = sensors.Control{Platform: "number", Max: unbounded}
		}
	}
	return all
}
