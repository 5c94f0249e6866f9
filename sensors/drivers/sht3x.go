package drivers

import (
	"context"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// Commands of the SHT3x (SHT3x-DIS data sheet, December 2022, 4.3 to 4.11).
const (
	sht3xReset  = 0x30A2 // Table 14
	sht3xStatus = 0xF32D // Table 17
	sht3xClear  = 0x3041 // Table 19

	sht3xWasReset = 1 << 4 // "system reset detected", Table 18
)

// sht3xModes are the single shots without clock stretching (Table 9) and how
// long they take at most (Table 4).
var sht3xModes = map[string]struct {
	command uint16
	longest time.Duration
}{
	"high":   {0x2400, 15500 * time.Microsecond},
	"medium": {0x240B, 6500 * time.Microsecond},
	"low":    {0x2416, 4500 * time.Microsecond},
}

func init() {
	register("sht3x", sensors.DriverSpec{
		Doc:     "Sensirion SHT30, SHT31, SHT35: temperature and humidity over I2C.",
		Options: func() any { return &sht3xOptions{Address: 0x44, Repeatability: "high"} },
		New: func(options any, entities map[string]any) (sensors.Driver, error) {
			o := *options.(*sht3xOptions)
			if err := validated(&o); err != nil {
				return nil, err
			}
			return &sht3x{i2cChip{name: "sht3x", busID: o.Bus, addr: uint16(o.Address)}, o},
				checkEntities("sht3x", entities, "temperature", "humidity")
		},
	})
}

type sht3xOptions struct {
	Bus           string `yaml:"bus" doc:"I2C bus: an id from buses, or its number" req:"1"`
	Address       int    `yaml:"address" doc:"0x44, or 0x45 with ADDR high"`
	Repeatability string `yaml:"repeatability" doc:"how long the chip measures: 15, 6 or 4 ms" enum:"high|medium|low"`
}

// Validate reports what the chip cannot be set to.
func (o *sht3xOptions) Validate(report func(path, msg string)) {
	checkAddress("sht3x", o.Address, 0x44, 0x45, report)
	checkWord("repeatability", o.Repeatability, []string{"high", "medium", "low"}, report)
}

// sht3x drives an SHT3x in single shots.
type sht3x struct {
	i2cChip
	o sht3xOptions
}

// Open implements sensors.Driver.
func (d *sht3x) Open(ctx context.Context, b sensors.Buses) error {
	if err := d.attach(b); err != nil {
		return err
	}
	if err := d.command(ctx, sht3xReset, 2*time.Millisecond); err != nil { // t_SR is 1.5 ms, Table 4
		return err
	}
	return d.setUp(ctx)
}

// setUp clears the flag that a reset raises.
func (d *sht3x) setUp(ctx context.Context) error {
	if err := d.command(ctx, sht3xClear, time.Millisecond); err != nil {
		return err
	}
	s, err := d.status(ctx)
	if err == nil && s&sht3xWasReset != 0 {
		err = d.fault(sensors.WrongChip, "status 0x%04x does not clear: this is no SHT3x", s)
	}
	return err
}

func (d *sht3x) status(ctx context.Context) (uint16, error) {
	if err := d.command(ctx, sht3xStatus, time.Millisecond); err != nil {
		return 0, err
	}
	var s [1]uint16
	err := d.words(ctx, s[:])
	return s[0], err
}

// Read implements sensors.Driver. The status is read last, so that a chip that
// lost its supply in the middle is found out.
func (d *sht3x) Read(ctx context.Context) ([]sensors.Reading, error) {
	mode := sht3xModes[d.o.Repeatability]
	if err := d.command(ctx, mode.command, 0); err != nil {
		return nil, err
	}
	var v [2]uint16
	measured := d.converted(ctx, mode.longest, v[:])
	at := time.Now()
	if measured != nil && sensors.ReasonOf(measured) != sensors.Timeout {
		return nil, measured
	}
	s, err := d.status(ctx)
	if err != nil {
		return nil, err
	}
	if s&sht3xWasReset != 0 {
		return nil, d.brownout(d.setUp(ctx))
	}
	if measured != nil {
		return nil, measured
	}
	// 4.13, p. 14.
	return d.climate(at, -45+175*float64(v[0])/65535, 100*float64(v[1])/65535)
}
