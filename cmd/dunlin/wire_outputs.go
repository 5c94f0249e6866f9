package main

import (
	"strings"

	"github.com/dunlin-mqtt/dunlin/config"
	"github.com/dunlin-mqtt/dunlin/sensors"
)

// guardedOutput is one output with a condition.
type guardedOutput struct {
	name    string // device.entity
	path    string // of its condition in the file
	require *sensors.Condition
	free    bool // it can be switched on, sooner or later
}

// checkOutputs reports what interlocks and fail-safes cannot depend on: devices
// that are not there, and outputs that wait for one another.
func checkOutputs(cfg *config.Config, devices []sensors.Device) (errs config.Errors) {
	var outputs []*guardedOutput
	for _, dev := range devices {
		d, ok := dev.Driver.(sensors.Guarded)
		if !ok {
			continue
		}
		for _, s := range d.Outputs() {
			o := &guardedOutput{name: dev.Name + "." + s.Entity}
			if s.Require != "" {
				o.path = outputPath(cfg, dev.Name, &s) + ".require"
				o.require, _ = sensors.ParseCondition(s.Require) // the driver has tried it
				errs = append(errs, checkRefs(cfg, o)...)
			}
			outputs = append(outputs, o)
		}
	}
	return append(errs, checkCircles(cfg, outputs)...)
}

// disabledOutputs reports outputs that would be driven unseen.
func disabledOutputs(cfg *config.Config, entities []config.Entity, driver sensors.Driver) (errs config.Errors) {
	c, ok := driver.(sensors.Controller)
	for _, e := range entities {
		if !e.Disabled || !ok {
			continue
		}
		if _, ok := c.Controls()[e.Name]; ok {
			errs = append(errs, cfg.Errorf(e.Path+".disabled", "take it out of the file", "disabled: %s is an output", e.Name))
		}
	}
	return errs
}

// outputPath is where the options of an output are.
func outputPath(cfg *config.Config, device string, s *sensors.Safety) string {
	for _, d := range cfg.Devices {
		if d.Name != device {
			continue
		}
		for _, e := range d.Entities {
			if s.Path == "." && e.Name == s.Entity {
				return e.Path
			}
		}
		return strings.TrimSuffix(d.Path+"."+s.Path, ".")
	}
	return ""
}

func checkRefs(cfg *config.Config, o *guardedOutput) (errs config.Errors) {
refs:
	for _, ref := range o.require.Refs() {
		for _, d := range cfg.Devices {
			entity, ok := strings.CutPrefix(ref, d.Name+".")
			if !ok {
				continue
			}
			for _, e := range d.Entities {
				if e.Name == entity && e.Disabled {
					errs = append(errs, cfg.Errorf(o.path, "", "require: %s is disabled: this could never hold", ref))
				}
			}
			continue refs
		}
		device, _, _ := strings.Cut(ref, ".")
		errs = append(errs, cfg.Errorf(o.path, "", "require: there is no device %q", device))
	}
	return errs
}

// checkCircles finds outputs that can never be on. From all outputs off, those
// whose condition can hold are switched on until no more can be: what is left
// waits for itself, or for others that wait.
func checkCircles(cfg *config.Config, outputs []*guardedOutput) (errs config.Errors) {
	can := func(ref string, off bool) bool {
		for _, o := range outputs {
			if o.name == ref {
				return off || o.free
			}
		}
		return true
	}
	for more := true; more; {
		more = false
		for _, o := range outputs {
			if !o.free && (o.require == nil || o.require.Possible(can)) {
				o.free, more = true, true
			}
		}
	}
	for _, o := range outputs {
		if !o.free {
			errs = append(errs, cfg.Errorf(o.path, "", "require: goes round in a circle: %s can never be switched on", o.name))
		}
	}
	return errs
}
