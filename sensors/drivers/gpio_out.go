package drivers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

func init() {
	register("gpio_out", sensors.DriverSpec{
		Doc:   "A GPIO output: relays, valves, lamps. Takes ON, OFF, TOGGLE and timed pulses.",
		Moves: true,
		Options: func() any {
			return &gpioOutOptions{Initial: "inactive", OnStop: "inactive", Drive: "push_pull", Bias: "as_is", Verify: "none"}
		},
		New: func(options any, entities map[string]any) (sensors.Driver, error) {
			return newGPIOOut(*options.(*gpioOutOptions), entities)
		},
	})
}

type gpioOutOptions struct {
	Line      lineRef `yaml:"line" doc:"the line: GPIO27, or {chip: gpiochip0, offset: 27}" req:"1"`
	ActiveLow bool    `yaml:"active_low" doc:"ON is the low level, as on most relay boards"`
	Initial   string  `yaml:"initial" doc:"level at start, set in the request that makes the line an output; keep leaves what is an output as it is" enum:"active|inactive|keep"`
	OnStop    string  `yaml:"on_stop" doc:"level at a clean shutdown; keep leaves it as it is" enum:"active|inactive|keep"`
	Drive     string  `yaml:"drive" doc:"how the line is driven" enum:"push_pull|open_drain|open_source"`
	Bias      string  `yaml:"bias" doc:"resistor of the controller" enum:"as_is|disabled|pull_up|pull_down"`
	Verify    string  `yaml:"verify" doc:"a command is confirmed by reading the line back, for controllers that read what is on the wire, or not at all" enum:"readback|none"`
	Entity    string  `yaml:"entity" doc:"name of the entity, output when it is not given"`
	sensors.Safety
}

// Validate reports what no output can be.
func (o *gpioOutOptions) Validate(report func(path, msg string)) {
	oneOf := func(path, got string, allowed ...string) {
		if !slices.Contains(allowed, got) {
			report(path, fmt.Sprintf("%q is not %s", got, strings.Join(allowed, " or ")))
		}
	}
	oneOf("initial", o.Initial, "active", "inactive", "keep")
	oneOf("on_stop", o.OnStop, "active", "inactive", "keep")
	oneOf("verify", o.Verify, "readback", "none")
	oneOf("drive", o.Drive, "push_pull", "open_drain", "open_source")
	checkBias(report, o.Bias)
	checkEntity(report, "entity", o.Entity)
	o.Safety.Check(report, "active", "inactive")
	switch {
	case o.Initial == "inactive":
	case o.Require != "":
		report("initial", o.Initial+" would not ask what is required: start inactive")
	case o.Initial == "keep" && o.Drive != "push_pull":
		report("initial", "keep is for push_pull: what is on another wire may be somebody else's")
	}
}

// gpioOut drives one line. A timer of its own turns the line off after max_on
// or a pulse, whether or not anybody calls Read: what must not stay on does not
// depend on a manager that may be backing off.
type gpioOut struct {
	o      gpioOutOptions
	entity string

	// own is a lock of one slot, because the line is written under it: it
	// guards everything below, against the timer.
	own   chan struct{}
	line  sensors.Line
	on    bool
	since time.Time   // when the line became active
	pulse time.Time   // when on_for ends; zero: none
	off   *time.Timer // runs while the line is active and limited
	// news are levels that Read has not returned yet; one is enough, the
	// newest is the truth.
	news chan sensors.Reading
	// failed is an error of the timer's write, for Read.
	failed error
}

var (
	_ sensors.Guarded   = (*gpioOut)(nil)
	_ sensors.Heir      = (*gpioOut)(nil)
	_ sensors.Immediate = (*gpioOut)(nil)
	_ sensors.Pusher    = (*gpioOut)(nil)
)

func newGPIOOut(o gpioOutOptions, entities map[string]any) (*gpioOut, error) {
	if err := validated(&o); err != nil {
		return nil, err
	}
	if err := validated(&o.Line); err != nil {
		return nil, fmt.Errorf("line: %w", err)
	}
	entity, err := oneEntity(o.Entity, "output", entities)
	if err != nil {
		return nil, err
	}
	return &gpioOut{o: o, entity: entity, own: make(chan struct{}, 1), news: make(chan sensors.Reading, 1)}, nil
}

// lock waits for the slot; the holder writes one line, which is bounded by the
// kernel.
func (d *gpioOut) lock()   { d.own <- struct{}{} }
func (d *gpioOut) unlock() { <-d.own }

// Open implements sensors.Driver. The line becomes an output at its initial
// level in one request: no other level is ever driven.
func (d *gpioOut) Open(_ context.Context, b sensors.Buses) error {
	d.lock()
	defer d.unlock()
	if d.line != nil { // inherited
		pulse := time.Duration(0)
		if !d.pulse.IsZero() {
			pulse = max(time.Until(d.pulse), time.Nanosecond)
		}
		d.changed(d.on, pulse)
		return nil
	}
	r := d.request()
	r.Initial, r.Keep = d.o.Initial == "active", d.o.Initial == "keep"
	line, err := b.Line(r)
	if err != nil {
		return lineFault(d.o.Line, err)
	}
	d.line, d.failed = line, nil
	on := r.Initial
	if r.Keep {
		on, _ = line.Read() // one that does not tell is inactive
	}
	d.changed(on, 0)
	return nil
}

// request is what the wire is to be, but for its level.
func (d *gpioOut) request() sensors.LineOptions {
	r := d.o.Line.request()
	r.Output, r.ActiveLow, r.Bias = true, d.o.ActiveLow, biasOf(d.o.Bias)
	if d.o.Drive != "push_pull" {
		r.Drive = sensors.Drive(d.o.Drive)
	}
	return r
}

// Inherit implements sensors.Heir: a line that stays what it is stays open, with
// its level and the times that limit it.
func (d *gpioOut) Inherit(old sensors.Driver) bool {
	was, ok := old.(*gpioOut)
	if !ok || was.request() != d.request() {
		return false
	}
	was.lock()
	defer was.unlock()
	if was.line == nil {
		return false
	}
	if was.off != nil {
		was.off.Stop()
	}
	d.line, d.on, d.since, d.pulse = was.line, was.on, was.since, was.pulse
	was.line = nil
	return true
}

// changed notes the line's new level and when it ends: after a pulse, if that is
// not 0, and never past max_on after it became active. The slot is held.
func (d *gpioOut) changed(on bool, pulse time.Duration) {
	if d.off != nil {
		d.off.Stop()
		d.off = nil
	}
	now := time.Now()
	if on && !d.on {
		d.since = now
	}
	d.on, d.pulse = on, time.Time{}
	d.tell()
	if !on {
		return
	}
	limit := d.o.MaxOn
	if limit > 0 {
		limit = max(limit-now.Sub(d.since), time.Nanosecond)
	}
	if pulse > 0 {
		d.pulse = now.Add(pulse)
		if limit == 0 || pulse < limit {
			limit = pulse
		}
	}
	if limit > 0 {
		var t *time.Timer
		t = time.AfterFunc(limit, func() { d.expire(&t) })
		d.off = t
	}
}

// tell leaves the level for Read, in place of an older one. The slot is held.
func (d *gpioOut) tell() {
	select {
	case <-d.news:
	default:
	}
	d.news <- d.reading()
}

func (d *gpioOut) reading() sensors.Reading {
	return sensors.Reading{Entity: d.entity, Value: d.on, At: time.Now()}
}

// expire is the timer's end: the line becomes inactive, unless that timer was
// stopped meanwhile.
func (d *gpioOut) expire(t **time.Timer) {
	d.lock()
	defer d.unlock()
	if d.line == nil || d.off == nil || d.off != *t {
		return
	}
	if err := d.line.Write(false); err != nil {
		// The line may still be active. It is tried again, and Read reports the
		// failure, so that the device goes offline.
		d.failed = lineFault(d.o.Line, fmt.Errorf("turn off: %w", err))
		d.tell()
		d.off.Reset(retryOff)
		return
	}
	d.changed(false, 0)
}

// retryOff is how soon turning off is tried again after an error.
const retryOff = time.Second

// Read implements sensors.Driver: it returns the level after Open and whenever
// the driver changed it by itself. It blocks for that until ctx ends, and looks
// then whether the line is there.
func (d *gpioOut) Read(ctx context.Context) ([]sensors.Reading, error) {
	select {
	case r := <-d.news:
		d.lock()
		err := d.failed
		d.failed = nil
		d.unlock()
		if err != nil {
			return nil, err
		}
		return []sensors.Reading{r}, nil
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, cmp.Or(d.gone(), ctx.Err())
		}
		return nil, ctx.Err()
	}
}

// gone is why the line cannot be driven any more, nil while it can: a controller
// that was unplugged says nothing by itself. One that drives outputs only, as a
// shift register does, cannot be read and is there all the same.
func (d *gpioOut) gone() error {
	d.lock()
	defer d.unlock()
	if d.line == nil {
		return nil
	}
	if _, err := d.line.Read(); sensors.ReasonOf(err) == sensors.Unplugged {
		return err
	}
	return nil
}

// OnSilence implements sensors.Pusher: an output that nobody switches is well.
func (d *gpioOut) OnSilence() error { return nil }

// Outputs implements sensors.Guarded. max_on is this driver's own.
func (d *gpioOut) Outputs() []sensors.Safety {
	s := d.o.Safety
	s.Entity, s.Off = d.entity, "OFF"
	return []sensors.Safety{s}
}

// Immediate implements sensors.Immediate: the line has a lock of its own.
func (d *gpioOut) Immediate() {}

// Do implements sensors.Commander.
func (d *gpioOut) Do(ctx context.Context, entity string, payload []byte) ([]sensors.Reading, error) {
	if entity != d.entity {
		return nil, fmt.Errorf("no output is called %q", entity)
	}
	c, err := sensors.ParseSwitch(payload)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d.lock()
	defer d.unlock()
	if d.line == nil {
		return nil, &sensors.Fault{Reason: sensors.NotFound, Err: fmt.Errorf("GPIO line %s is not open", d.o.Line)}
	}
	on := c.On
	if c.Toggle {
		on = !d.on
	}
	if d.o.MaxOn > 0 && c.OnFor > d.o.MaxOn {
		return nil, fmt.Errorf("on_for %v is longer than max_on %v", c.OnFor, d.o.MaxOn)
	}
	if err := d.line.Write(on); err != nil {
		return nil, lineFault(d.o.Line, err)
	}
	d.failed = nil
	d.changed(on, c.OnFor)
	select {
	case <-d.news: // the caller publishes it
	default:
	}
	r := d.reading()
	if d.o.Verify == "readback" {
		return d.verified(r)
	}
	return []sensors.Reading{r}, nil
}

// verified is the level that is on the wire after r was driven; another one is
// held by something else.
func (d *gpioOut) verified(r sensors.Reading) ([]sensors.Reading, error) {
	is, err := d.line.Read()
	if err != nil {
		return nil, lineFault(d.o.Line, err)
	}
	if is != r.Value {
		err = &sensors.Fault{Reason: sensors.ShortCircuit, Err: fmt.Errorf("GPIO line %s does not follow: something else holds it", d.o.Line)}
	}
	r.Value = is
	return []sensors.Reading{r}, err
}

// Stop implements sensors.Commander: the line takes its on_stop level, until
// Close gives it back to the kernel.
func (d *gpioOut) Stop(context.Context) error {
	d.lock()
	defer d.unlock()
	if d.line == nil || d.o.OnStop == "keep" {
		return nil
	}
	on := d.o.OnStop == "active"
	if err := d.line.Write(on); err != nil {
		return lineFault(d.o.Line, err)
	}
	d.changed(on, 0)
	return nil
}

// Close implements sensors.Driver.
func (d *gpioOut) Close() error {
	d.lock()
	defer d.unlock()
	if d.line == nil {
		return nil
	}
	if d.off != nil {
		d.off.Stop()
		d.off = nil
	}
	err := d.line.Close()
	d.line, d.on = nil, false
	select {
	case <-d.news: // of this line; the next Open tells anew
	default:
	}
	return err
}
