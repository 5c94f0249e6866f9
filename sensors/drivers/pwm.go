package drivers

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

func init() {
	register("pwm", sensors.DriverSpec{
		Doc:     "A PWM output of the kernel: fans, dimmers, heaters. Takes a percentage, ON and OFF.",
		Moves:   true,
		Options: func() any { return &pwmOptions{Polarity: "normal", Initial: "0", OnStop: "0"} },
		New: func(options any, entities map[string]any) (sensors.Driver, error) {
			return newPWM(*options.(*pwmOptions), entities)
		},
	})
}

type pwmOptions struct {
	Chip      string        `yaml:"chip" doc:"the controller: its device, as fe20c000.pwm, or pwmchip0; without it the only one"`
	Channel   int           `yaml:"channel" doc:"number of the output on its controller"`
	Period    time.Duration `yaml:"period" doc:"length of a cycle, as 40us for the 25 kHz of a fan"`
	Frequency hertz         `yaml:"frequency" doc:"cycles in a second, as 25kHz, in place of period"`
	Polarity  string        `yaml:"polarity" doc:"inversed: a percentage is time at the low level" enum:"normal|inversed"`
	Initial   string        `yaml:"initial" doc:"percentage at start; keep leaves an output that runs as it is"`
	OnStop    string        `yaml:"on_stop" doc:"percentage at a clean shutdown; keep leaves it as it is"`
	Entity    string        `yaml:"entity" doc:"name of the entity, output when it is not given"`
	sensors.Safety
}

// Validate reports what no output can be.
func (o *pwmOptions) Validate(report func(path, msg string)) {
	level := func(key, text string) {
		if _, err := percentage(text); err != nil && text != "keep" {
			report(key, fmt.Sprintf("%q is neither 0 to 100 nor keep", text))
		}
	}
	level("initial", o.Initial)
	level("on_stop", o.OnStop)
	checkEntity(report, "entity", o.Entity)
	o.Safety.Check(report)
	if s := o.Failsafe.State; s != "" && s != "active" && s != "inactive" {
		level("failsafe.state", s)
	}
	if o.Channel < 0 {
		report("channel", "is negative")
	}
	switch {
	case o.Frequency != 0 && o.Period != 0:
		report("frequency", "not together with period: one of them decides")
	case o.Frequency != 0:
	case o.Period == 0:
		report("period", "how long is a cycle? for example period: 40us or frequency: 25kHz")
	case o.Period < 2 || o.Period > time.Hour:
		report("period", fmt.Sprintf("%v is not between 2ns and 1h", o.Period))
	}
	checkWord("polarity", o.Polarity, []string{"normal", "inversed"}, report)
	if o.Require != "" && o.Initial != "0" {
		report("initial", "would not ask what is required: start with 0")
	}
}

// hertz is a frequency, written 25kHz, 50Hz or 50.
type hertz float64

// UnmarshalText takes what a time.Duration of at most an hour can stand for.
func (f *hertz) UnmarshalText(text []byte) error {
	number, kilo := strings.CutSuffix(strings.TrimSuffix(string(text), "Hz"), "k")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if kilo {
		v *= 1000
	}
	if err != nil || !(v >= 1.0/3600 && v <= 5e8) {
		return fmt.Errorf("%.40q is no frequency, as 25kHz or 50Hz", text)
	}
	*f = hertz(v)
	return nil
}

// percentage reads 0 to 100, ON or OFF.
func percentage(text string) (float64, error) {
	v, err := strconv.ParseFloat(text, 64)
	if err == nil && v >= 0 && v <= 100 {
		return v, nil
	}
	c, wrong := sensors.ParseSwitch([]byte(text))
	switch {
	case err == nil || wrong != nil || c.Toggle || c.OnFor > 0:
		return 0, fmt.Errorf("%.40q is not 0 to 100, ON or OFF", text)
	case c.On:
		return 100, nil
	}
	return 0, nil
}

// pwm drives one channel by the files of /sys/class/pwm. The controller runs
// by itself: what is set stays after the program has ended in any way.
type pwm struct {
	o      pwmOptions
	entity string

	own    chan struct{} // one slot, which guards the rest: its holder writes files
	heir   bool          // the output runs as the device that this one replaces left it
	kernel kernel
	dir    string // of the channel; "" before it is open
	chips  []kernelChip
}

var (
	_ sensors.Guarded    = (*pwm)(nil)
	_ sensors.Heir       = (*pwm)(nil)
	_ sensors.Immediate  = (*pwm)(nil)
	_ sensors.Controller = (*pwm)(nil)
)

func newPWM(o pwmOptions, entities map[string]any) (*pwm, error) {
	if err := validated(&o); err != nil {
		return nil, err
	}
	if o.Frequency != 0 {
		o.Period = time.Duration(math.Round(1e9 / float64(o.Frequency)))
	}
	entity, err := oneEntity(o.Entity, "output", entities)
	if err != nil {
		return nil, err
	}
	return &pwm{o: o, entity: entity, own: make(chan struct{}, 1)}, nil
}

// Outputs implements sensors.Guarded.
func (d *pwm) Outputs() []sensors.Safety {
	s := d.o.Safety
	s.Entity, s.Off, s.Timed = d.entity, "0", true
	return []sensors.Safety{s}
}

// Controls implements sensors.Controller.
func (d *pwm) Controls() map[string]sensors.Control {
	return map[string]sensors.Control{d.entity: {Platform: "number", Max: 100}}
}

// Immediate implements sensors.Immediate: the kernel waits for no device.
func (d *pwm) Immediate() {}

// hold takes the slot and returns what gives it back.
func (d *pwm) hold() func() {
	d.own <- struct{}{}
	return func() { <-d.own }
}

// Open finds the channel, has the kernel show it and starts it with the
// initial percentage: it is enabled when all else is set.
func (d *pwm) Open(_ context.Context, b sensors.Buses) error {
	defer d.hold()()
	d.kernel, d.dir = kernelOf(b), ""
	chip, err := d.chip()
	if err != nil {
		return err
	}
	dir := fmt.Sprintf("%s/pwm%d", chip, d.o.Channel)
	if !d.kernel.exists(dir) {
		if err := d.kernel.write(chip+"/export", strconv.Itoa(d.o.Channel)+"\n"); err != nil {
			return d.fault("export", err)
		}
	}
	is, err := os.Stat(d.kernel.path(chip))
	if err != nil {
		return d.fault("look at", kernelFault(err))
	}
	d.dir, d.chips = dir, []kernelChip{{dir: chip, name: "the controller that was opened", is: is}}
	enabled, err := d.kernel.number(dir + "/enable")
	if err != nil {
		return d.fault("look at", err)
	}
	percent, _ := percentage(d.o.Initial) // keep of an output that does not run is 0
	if enabled != 0 && (d.heir || d.o.Initial == "keep") {
		now, err := d.driven()
		if err != nil {
			return err
		}
		percent = now[0].Value.(float64)
	}
	d.heir = false
	if err := d.setUp(enabled != 0, percent); err != nil {
		return err
	}
	return d.write("/enable", 1)
}

// Inherit implements sensors.Heir: a channel runs on as it does.
func (d *pwm) Inherit(old sensors.Driver) bool {
	was, ok := old.(*pwm)
	d.heir = ok && was.o.Chip == d.o.Chip && was.o.Channel == d.o.Channel && was.o.Polarity == d.o.Polarity
	return d.heir
}

// setUp sets period, polarity and duty cycle. The kernel takes a polarity only
// from an output that is off and has a period, which a new one has not, and a
// period only when the duty cycle fits in.
func (d *pwm) setUp(enabled bool, percent float64) error {
	now, err := d.kernel.text(d.dir + "/polarity")
	if err != nil { // this controller has but one
		now = "normal"
	}
	if now != d.o.Polarity && enabled {
		if err := d.write("/enable", 0); err != nil {
			return err
		}
	}
	if duty, err := d.kernel.number(d.dir + "/duty_cycle"); err != nil || duty > float64(d.o.Period) {
		if err := d.drive(percent); err != nil {
			return err
		}
	}
	if period, err := d.kernel.number(d.dir + "/period"); err != nil || period != float64(d.o.Period) {
		if err := d.write("/period", int64(d.o.Period)); err != nil {
			return err
		}
	}
	if now != d.o.Polarity {
		if err := d.kernel.write(d.dir+"/polarity", d.o.Polarity+"\n"); err != nil {
			return d.fault("set the polarity of", err)
		}
	}
	return d.drive(percent)
}

// chip finds the controller.
func (d *pwm) chip() (string, error) {
	all := d.kernel.glob("/sys/class/pwm/pwmchip*")
	var known, found []string
	for _, dir := range all {
		device := path.Base(d.kernel.target(dir + "/device"))
		known = append(known, path.Base(dir)+" ("+device+")")
		if d.o.Chip == "" || d.o.Chip == path.Base(dir) || d.o.Chip == device {
			found = append(found, dir)
		}
	}
	if len(all) == 0 {
		return "", &sensors.Fault{Reason: sensors.NotFound, Err: errors.New("there is no PWM controller; is its overlay loaded?")}
	}
	if len(found) != 1 {
		return "", &sensors.Fault{Reason: sensors.NotFound,
			Err: fmt.Errorf("PWM controller %q is %d of those that are there: %s", d.o.Chip, len(found), strings.Join(known, ", "))}
	}
	if n, err := d.kernel.number(found[0] + "/npwm"); err == nil && float64(d.o.Channel) >= n {
		return "", &sensors.Fault{Reason: sensors.NotFound, Err: fmt.Errorf("PWM controller %s has channels 0 to %v", path.Base(found[0]), n-1)}
	}
	return found[0], nil
}

func (d *pwm) write(file string, v int64) error {
	if err := d.kernel.write(d.dir+file, strconv.FormatInt(v, 10)+"\n"); err != nil {
		return d.fault("write "+file[1:]+" of", err)
	}
	return nil
}

func (d *pwm) drive(percent float64) error {
	if err := d.kernel.still(d.chips); err != nil { // nothing drives another controller's output
		return err
	}
	return d.write("/duty_cycle", int64(math.Round(percent/100*float64(d.o.Period))))
}

// fault keeps the reason of an error and says what was being done.
func (d *pwm) fault(doing string, err error) error {
	reason, hint := sensors.ReasonOf(err), ""
	var f *sensors.Fault
	if errors.As(err, &f) {
		err = f.Err
	}
	switch {
	case reason == sensors.NotFound && d.dir != "":
		reason = sensors.Unplugged
	case reason == sensors.Busy:
		hint = " (a driver of the kernel has it)"
	}
	return &sensors.Fault{Reason: reason, Err: fmt.Errorf("%s PWM channel %d%s: %w", doing, d.o.Channel, hint, err)}
}

// Read returns what the kernel says that it drives.
func (d *pwm) Read(context.Context) ([]sensors.Reading, error) {
	defer d.hold()()
	return d.driven()
}

func (d *pwm) driven() ([]sensors.Reading, error) {
	if err := d.kernel.still(d.chips); err != nil {
		return nil, err
	}
	var v [3]float64
	for i, file := range [...]string{"/enable", "/duty_cycle", "/period"} {
		var err error
		if v[i], err = d.kernel.number(d.dir + file); err != nil {
			return nil, d.fault("read "+file[1:]+" of", err)
		}
	}
	percent := 0.0
	if v[0] != 0 && v[2] > 0 {
		percent = round(100*v[1]/v[2], 3)
	}
	return []sensors.Reading{{Entity: d.entity, Value: percent, Unit: "%", At: time.Now()}}, nil
}

// Do implements sensors.Commander.
func (d *pwm) Do(ctx context.Context, entity string, payload []byte) ([]sensors.Reading, error) {
	if entity != d.entity {
		return nil, fmt.Errorf("no output is called %q", entity)
	}
	v, err := percentage(strings.TrimSpace(string(payload)))
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	defer d.hold()()
	if d.dir == "" {
		return nil, &sensors.Fault{Reason: sensors.NotFound, Err: fmt.Errorf("PWM channel %d is not open", d.o.Channel)}
	}
	if err := d.drive(v); err != nil {
		return nil, err
	}
	return d.driven()
}

// Stop implements sensors.Commander.
func (d *pwm) Stop(context.Context) error {
	defer d.hold()()
	if d.dir == "" || d.o.OnStop == "keep" {
		return nil
	}
	v, err := percentage(d.o.OnStop)
	if err != nil {
		return err
	}
	return d.drive(v)
}

// Close leaves the channel as it is: the kernel would not switch it off.
func (d *pwm) Close() error { return nil }
