package drivers

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// Registers that INA219 (TI SBOS448G, 8.6) and INA226 (TI SBOS547B, 7.1) have
// in common.
const (
	inaConfig      = 0
	inaShunt       = 1
	inaBus         = 2
	inaCalibration = 5

	inaTriggered = 3 // MODE: shunt and bus voltage, once

	// inaMark is in the calibration register, which the chip's own current and
	// power need and we do not; after a reset it is 0.
	inaMark = 0x1000
)

// inaChip is what the two differ in.
type inaChip struct {
	doc             string
	config          uint16 // without averages
	averages        []int
	average         func(code int) uint16
	each            time.Duration // of one sample of both voltages, at most
	shuntLSB        float64       // V
	shuntMax        int           // counts at which it saturates
	busLSB          float64       // V
	busShift        int
	busMax          float64 // V
	ready, readyBit byte    // register and bit, in its low byte, that a conversion sets
	clear           byte    // register that is read to clear it
	identity        [][3]uint16
}

var inaChips = map[string]inaChip{
	"ina219": {
		doc:    "Texas Instruments INA219: voltage, current and power over I2C.",
		config: 1<<13 | 3<<11 | inaTriggered, // 32 V, 320 mV (8.6.2.1)
		// BADC and SADC, of 12 bits: 8 is one sample, 15 are 128 (Table 5).
		averages: []int{1, 2, 4, 8, 16, 32, 64, 128}, average: func(code int) uint16 { return uint16((8+code)<<7 | (8+code)<<3) },
		each:     2 * 586 * time.Microsecond,
		shuntLSB: 10e-6, shuntMax: 32000, busLSB: 4e-3, busShift: 3, busMax: 26,
		ready: inaBus, readyBit: 1 << 1, clear: 3, // CNVR (8.6.3.2)
	},
	"ina226": {
		doc:    "Texas Instruments INA226: voltage, current and power over I2C.",
		config: 1<<14 | 4<<6 | 4<<3 | inaTriggered, // 1.1 ms each (7.1.1)
		// AVG
		averages: []int{1, 4, 16, 64, 128, 256, 512, 1024}, average: func(code int) uint16 { return uint16(code << 9) },
		each:     2 * 1210 * time.Microsecond,
		shuntLSB: 2.5e-6, shuntMax: 0x7FFF, busLSB: 1.25e-3, busMax: 36,
		ready: 6, readyBit: 1 << 3, clear: 6, // CVRF (7.1.7)
		identity: [][3]uint16{{0xFE, 0x5449, 0xFFFF}, {0xFF, 0x2260, 0xFFF0}},
	},
}

func init() {
	for name, chip := range inaChips {
		register(name, sensors.DriverSpec{
			Doc:     chip.doc,
			Options: func() any { return &inaOptions{Address: 0x40, Shunt: 0.1, Averages: 16, chip: name} },
			New: func(options any, entities map[string]any) (sensors.Driver, error) {
				o := *options.(*inaOptions)
				if err := validated(&o); err != nil {
					return nil, err
				}
				d := &ina{i2cChip: i2cChip{name: name, busID: o.Bus, addr: uint16(o.Address)}, chip: chip, shunt: o.Shunt}
				d.config = chip.config | chip.average(slices.Index(chip.averages, o.Averages))
				d.longest = chip.each * time.Duration(o.Averages) * 11 / 10 // 10 % for the oscillator
				return d, checkEntities(name, entities, "voltage", "shunt_voltage", "current", "power")
			},
		})
	}
}

type inaOptions struct {
	Bus      string  `yaml:"bus" doc:"I2C bus: an id from buses, or its number" req:"1"`
	Address  int     `yaml:"address" doc:"0x40 to 0x4f, by the pins A0 and A1"`
	Shunt    float64 `yaml:"shunt" doc:"resistance between IN+ and IN-, in ohms; R100 on a board is 0.1" ex:"0.002"`
	Averages int     `yaml:"averages" doc:"samples of one reading: ina219 1 2 4 8 16 32 64 128, ina226 1 4 16 64 128 256 512 1024"`

	chip string
}

// Validate reports what the chip cannot be set to.
func (o *inaOptions) Validate(report func(path, msg string)) {
	checkAddress(o.chip, o.Address, 0x40, 0x4F, report)
	if !(o.Shunt >= 1e-6 && o.Shunt <= 1e4) {
		report("shunt", fmt.Sprintf("%g is no resistance of a shunt: 0.000001 to 10000 ohms", o.Shunt))
	}
	if known := inaChips[o.chip].averages; !slices.Contains(known, o.Averages) {
		report("averages", fmt.Sprintf("%d is not one of %v, the averages of an %s", o.Averages, known, o.chip))
	}
}

// ina drives one of the two in single conversions. The current is computed
// here: a calibration that a brown-out has taken away would make it 0 A.
type ina struct {
	i2cChip
	chip    inaChip
	config  uint16
	shunt   float64 // ohms
	longest time.Duration
}

// Open implements sensors.Driver.
func (d *ina) Open(ctx context.Context, b sensors.Buses) error {
	if err := d.attach(b); err != nil {
		return err
	}
	return d.setUp(ctx)
}

func (d *ina) setUp(ctx context.Context) error {
	if err := d.put(ctx, inaCalibration, inaMark); err != nil {
		return err
	}
	if err := d.put(ctx, inaConfig, d.config); err != nil {
		return err
	}
	return d.confirm(ctx)
}

// confirm makes sure that this is the chip, and set up.
func (d *ina) confirm(ctx context.Context) error {
	registers := append([][3]uint16{{inaConfig, d.config, 0xFFFF}}, d.chip.identity...)
	for _, r := range append(registers, [3]uint16{inaCalibration, inaMark, 0xFFFF}) {
		got, err := d.get(ctx, byte(r[0]))
		if err != nil {
			return err
		}
		if r[0] == inaCalibration && got == 0 {
			return d.brownout(nil)
		}
		if err := d.compare(byte(r[0]), got, r[1], r[2]); err != nil {
			return err
		}
	}
	return nil
}

// Read implements sensors.Driver. What the chip is set to is read after the
// voltages, so that one that lost its supply in the middle is found out.
func (d *ina) Read(ctx context.Context) ([]sensors.Reading, error) {
	var b [2]byte
	if err := d.tx(ctx, []byte{d.chip.clear}, b[:]); err != nil {
		return nil, err
	}
	if err := d.put(ctx, inaConfig, d.config); err != nil { // begins a conversion
		return nil, err
	}
	slow := d.poll(ctx, d.longest, d.longest/4, func() (bool, error) {
		err := d.tx(ctx, []byte{d.chip.ready}, b[:]) // once: the read clears the bit of an INA226
		return b[1]&d.chip.readyBit != 0, err
	})
	if slow != nil && sensors.ReasonOf(slow) != sensors.Timeout {
		return nil, slow
	}
	at := time.Now()
	shunt, err := d.get(ctx, inaShunt)
	if err != nil {
		return nil, err
	}
	bus, err := d.get(ctx, inaBus)
	if err != nil {
		return nil, err
	}
	switch err := d.confirm(ctx); {
	case sensors.ReasonOf(err) == sensors.Brownout:
		return nil, d.brownout(d.setUp(ctx))
	case err != nil:
		return nil, err
	case slow != nil:
		return nil, slow
	}
	return d.readings(at, int(int16(shunt)), int(bus>>d.chip.busShift))
}

func (d *ina) readings(at time.Time, shunt, bus int) ([]sensors.Reading, error) {
	volts, drop := float64(bus)*d.chip.busLSB, float64(shunt)*d.chip.shuntLSB
	if err := d.within("voltage", volts, 0, d.chip.busMax, "V"); err != nil {
		return nil, err
	}
	var over error
	if shunt >= d.chip.shuntMax || shunt <= -d.chip.shuntMax {
		over = d.fault(sensors.OutOfRange, "the shunt has more than %.5g V", float64(d.chip.shuntMax)*d.chip.shuntLSB)
	}
	current := drop / d.shunt
	return []sensors.Reading{
		{Entity: "voltage", Value: round(volts, 5), Unit: "V", At: at},
		{Entity: "shunt_voltage", Value: round(drop, 7), Unit: "V", At: at, Err: over},
		{Entity: "current", Value: round(current, 9), Unit: "A", At: at, Err: over},
		{Entity: "power", Value: round(current*volts, 9), Unit: "W", At: at, Err: over},
	}, nil
}
