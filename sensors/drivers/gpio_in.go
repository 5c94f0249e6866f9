package drivers

import (
	"context"
	"fmt"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

func init() {
	register("gpio_in", sensors.DriverSpec{
		Doc:     "A GPIO input: contacts, buttons, motion detectors. Publishes ON and OFF at every edge.",
		Options: func() any { return &gpioInOptions{Bias: "as_is"} },
		New: func(options any, entities map[string]any) (sensors.Driver, error) {
			return newGPIOIn(*options.(*gpioInOptions), entities)
		},
	})
}

type gpioInOptions struct {
	Line      lineRef       `yaml:"line" doc:"the line: GPIO17, or {chip: gpiochip0, offset: 17}" req:"1"`
	Bias      string        `yaml:"bias" doc:"resistor of the controller" enum:"as_is|disabled|pull_up|pull_down"`
	ActiveLow bool          `yaml:"active_low" doc:"ON is the low level"`
	Debounce  time.Duration `yaml:"debounce" doc:"time that the level must be stable, kept by the kernel"`
	Entity    string        `yaml:"entity" doc:"name of the entity, input when it is not given"`
}

// Validate reports what no line can be.
func (o *gpioInOptions) Validate(report func(path, msg string)) {
	checkBias(report, o.Bias)
	checkDebounce(report, o.Debounce)
	checkEntity(report, "entity", o.Entity)
}

// gpioIn publishes the level of one line. Its Read waits for edges.
type gpioIn struct {
	o      gpioInOptions
	entity string

	line sensors.Line
	told bool // the level at Open was returned
	edges
}

var _ sensors.Pusher = (*gpioIn)(nil)

func newGPIOIn(o gpioInOptions, entities map[string]any) (*gpioIn, error) {
	if err := validated(&o); err != nil {
		return nil, err
	}
	if err := validated(&o.Line); err != nil {
		return nil, fmt.Errorf("line: %w", err)
	}
	entity, err := oneEntity(o.Entity, "input", entities)
	if err != nil {
		return nil, err
	}
	return &gpioIn{o: o, entity: entity}, nil
}

// Open implements sensors.Driver.
func (d *gpioIn) Open(_ context.Context, b sensors.Buses) error {
	r := d.o.Line.request()
	r.ActiveLow, r.Bias, r.Debounce, r.Edges = d.o.ActiveLow, biasOf(d.o.Bias), d.o.Debounce, sensors.BothEdges
	line, err := b.Line(r)
	if err != nil {
		return lineFault(d.o.Line, err)
	}
	d.line, d.told, d.seq = line, false, 0
	return nil
}

// Read implements sensors.Driver: the level first, then one edge a call, with
// the kernel's time of it. It blocks for the next edge until ctx ends; a
// deadline without one gives the level anew, since a controller that was
// unplugged sends no edges either.
func (d *gpioIn) Read(ctx context.Context) ([]sensors.Reading, error) {
	if !d.told {
		// Edges are already queued, so one between request and this look is not
		// lost; at worst it repeats the level.
		level, err := d.level()
		if err != nil {
			return nil, err
		}
		d.told = true
		return []sensors.Reading{level}, nil
	}
	e, err := d.line.Event(ctx)
	if err != nil {
		switch ctx.Err() {
		case nil:
		case context.DeadlineExceeded:
			level, err := d.level()
			if err != nil {
				return nil, err
			}
			return []sensors.Reading{level}, nil
		default:
			return nil, ctx.Err()
		}
		return nil, lineFault(d.o.Line, err)
	}
	list := []sensors.Reading{{Entity: d.entity, Value: e.Active, At: e.At}}
	if d.missed(e.Seq) == 0 {
		return list, nil
	}
	// Between the lost edges the level may have been anything; what it is now
	// is the truth.
	level, err := d.level()
	if err != nil {
		return nil, err
	}
	return append(list, level, sensors.Reading{Entity: lostEvents, Value: d.lost, At: level.At}), nil
}

func (d *gpioIn) level() (sensors.Reading, error) {
	active, err := d.line.Read()
	if err != nil {
		return sensors.Reading{}, lineFault(d.o.Line, err)
	}
	return sensors.Reading{Entity: d.entity, Value: active, At: time.Now()}, nil
}

// OnSilence implements sensors.Pusher: an input that did not change is well.
func (d *gpioIn) OnSilence() error { return nil }

// Close implements sensors.Driver.
func (d *gpioIn) Close() error {
	if d.line == nil {
		return nil
	}
	return d.line.Close()
}
