package drivers

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// Registers of ADS1015 and ADS1115 (TI SBAS444E, 8.1, and SBAS473E, 8.1).
const (
	adsConversion = 0
	adsConfig     = 1
	adsHigh       = 3 // Hi_thresh

	adsIdle   = 1 << 15 // OS, read; written it starts a conversion
	adsSingle = 1 << 8  // MODE: one conversion, then power-down
	adsNoComp = 3       // COMP_QUE: the comparator is off

	// adsMark is in Hi_thresh, which a comparator that is off does not use: after
	// a reset it is adsMarkReset.
	adsMark, adsMarkReset = 0x7FE0, 0x7FFF
)

// adsInputs are the inputs by their code of MUX, adsScales the full scales by
// their code of PGA (8.1.3, Config register).
var (
	adsInputs = []string{"a0-a1", "a0-a3", "a1-a3", "a2-a3", "a0", "a1", "a2", "a3"}
	adsScales = []string{"6.144V", "4.096V", "2.048V", "1.024V", "0.512V", "0.256V"}
	adsVolts  = []float64{6.144, 4.096, 2.048, 1.024, 0.512, 0.256}
)

// adsChip is what the two differ in.
type adsChip struct {
	doc   string
	rates []int // by their code of DR
	rate  int   // default
	unset uint16
}

var adsChips = map[string]adsChip{
	"ads1015": {"Texas Instruments ADS1015: four voltages with 12 bits over I2C.", []int{128, 250, 490, 920, 1600, 2400, 3300}, 1600, 0xF},
	"ads1115": {"Texas Instruments ADS1115: four voltages with 16 bits over I2C.", []int{8, 16, 32, 64, 128, 250, 475, 860}, 128, 0},
}

func init() {
	for name, chip := range adsChips {
		register(name, sensors.DriverSpec{
			Doc:     chip.doc,
			Options: func() any { return &adsOptions{Address: 0x48, DataRate: chip.rate, FullScale: "4.096V", chip: name} },
			Entity:  func() any { return &adsEntity{} },
			New: func(options any, entities map[string]any) (sensors.Driver, error) {
				o := *options.(*adsOptions)
				if err := validated(&o); err != nil {
					return nil, err
				}
				channels, err := o.channels(entities)
				return &ads{
					i2cChip: i2cChip{name: name, busID: o.Bus, addr: uint16(o.Address)}, unset: chip.unset, channels: channels,
					// 10 % for the oscillator (6.5), and the time that the chip takes to wake.
					longest: time.Second*11/10/time.Duration(o.DataRate) + 100*time.Microsecond,
				}, err
			},
		})
	}
}

type adsOptions struct {
	Bus       string `yaml:"bus" doc:"I2C bus: an id from buses, or its number" req:"1"`
	Address   int    `yaml:"address" doc:"0x48 to 0x4b, by the pin ADDR"`
	DataRate  int    `yaml:"data_rate" doc:"conversions a second: ads1115 8 16 32 64 128 250 475 860, ads1015 128 250 490 920 1600 2400 3300"`
	FullScale string `yaml:"full_scale" doc:"greatest voltage to measure; no input may be above the supply" enum:"6.144V|4.096V|2.048V|1.024V|0.512V|0.256V"`

	chip string
}

type adsEntity struct {
	Input     string `yaml:"input" doc:"pin, or the difference of two; not needed for an entity that is called like one" enum:"a0|a1|a2|a3|a0-a1|a0-a3|a1-a3|a2-a3"`
	FullScale string `yaml:"full_scale" doc:"the device's, when it is not given" enum:"6.144V|4.096V|2.048V|1.024V|0.512V|0.256V"`
}

// Validate reports what the chip cannot be set to.
func (o *adsOptions) Validate(report func(path, msg string)) {
	checkAddress(o.chip, o.Address, 0x48, 0x4B, report)
	checkWord("full_scale", o.FullScale, adsScales, report)
	if rates := adsChips[o.chip].rates; !slices.Contains(rates, o.DataRate) {
		report("data_rate", fmt.Sprintf("%d is not one of %v, the rates of an %s", o.DataRate, rates, o.chip))
	}
}

// adsChannel is an entity and the setting that measures it.
type adsChannel struct {
	entity string
	config uint16
	volts  float64 // full scale
}

// channels is what to measure: the four pins when no entity is listed.
func (o *adsOptions) channels(entities map[string]any) ([]adsChannel, error) {
	rate := slices.Index(adsChips[o.chip].rates, o.DataRate)
	var list []adsChannel
	for _, name := range inputNames(entities, adsInputs[4:]) {
		input, scale := name, o.FullScale
		if e, ok := entities[name].(*adsEntity); ok {
			input, scale = first(e.Input, input), first(e.FullScale, scale)
		}
		mux, pga := slices.Index(adsInputs, input), slices.Index(adsScales, scale)
		if mux < 0 || pga < 0 {
			return nil, fmt.Errorf("entities.%s: which input? give input: one of %s, and full_scale: one of %s",
				name, strings.Join(adsInputs[:], ", "), strings.Join(adsScales[:], ", "))
		}
		list = append(list, adsChannel{name, uint16(adsIdle | mux<<12 | pga<<9 | adsSingle | rate<<5 | adsNoComp), adsVolts[pga]})
	}
	return list, nil
}

// ads drives one of the two in single conversions, so that what is in the
// conversion register is known to be what was asked for.
type ads struct {
	i2cChip
	channels []adsChannel
	unset    uint16 // bits of the conversion register that mean nothing
	longest  time.Duration
	busy     bool // a conversion that was begun was not seen to end
}

// Open implements sensors.Driver.
func (d *ads) Open(ctx context.Context, b sensors.Buses) error {
	if err := d.attach(b); err != nil {
		return err
	}
	return d.setUp(ctx)
}

// setUp ends what a former owner may have left running.
func (d *ads) setUp(ctx context.Context) error {
	stop := d.channels[0].config &^ adsIdle
	if err := d.put(ctx, adsConfig, stop); err != nil {
		return err
	}
	if err := d.put(ctx, adsHigh, adsMark); err != nil {
		return err
	}
	d.busy = true
	if err := d.expect(ctx, adsHigh, adsMark, 0xFFFF); err != nil {
		return err
	}
	return d.expect(ctx, adsConfig, stop, ^uint16(adsIdle))
}

// Read implements sensors.Driver. The mark is read last: a chip that lost its
// supply in the middle is found out.
func (d *ads) Read(ctx context.Context) ([]sensors.Reading, error) {
	var list []sensors.Reading
	for _, c := range d.channels {
		raw, err := d.convert(ctx, c.config)
		if err != nil {
			return nil, d.changed(ctx, err)
		}
		r := sensors.Reading{Entity: c.entity, Value: round(float64(raw)*c.volts/32768, 7), Unit: "V", At: time.Now()}
		if raw == int16(0x7FFF&^d.unset) || raw == -0x8000 {
			r.Err = d.fault(sensors.OutOfRange, "%s is beyond the full scale of %g V", c.entity, c.volts)
		}
		list = append(list, r)
	}
	if err := d.expect(ctx, adsHigh, adsMark, 0xFFFF); err != nil {
		return nil, d.changed(ctx, err)
	}
	return list, nil
}

// convert makes one conversion. The chip takes no new one while one runs, but
// does take another input for its setting: the end of the old one must be
// seen first, or its value would be taken for that of the new input.
func (d *ads) convert(ctx context.Context, config uint16) (int16, error) {
	if d.busy {
		if err := d.expect(ctx, adsHigh, adsMark, 0xFFFF); err != nil {
			return 0, err
		}
		if err := d.finish(ctx, time.Second*11/10/8, nil); err != nil {
			return 0, err
		}
	}
	d.busy = true
	if err := d.put(ctx, adsConfig, config); err != nil {
		return 0, err
	}
	if err := d.finish(ctx, d.longest, &config); err != nil {
		return 0, err
	}
	raw, err := d.get(ctx, adsConversion)
	if err == nil {
		err = d.expect(ctx, adsConfig, config, 0xFFFF) // nobody began another one
	}
	return int16(raw &^ d.unset), err
}

// finish waits for the end of a conversion with this setting; nil is any.
func (d *ads) finish(ctx context.Context, longest time.Duration, config *uint16) error {
	err := d.poll(ctx, longest, longest/4, func() (bool, error) {
		got, err := d.get(ctx, adsConfig)
		if err == nil && config != nil {
			err = d.compare(adsConfig, got, *config, ^uint16(adsIdle))
		}
		return got&adsIdle != 0, err
	})
	if err == nil {
		d.busy = false
	}
	return err
}

// expect compares a register with what was written to it.
func (d *ads) expect(ctx context.Context, reg byte, want, mask uint16) error {
	got, err := d.get(ctx, reg)
	if err != nil {
		return err
	}
	return d.compare(reg, got, want, mask)
}

func (c *i2cChip) compare(reg byte, got, want, mask uint16) error {
	if got&mask == want&mask {
		return nil
	}
	if err := c.idle([]byte{byte(got >> 8), byte(got)}); err != nil {
		return err
	}
	return c.fault(sensors.WrongChip, "register %d reads %04x, not the %04x of an %s", reg, got, want, c.name)
}

// changed explains a register that is not what was written: by a loss of the
// supply when the mark is gone too.
func (d *ads) changed(ctx context.Context, cause error) error {
	if sensors.ReasonOf(cause) != sensors.WrongChip {
		return cause
	}
	if mark, err := d.get(ctx, adsHigh); err == nil && mark == adsMarkReset {
		return d.brownout(d.setUp(ctx))
	}
	return cause
}

// get reads a register of 16 bits, high byte first, twice.
func (c *i2cChip) get(ctx context.Context, reg byte) (uint16, error) {
	var b [2]byte
	err := c.steady(ctx, []byte{reg}, b[:])
	return binary.BigEndian.Uint16(b[:]), err
}

func (c *i2cChip) put(ctx context.Context, reg byte, v uint16) error {
	return c.tx(ctx, binary.BigEndian.AppendUint16([]byte{reg}, v), nil)
}

// inputNames are the entities in their order by name, or all when none is
// listed.
func inputNames(entities map[string]any, all []string) []string {
	if len(entities) == 0 {
		return all
	}
	var names []string
	for name := range entities {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// first returns a unless it is "".
func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
