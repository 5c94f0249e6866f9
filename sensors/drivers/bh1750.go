package drivers

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// Instructions of the BH1750 (ROHM BH1750FVI technical note 2011.11 Rev. D,
// Instruction Set Architecture, p. 5).
const (
	bh1750On       = 0x01
	bh1750Reset    = 0x07 // clears the data register
	bh1750TimeHigh = 0x40 // upper 3 bits of MTreg
	bh1750TimeLow  = 0x60 // lower 5 bits
	bh1750Time     = 69   // MTreg of 1.2 counts per lux
)

// bh1750Modes are the one-time measurements, with their counts per lux and how
// long they take at most at MTreg 69 (Electrical characteristics, p. 2).
var bh1750Modes = map[string]struct {
	code    byte
	perLux  float64
	longest time.Duration
}{
	"high":  {0x20, 1.2, 180 * time.Millisecond},
	"high2": {0x21, 2.4, 180 * time.Millisecond},
	"low":   {0x23, 1.2, 24 * time.Millisecond},
}

func init() {
	register("bh1750", sensors.DriverSpec{
		Doc:     "ROHM BH1750: illuminance over I2C.",
		Options: func() any { return &bh1750Options{Address: 0x23, Mode: "high", Time: bh1750Time} },
		New: func(options any, entities map[string]any) (sensors.Driver, error) {
			o := *options.(*bh1750Options)
			if err := validated(&o); err != nil {
				return nil, err
			}
			return &bh1750{i2cChip{name: "bh1750", busID: o.Bus, addr: uint16(o.Address)}, o},
				checkEntities("bh1750", entities, "illuminance")
		},
	})
}

type bh1750Options struct {
	Bus     string `yaml:"bus" doc:"I2C bus: an id from buses, or its number" req:"1"`
	Address int    `yaml:"address" doc:"0x23, or 0x5c with ADDR high"`
	Mode    string `yaml:"mode" doc:"steps of 1 lx in 0.18 s, 0.5 lx in 0.18 s, or 4 lx in 0.02 s" enum:"high|high2|low"`
	Time    int    `yaml:"measurement_time" doc:"the chip's MTreg, 31 to 254: 69 reaches 54612 lx, 31 121557 lx; 254 sees most in the dark and takes longest"`
}

// Validate reports what the chip cannot be set to.
func (o *bh1750Options) Validate(report func(path, msg string)) {
	if o.Address != 0x23 && o.Address != 0x5C {
		report("address", fmt.Sprintf("0x%02x is not an address of a bh1750: 0x23 or 0x5c", o.Address))
	}
	checkWord("mode", o.Mode, []string{"high", "high2", "low"}, report)
	if o.Time < 31 || o.Time > 254 {
		report("measurement_time", fmt.Sprintf("%d is not between 31 and 254", o.Time))
	}
}

// bh1750 drives a BH1750. The chip has nothing to read but its last result: no
// identity, no settings, no end of a measurement. So every reading sets it up
// and clears the result first, and a result of zero has to prove itself.
type bh1750 struct {
	i2cChip
	o bh1750Options
}

// Open implements sensors.Driver.
func (d *bh1750) Open(ctx context.Context, b sensors.Buses) error {
	if err := d.attach(b); err != nil {
		return err
	}
	return d.tx(ctx, []byte{bh1750On}, nil)
}

// Read implements sensors.Driver.
func (d *bh1750) Read(ctx context.Context) ([]sensors.Reading, error) {
	count, err := d.measure(ctx, 1.2)
	if err == nil && count == 0 {
		count, err = d.zero(ctx)
	}
	at := time.Now()
	if err != nil {
		return nil, err
	}
	if count == 0xFFFF {
		return nil, d.fault(sensors.OutOfRange, "count 0xffff: too bright for mode %s and measurement_time %d", d.o.Mode, d.o.Time)
	}
	lux := float64(count) / bh1750Modes[d.o.Mode].perLux * bh1750Time / float64(d.o.Time) // p. 11
	return []sensors.Reading{{Entity: "illuminance", Value: round(lux, 2), Unit: "lx", At: at}}, nil
}

// zero finds out whether a zero is the dark. It is not when the data line is
// held low, which acknowledges even an address that no chip may have. It is not
// either when the chip was slow or lost its supply in the middle: the second
// measurement has twice the time.
func (d *bh1750) zero(ctx context.Context) (uint16, error) {
	if d.shorted() {
		return 0, d.fault(sensors.OutOfRange, "every address acknowledges: the data line is held low")
	}
	return d.measure(ctx, 2.4)
}

// measure makes one measurement and gives it patience times the longest time
// of the data sheet.
func (d *bh1750) measure(ctx context.Context, patience float64) (uint16, error) {
	mode, mt := bh1750Modes[d.o.Mode], byte(d.o.Time)
	for _, instruction := range []byte{bh1750On, bh1750Reset, bh1750TimeHigh | mt>>5, bh1750TimeLow | mt&0x1F, mode.code} {
		if err := d.tx(ctx, []byte{instruction}, nil); err != nil {
			return 0, err
		}
	}
	longest := patience * float64(mode.longest) * float64(d.o.Time) / bh1750Time
	if err := pause(ctx, time.Duration(longest)); err != nil {
		return 0, err
	}
	var b [2]byte
	err := d.steady(ctx, nil, b[:])
	return binary.BigEndian.Uint16(b[:]), err
}
