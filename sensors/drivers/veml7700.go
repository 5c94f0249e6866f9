package drivers

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// Registers of the VEML7700 (Vishay VEML7700 data sheet 84286, Command
// registers, Tables 1 to 8). They hold 16 bits, the low byte first.
const (
	vemlAddress = 0x10
	vemlConf    = 0
	vemlSaving  = 3
	vemlALS     = 4
	vemlID      = 7

	vemlChip    = 0x81 // low byte of the id
	vemlOff     = 1    // ALS_SD in vemlConf, set after power-on
	vemlStartUp = 4 * time.Millisecond
)

// vemlGain and vemlTime are codes of ALS_GAIN and ALS_IT with what they mean
// (Table 1).
type vemlGain struct {
	code   uint16
	factor float64
}

type vemlTime struct {
	code uint16
	time time.Duration
}

var vemlGains = map[string]vemlGain{"1/8": {2, 0.125}, "1/4": {3, 0.25}, "1": {0, 1}, "2": {1, 2}}

var vemlTimes = map[string]vemlTime{
	"25ms": {0xC, 25 * time.Millisecond}, "50ms": {8, 50 * time.Millisecond}, "100ms": {0, 100 * time.Millisecond},
	"200ms": {1, 200 * time.Millisecond}, "400ms": {2, 400 * time.Millisecond}, "800ms": {3, 800 * time.Millisecond},
}

// vemlRange is one sensitivity.
type vemlRange struct{ gain, time string }

// vemlRanges are those of gain auto, from bright to dark, in the order of
// Vishay's application note 84323: gain first, then time. A count below few
// goes up, one above many down; between two neighbors lies a factor of 8 at
// most, so that it never goes to and fro.
var vemlRanges = []vemlRange{
	{"1/8", "25ms"}, {"1/8", "100ms"}, {"1/4", "100ms"}, {"1", "100ms"},
	{"2", "100ms"}, {"2", "200ms"}, {"2", "400ms"}, {"2", "800ms"},
}

const (
	vemlFew  = 100
	vemlMany = 10000
)

func (r vemlRange) conf() uint16 { return vemlGains[r.gain].code<<11 | vemlTimes[r.time].code<<6 }

// lux is the illuminance of one count: 0.0042 lx at gain 2 and 800 ms.
func (r vemlRange) lux() float64 {
	return 0.0042 * 2 / vemlGains[r.gain].factor * float64(800*time.Millisecond) / float64(vemlTimes[r.time].time)
}

// straight corrects the chip's bend, which is the same for all chips and counts
// above 1000 lx (84323, Fig. 8). It is applied everywhere, or the value would
// jump at 1000.
func straight(lux float64) float64 {
	return (((6.0135e-13*lux-9.3924e-9)*lux+8.1488e-5)*lux + 1.0023) * lux
}

func init() {
	register("veml7700", sensors.DriverSpec{
		Doc:     "Vishay VEML7700: illuminance over I2C.",
		Options: func() any { return &vemlOptions{Address: vemlAddress, Gain: "auto", Time: "100ms"} },
		New: func(options any, entities map[string]any) (sensors.Driver, error) {
			o := *options.(*vemlOptions)
			if err := validated(&o); err != nil {
				return nil, err
			}
			d := &veml7700{i2cChip: i2cChip{name: "veml7700", busID: o.Bus, addr: uint16(o.Address)}, ranges: vemlRanges, at: 1}
			if o.Gain != "auto" {
				d.ranges, d.at = []vemlRange{{o.Gain, o.Time}}, 0
			}
			return d, checkEntities("veml7700", entities, "illuminance")
		},
	})
}

type vemlOptions struct {
	Bus     string `yaml:"bus" doc:"I2C bus: an id from buses, or its number" req:"1"`
	Address int    `yaml:"address" doc:"0x10"`
	Gain    string `yaml:"gain" doc:"auto finds gain and time by itself, from 0.004 to 140000 lx" enum:"auto|1/8|1/4|1|2"`
	Time    string `yaml:"integration_time" doc:"how long one measurement takes, with a gain that is not auto" enum:"25ms|50ms|100ms|200ms|400ms|800ms"`
}

// Validate reports what the chip cannot be set to.
func (o *vemlOptions) Validate(report func(path, msg string)) {
	checkAddress("veml7700", o.Address, vemlAddress, vemlAddress, report)
	checkWord("gain", o.Gain, []string{"auto", "1/8", "1/4", "1", "2"}, report)
	checkWord("integration_time", o.Time, []string{"25ms", "50ms", "100ms", "200ms", "400ms", "800ms"}, report)
}

// veml7700 drives a VEML7700, which measures all the time.
type veml7700 struct {
	i2cChip
	ranges []vemlRange
	at     int       // the range in force
	ready  time.Time // the first measurement in it is over
	torn   bool      // a range was half set when the bus failed
}

// Open implements sensors.Driver.
func (d *veml7700) Open(ctx context.Context, b sensors.Buses) error {
	if err := d.attach(b); err != nil {
		return err
	}
	return d.setUp(ctx)
}

func (d *veml7700) setUp(ctx context.Context) error {
	if err := d.identify(ctx); err != nil {
		return err
	}
	if err := d.put(ctx, vemlSaving, 0); err != nil {
		return err
	}
	return d.choose(ctx, d.at)
}

func (d *veml7700) identify(ctx context.Context) error {
	id, err := d.get(ctx, vemlID)
	switch {
	case err != nil:
		return err
	case id == 0xFFFF, id == 0:
		return d.idle([]byte{byte(id), byte(id >> 8)})
	case id&0xFF != vemlChip:
		return d.fault(sensors.WrongChip, "id 0x%04x is not that of a VEML7700", id)
	}
	return nil
}

// choose sets a range. The chip is switched off meanwhile, so that no
// measurement is half of the one and half of the other.
func (d *veml7700) choose(ctx context.Context, at int) error {
	r := d.ranges[at]
	d.torn = true
	if err := d.put(ctx, vemlConf, r.conf()|vemlOff); err != nil {
		return err
	}
	if err := d.put(ctx, vemlConf, r.conf()); err != nil {
		return err
	}
	// A half more than the time, for the oscillator.
	d.torn, d.at, d.ready = false, at, time.Now().Add(vemlStartUp+vemlTimes[r.time].time*3/2)
	return nil
}

// Read implements sensors.Driver. With gain auto it looks for the range that
// fits, and goes on there the next time when its deadline ends first.
func (d *veml7700) Read(ctx context.Context) ([]sensors.Reading, error) {
	for {
		count, err := d.count(ctx)
		if err != nil {
			return nil, err
		}
		at := time.Now()
		next := d.at
		switch {
		case count < vemlFew && d.at < len(d.ranges)-1:
			next++
		case count > vemlMany && d.at > 0:
			next--
		default:
			return d.reading(at, count)
		}
		if err := d.choose(ctx, next); err != nil {
			return nil, err
		}
	}
}

// count reads one measurement, and then whether the chip is still the one that
// was set up.
func (d *veml7700) count(ctx context.Context) (uint16, error) {
	if d.torn {
		if err := d.setUp(ctx); err != nil {
			return 0, err
		}
	}
	if err := pause(ctx, time.Until(d.ready)); err != nil {
		return 0, err
	}
	count, err := d.get(ctx, vemlALS)
	if err != nil {
		return 0, err
	}
	if err := d.identify(ctx); err != nil {
		return 0, err
	}
	conf, err := d.get(ctx, vemlConf)
	if err == nil && conf != d.ranges[d.at].conf() {
		err = d.brownout(d.setUp(ctx))
	}
	return count, err
}

func (d *veml7700) reading(at time.Time, count uint16) ([]sensors.Reading, error) {
	lux := straight(float64(count) * d.ranges[d.at].lux())
	if count == 0xFFFF {
		return nil, d.fault(sensors.OutOfRange, "count 0xffff: too bright for gain %s and %s", d.ranges[d.at].gain, d.ranges[d.at].time)
	}
	if err := d.within("illuminance", lux, 0, 140000, "lx"); err != nil {
		return nil, err
	}
	return []sensors.Reading{{Entity: "illuminance", Value: round(lux, 3), Unit: "lx", At: at}}, nil
}

func (d *veml7700) get(ctx context.Context, reg byte) (uint16, error) {
	var b [2]byte
	err := d.steady(ctx, []byte{reg}, b[:])
	return binary.LittleEndian.Uint16(b[:]), err
}

func (d *veml7700) put(ctx context.Context, reg byte, v uint16) error {
	return d.tx(ctx, binary.LittleEndian.AppendUint16([]byte{reg}, v), nil)
}
