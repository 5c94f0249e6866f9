package drivers

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// thermometer is what the members of the LM75 family differ in. All have the
// temperature and two or three limits behind a pointer register, big-endian.
type thermometer struct {
	doc               string
	lowAddr, highAddr int
	temperature       byte // the temperature's register
	// setting is written at Open and compared at every reading; first a register
	// that no chip of the kind holds as all zeros or all ones. mark is one whose
	// reset value differs, by which a chip that lost its supply is known.
	setting   []thermoRegister
	mark      byte
	markReset uint16
	// identity must read as it stands, in the bits of its mask.
	identity []thermoRegister
	// digits gives the temperature in °C.
	digits    func(raw uint16) float64
	low, high float64       // operating range, °C
	longest   time.Duration // of a conversion
}

// thermoRegister is a register's value; wide says that it has two bytes.
type thermoRegister struct {
	reg         byte
	value, mask uint16
	wide        bool
}

// Limits that the alert output never reaches: the drivers use none, and they
// mark a chip that was set up.
const (
	thermoOver = 0x7D00 // 125 °C
	thermoHyst = 0x7800 // 120 °C
)

// left is a two's complement count of 1/256 °C, of which the chip fills the
// upper bits.
func left(raw uint16) float64 { return float64(int16(raw)) / 256 }

// thermometers: LM75A/B (NXP LM75B Rev. 6.1, Table 5 ff., p. 7), TMP102 (TI
// SBOS397H, 6.5, p. 15), TMP105 (TI SBOS648C, 7.5, p. 12), MCP9808 (Microchip
// DS25095A, 5.0, p. 16).
var thermometers = map[string]thermometer{
	"lm75": {
		doc:     "LM75, LM75A, LM75B and compatible: temperature over I2C.",
		lowAddr: 0x48, highAddr: 0x4F,
		setting: []thermoRegister{{3, thermoOver, 0xFF80, true}, {2, thermoHyst, 0xFF80, true}, {1, 0x00, 0x7F, false}},
		mark:    2, markReset: 0x4B00,
		digits: left, low: -55, high: 125, longest: 300 * time.Millisecond, // LM75: 100 ms, LM75A of TI: 300 ms
	},
	"tmp102": {
		doc:     "Texas Instruments TMP102: temperature over I2C.",
		lowAddr: 0x48, highAddr: 0x4B,
		// 12 bits, 4 Hz; bit 5 of the second byte is the alert output.
		setting: []thermoRegister{{3, thermoOver, 0xFFFF, true}, {2, thermoHyst, 0xFFFF, true}, {1, 0x6080, 0xFFDF, true}},
		mark:    2, markReset: 0x4B00,
		digits: left, low: -55, high: 128, longest: 35 * time.Millisecond,
	},
	"tmp105": {
		doc:     "Texas Instruments TMP105 (and TMP75, TMP175): temperature over I2C.",
		lowAddr: 0x48, highAddr: 0x4F,
		setting: []thermoRegister{{3, thermoOver, 0xFFFF, true}, {2, thermoHyst, 0xFFFF, true}, {1, 0x60, 0x7F, false}},
		mark:    2, markReset: 0x4B00,
		digits: left, low: -55, high: 128, longest: 300 * time.Millisecond,
	},
	"mcp9808": {
		doc:     "Microchip MCP9808: temperature over I2C.",
		lowAddr: 0x18, highAddr: 0x1F,
		temperature: 5,
		setting:     []thermoRegister{{1, 0x0000, 0xFFFF, true}, {8, 0x03, 0x03, false}, {4, 0x07D0, 0xFFFF, true}}, // critical at 125 °C
		mark:        4, markReset: 0,
		identity: []thermoRegister{{6, 0x0054, 0xFFFF, true}, {7, 0x0400, 0xFF00, true}},
		// Bits 15 to 13 compare with the limits, bit 12 is the sign (5.1.3, p. 24).
		digits: func(raw uint16) float64 { return float64(int16(raw<<3)) / 128 },
		low:    -40, high: 125, longest: 250 * time.Millisecond,
	},
}

func init() {
	for name, chip := range thermometers {
		register(name, sensors.DriverSpec{
			Doc:     chip.doc,
			Options: func() any { return &thermoOptions{Address: chip.lowAddr, chip: name} },
			New: func(options any, entities map[string]any) (sensors.Driver, error) {
				o := *options.(*thermoOptions)
				if err := validated(&o); err != nil {
					return nil, err
				}
				return &thermo{i2cChip: i2cChip{name: name, busID: o.Bus, addr: uint16(o.Address)}, chip: chip},
					checkEntities(name, entities, "temperature")
			},
		})
	}
}

type thermoOptions struct {
	Bus     string `yaml:"bus" doc:"I2C bus: an id from buses, or its number" req:"1"`
	Address int    `yaml:"address" doc:"the chip's address by its pins: 0x48 to 0x4f, tmp102 to 0x4b; mcp9808 0x18 to 0x1f"`

	chip string
}

// Validate reports an address that the chip cannot have.
func (o *thermoOptions) Validate(report func(path, msg string)) {
	chip := thermometers[o.chip]
	checkAddress(o.chip, o.Address, chip.lowAddr, chip.highAddr, report)
}

// thermo drives one of the family, which converts all the time.
type thermo struct {
	i2cChip
	chip  thermometer
	ready time.Time // when the first conversion since setUp is over
}

// Open implements sensors.Driver.
func (d *thermo) Open(ctx context.Context, b sensors.Buses) error {
	if err := d.attach(b); err != nil {
		return err
	}
	return d.setUp(ctx)
}

func (d *thermo) setUp(ctx context.Context) error {
	if err := d.expect(ctx, d.chip.identity); err != nil {
		return err
	}
	for _, r := range d.chip.setting {
		w := []byte{r.reg, byte(r.value)}
		if r.wide {
			w = binary.BigEndian.AppendUint16(w[:1], r.value)
		}
		if err := d.tx(ctx, w, nil); err != nil {
			return err
		}
	}
	d.ready = time.Now().Add(2 * d.chip.longest) // twice, for the oscillator
	return d.expect(ctx, d.chip.setting)
}

// expect compares registers with what a chip of this kind holds there.
func (d *thermo) expect(ctx context.Context, registers []thermoRegister) error {
	for _, r := range registers {
		got, err := d.register(ctx, r)
		if err != nil {
			return err
		}
		if got&r.mask == r.value&r.mask {
			continue
		}
		raw := binary.BigEndian.AppendUint16(nil, got)
		if !r.wide {
			raw = raw[1:]
		}
		if err := d.idle(raw); err != nil {
			return err
		}
		return d.fault(sensors.WrongChip, "register %d reads %04x, a %s reads %04x", r.reg, got, d.name, r.value)
	}
	return nil
}

func (d *thermo) register(ctx context.Context, r thermoRegister) (uint16, error) {
	if !r.wide {
		var b [1]byte
		err := d.steady(ctx, []byte{r.reg}, b[:])
		return uint16(b[0]), err
	}
	var b [2]byte
	err := d.steady(ctx, []byte{r.reg}, b[:])
	return binary.BigEndian.Uint16(b[:]), err
}

// Read implements sensors.Driver. The settings are read after the temperature:
// a reset chip shows 0 °C until its first conversion is over.
func (d *thermo) Read(ctx context.Context) ([]sensors.Reading, error) {
	if err := pause(ctx, time.Until(d.ready)); err != nil {
		return nil, err
	}
	raw, err := d.register(ctx, thermoRegister{reg: d.chip.temperature, wide: true})
	if err != nil {
		return nil, err
	}
	at := time.Now()
	if err := d.expect(ctx, d.chip.identity); err != nil {
		return nil, err
	}
	if err := d.expect(ctx, d.chip.setting); err != nil {
		return nil, d.changed(ctx, err)
	}
	celsius := d.chip.digits(raw)
	if err := d.within("temperature", celsius, d.chip.low, d.chip.high, "°C"); err != nil {
		return nil, err
	}
	return []sensors.Reading{{Entity: "temperature", Value: round(celsius, 4), Unit: "°C", At: at}}, nil
}

// changed explains settings that are not what was written: by a loss of the
// supply when the mark reads as after a reset. Chips without an identity that
// read all zeros are told from a reset by other registers, in expect.
func (d *thermo) changed(ctx context.Context, cause error) error {
	if sensors.ReasonOf(cause) != sensors.WrongChip && !(d.chip.markReset == 0 && sensors.ReasonOf(cause) == sensors.OutOfRange) {
		return cause
	}
	mark, err := d.register(ctx, thermoRegister{reg: d.chip.mark, wide: true})
	if err != nil {
		return errors.Join(err, cause)
	}
	if mark == d.chip.markReset {
		return d.brownout(d.setUp(ctx))
	}
	return fmt.Errorf("%w; settings changed", cause)
}
