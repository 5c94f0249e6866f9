package drivers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/serial/modbus"
)

// A unit may take a moment until a register shows what was written.
const (
	readBackTries = 3
	readBackPause = 100 * time.Millisecond
)

// Do implements sensors.Commander. With verify: readback it returns what the
// unit has afterwards, and fails when that is not what was asked for.
func (d *modbusUnit) Do(ctx context.Context, entity string, payload []byte) ([]sensors.Reading, error) {
	r := d.register(entity)
	if r == nil || r.writable() == nil {
		return nil, fmt.Errorf("%q takes no commands", entity)
	}
	want, toggle, err := r.command(payload)
	if err != nil {
		return nil, err
	}
	mask := r.mask()
	if toggle {
		now, err := d.ask(ctx, r.span)
		if err != nil {
			return nil, err
		}
		want[0] = ^now[0] & mask
	}
	err = d.write(ctx, r, want, mask)
	switch {
	case r.Verify != "none" && (err == nil || damaged(err) || errors.Is(err, modbus.ErrTimeout) || errors.Is(err, modbus.ErrLate)):
		// A write whose answer was lost may have been carried out: what the unit
		// has now is the truth.
		return d.confirm(ctx, r, want, mask)
	case err != nil:
		return nil, modbusFault(err)
	}
	return nil, nil
}

// mask is the bits of its first word that belong to the value.
func (r *modbusValue) mask() uint16 {
	if r.span.Table.Bits() {
		return 1
	}
	return r.format.Mask()
}

// write writes the words; of a register that holds other values too, the bits
// of the mask only.
func (d *modbusUnit) write(ctx context.Context, r *modbusValue, want []uint16, mask uint16) error {
	unit, many := byte(d.o.Unit), r.Write == "multiple"
	if r.span.Table.Bits() || mask == 0xFFFF {
		return d.master.Write(ctx, unit, r.span.Table, r.span.Address, want, many)
	}
	if !d.noMask {
		err := d.master.Mask(ctx, unit, r.span.Address, ^mask, want[0])
		if !errors.Is(err, modbus.IllegalFunction) {
			return err
		}
		d.noMask = true
	}
	// The unit may change its own bits in between: function 16 is there for
	// that, and this unit does not have it.
	now := d.words[:1]
	if err := d.master.Read(ctx, unit, r.span.Table, r.span.Address, now); err != nil {
		return err
	}
	now[0] = now[0]&^mask | want[0]
	return d.master.Write(ctx, unit, r.span.Table, r.span.Address, now, many)
}

// confirm reads back until the unit has what was written.
func (d *modbusUnit) confirm(ctx context.Context, r *modbusValue, want []uint16, mask uint16) ([]sensors.Reading, error) {
	for try := 1; ; try++ {
		words, err := d.ask(ctx, r.span)
		if err != nil {
			return nil, err
		}
		same := words[0]&mask == want[0]
		for i := 1; i < len(want); i++ {
			same = same && words[i] == want[i]
		}
		reading := r.reading(words, time.Now())
		switch {
		case same:
			return []sensors.Reading{reading}, nil
		case try == readBackTries:
			return []sensors.Reading{reading}, fmt.Errorf("the unit has %v after the write", reading.Value)
		}
		if err := pause(ctx, readBackPause); err != nil {
			return nil, err
		}
	}
}

// Stop implements sensors.Commander: it carries out every on_stop.
func (d *modbusUnit) Stop(ctx context.Context) error {
	var all []error
	for _, r := range d.registers {
		if r.OnStop != "" {
			_, err := d.Do(ctx, r.name, []byte(r.OnStop))
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

// Inherit implements sensors.Heir: a unit whose outputs with an on_stop are all
// there still is left as it is.
func (d *modbusUnit) Inherit(old sensors.Driver) bool {
	was, ok := old.(*modbusUnit)
	return ok && was.o.Bus == d.o.Bus && was.o.Unit == d.o.Unit && !slices.ContainsFunc(was.registers, func(r *modbusValue) bool {
		return r.OnStop != "" && !slices.ContainsFunc(d.registers, func(n *modbusValue) bool {
			return n.name == r.name && n.span == r.span && n.OnStop != "" && n.writable() != nil
		})
	})
}

// obeys is what the output obeys. Bits rest at OFF, numbers at on_stop.
func (r *modbusValue) obeys() sensors.Safety {
	s := r.Safety
	s.Entity, s.Path = r.name, "."
	s.Off, s.Timed = r.OnStop, r.format.Type == "bit"
	if s.Timed {
		s.Off = "OFF"
	}
	return s
}

// checkSafety reports what no output can obey.
func (r *modbusValue) checkSafety(report func(path, msg string)) {
	s := r.obeys()
	switch {
	case r.Safety == (sensors.Safety{}):
	case r.writable() == nil:
		report("writable", "is missing: what cannot be written obeys nothing")
	case s.MaxOn != 0 && !s.Timed:
		report("max_on", "is for type bit: a number is neither on nor off")
	default:
		var states []string
		if s.Timed {
			states = []string{"active", "inactive"}
		} else if _, _, err := r.command([]byte(s.Failsafe.State)); err != nil && s.Failsafe.State != "" {
			report("failsafe.state", err.Error())
		}
		s.Check(report, states...)
	}
}

// Outputs implements sensors.Guarded.
func (d *modbusUnit) Outputs() (all []sensors.Safety) {
	for _, r := range d.registers {
		if r.writable() != nil {
			all = append(all, r.obeys())
		}
	}
	return all
}
