package drivers

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

func init() {
	register("pulse", sensors.DriverSpec{
		Doc:     "Counts pulses of a GPIO line: meters for water, gas and electricity (S0), rain, wind. Totals outlive the program.",
		Options: func() any { return &pulseOptions{Bias: "as_is", Edge: "rising"} },
		Entity: func() any {
			return &pulseEntity{PerPulse: 1, ZeroAfter: 30 * time.Second, Persist: persist{Every: time.Minute}}
		},
		New: func(options any, entities map[string]any) (sensors.Driver, error) {
			return newPulse(*options.(*pulseOptions), entities)
		},
	})
}

type pulseOptions struct {
	Line      lineRef       `yaml:"line" doc:"the line: GPIO22, or {chip: gpiochip0, offset: 22}" req:"1"`
	Bias      string        `yaml:"bias" doc:"resistor of the controller" enum:"as_is|disabled|pull_up|pull_down"`
	ActiveLow bool          `yaml:"active_low" doc:"rising is from the high to the low level"`
	Debounce  time.Duration `yaml:"debounce" doc:"time that the level must be stable, kept by the kernel"`
	Edge      string        `yaml:"edge" doc:"which edge is a pulse" enum:"rising|falling"`
}

type pulseEntity struct {
	PerPulse  float64       `yaml:"per_pulse" doc:"what one pulse is, as 0.001 of a cubic meter"`
	Per       time.Duration `yaml:"per" doc:"makes the entity a rate: per_pulse in this time, as 1m for liters per minute; a total when it is not given"`
	ZeroAfter time.Duration `yaml:"zero_after" doc:"rates: time without a pulse after which the rate is 0"`
	Persist   persist       `yaml:"persist" doc:"totals: how soon a pulse is kept for the next start"`
	Settable  bool          `yaml:"settable" doc:"totals: a number on .../set is the new total, as read off the meter"`
}

type persist struct {
	Every  time.Duration `yaml:"every" doc:"at most this long after a pulse"`
	Pulses int           `yaml:"pulses" doc:"after this many pulses, if that is sooner; 0 is never"`
}

// Validate reports what no meter can be.
func (o *pulseOptions) Validate(report func(path, msg string)) {
	checkBias(report, o.Bias)
	checkDebounce(report, o.Debounce)
	if o.Edge != string(sensors.Rising) && o.Edge != string(sensors.Falling) {
		report("edge", fmt.Sprintf("%q is not rising or falling", o.Edge))
	}
}

// Validate reports what no total and no rate can be.
func (e *pulseEntity) Validate(report func(path, msg string)) {
	switch {
	case e.PerPulse <= 0:
		report("per_pulse", "is not more than 0")
	case e.Per < 0:
		report("per", "is negative")
	case e.Per > 0 && e.ZeroAfter <= 0:
		report("zero_after", "is missing, as 30s")
	case e.Per > 0 && e.Settable:
		report("settable", "is for totals: a rate is measured")
	case e.Persist.Every <= 0 || e.Persist.Pulses < 0:
		report("persist", "wants {every: 1m, pulses: 100}, of which pulses may be missing")
	}
}

// pulse publishes what it counted at most this often.
const pulseReport = time.Second

// pulse counts edges of one line. Its Read waits for them.
type pulse struct {
	o    pulseOptions
	line sensors.Line
	edges
	told      bool  // the totals at Open were returned
	published int64 // lost edges

	meter meter
}

var (
	_ sensors.Pusher  = (*pulse)(nil)
	_ sensors.Keeper  = (*pulse)(nil)
	_ sensors.Counter = (*pulse)(nil)
)

func newPulse(o pulseOptions, entities map[string]any) (sensors.Driver, error) {
	if err := validated(&o); err != nil {
		return nil, err
	}
	if err := validated(&o.Line); err != nil {
		return nil, fmt.Errorf("line: %w", err)
	}
	if len(entities) == 0 {
		entities = map[string]any{"total": nil}
	}
	d := &pulse{o: o}
	settable := false
	for _, name := range slices.Sorted(maps.Keys(entities)) {
		e, ok := entities[name].(*pulseEntity)
		if !ok {
			e = &pulseEntity{PerPulse: 1, Persist: persist{Every: time.Minute}}
		}
		if err := validated(e); err != nil {
			return nil, fmt.Errorf("entities.%s.%w", name, err)
		}
		if e.Per > 0 {
			d.meter.rates = append(d.meter.rates, rate{entity: name, pulseEntity: *e})
		} else {
			d.meter.totals = append(d.meter.totals, total{entity: name, pulseEntity: *e})
		}
		settable = settable || e.Settable
	}
	if settable {
		return &settablePulse{d}, nil
	}
	return d, nil
}

// Counts implements sensors.Counter. A total that people set may fall.
func (d *pulse) Counts(entity string) bool {
	return slices.ContainsFunc(d.meter.totals, func(t total) bool { return t.entity == entity && !t.Settable && t.PerPulse > 0 })
}

// Keep implements sensors.Keeper.
func (d *pulse) Keep(t sensors.Totals) { d.meter.kept = t }

// Open implements sensors.Driver.
func (d *pulse) Open(_ context.Context, b sensors.Buses) error {
	r := d.o.Line.request()
	r.ActiveLow, r.Bias, r.Debounce, r.Edges = d.o.ActiveLow, biasOf(d.o.Bias), d.o.Debounce, sensors.Edges(d.o.Edge)
	line, err := b.Line(r)
	if err != nil {
		return lineFault(d.o.Line, err)
	}
	d.line, d.told, d.seq = line, false, 0
	d.meter.open(time.Now())
	return nil
}

// Read implements sensors.Driver: the totals first, then what pulses changed,
// once a second at most, and rates that became 0. It blocks for that until ctx
// ends; pulses counted by then are in what the next Read returns.
func (d *pulse) Read(ctx context.Context) ([]sensors.Reading, error) {
	if !d.told {
		d.told = true
		if list := d.meter.report(time.Now()); len(list) > 0 {
			return list, nil
		}
	}
	for {
		now := time.Now()
		d.meter.save(now, false)
		if list := d.meter.due(now); len(list) > 0 {
			if d.lost > d.published {
				list = append(list, sensors.Reading{Entity: lostEvents, Value: d.lost, At: now})
				d.published = d.lost
			}
			return list, nil
		}
		window, cancel := context.WithDeadline(ctx, d.meter.wake(now))
		err := d.collect(window)
		ended := window.Err() != nil
		cancel()
		switch {
		case ctx.Err() == context.DeadlineExceeded:
			// A controller that was unplugged sends no edges either.
			if _, gone := d.line.Read(); gone != nil {
				return nil, lineFault(d.o.Line, gone)
			}
			return nil, ctx.Err()
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil && !ended:
			return nil, lineFault(d.o.Line, err)
		}
	}
}

// collect counts pulses until ctx ends; the first after a report alone, since
// it says when the next report is due.
func (d *pulse) collect(ctx context.Context) error {
	for {
		e, err := d.line.Event(ctx)
		if err != nil {
			return err
		}
		// The kernel numbers the edges: those it could not keep are pulses too.
		if first := d.meter.count(1+d.missed(e.Seq), e.At); first {
			return nil
		}
	}
}

// OnSilence implements sensors.Pusher: a meter may stand still.
func (d *pulse) OnSilence() error { return nil }

// Close implements sensors.Driver.
func (d *pulse) Close() error {
	d.meter.save(time.Now(), true)
	if d.line == nil {
		return nil
	}
	return d.line.Close()
}

// settablePulse is a pulse with totals that can be set.
type settablePulse struct{ *pulse }

var _ sensors.Commander = settablePulse{}

// Do implements sensors.Commander.
func (d settablePulse) Do(_ context.Context, entity string, payload []byte) ([]sensors.Reading, error) {
	return d.meter.set(entity, string(payload), time.Now())
}

// Stop implements sensors.Commander: there is nothing to switch off.
func (d settablePulse) Stop(context.Context) error { return nil }
