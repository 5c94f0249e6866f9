package drivers

import (
	"context"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// Commands of the SHT4x (SHT4x data sheet, version 6.6, Table 8, p. 12).
const (
	sht4xSerial = 0x89
	sht4xReset  = 0x94
)

// sht4xModes are the measurements and how long they take at most (Table 5).
var sht4xModes = map[string]struct {
	command byte
	longest time.Duration
}{
	"high":   {0xFD, 8300 * time.Microsecond},
	"medium": {0xF6, 4500 * time.Microsecond},
	"low":    {0xE0, 1600 * time.Microsecond},
}

func init() {
	register("sht4x", sensors.DriverSpec{
		Doc:     "Sensirion SHT40, SHT41, SHT43, SHT45: temperature and humidity over I2C.",
		Options: func() any { return &sht4xOptions{Address: 0x44, Precision: "high"} },
		New: func(options any, entities map[string]any) (sensors.Driver, error) {
			o := *options.(*sht4xOptions)
			if err := validated(&o); err != nil {
				return nil, err
			}
			return &sht4x{i2cChip{name: "sht4x", busID: o.Bus, addr: uint16(o.Address)}, o},
				checkEntities("sht4x", entities, "temperature", "humidity")
		},
	})
}

type sht4xOptions struct {
	Bus       string `yaml:"bus" doc:"I2C bus: an id from buses, or its number" req:"1"`
	Address   int    `yaml:"address" doc:"0x44, 0x45 or 0x46, by the part number"`
	Precision string `yaml:"precision" doc:"how long the chip measures: 8, 5 or 2 ms" enum:"high|medium|low"`
}

// Validate reports what the chip cannot be set to.
func (o *sht4xOptions) Validate(report func(path, msg string)) {
	checkAddress("sht4x", o.Address, 0x44, 0x46, report)
	checkWord("precision", o.Precision, []string{"high", "medium", "low"}, report)
}

// sht4x drives an SHT4x. The chip keeps no setting between two measurements:
// one that lost its supply in between measures as well as before.
type sht4x struct {
	i2cChip
	o sht4xOptions
}

// Open implements sensors.Driver. An SHT4x is known by its serial number,
// which an SHT3x at the same address does not give for this command.
func (d *sht4x) Open(ctx context.Context, b sensors.Buses) error {
	if err := d.attach(b); err != nil {
		return err
	}
	for _, cmd := range []byte{sht4xReset, sht4xSerial} { // each takes at most 1 ms, Table 5
		if err := d.tx(ctx, []byte{cmd}, nil); err != nil {
			return err
		}
		if err := pause(ctx, time.Millisecond); err != nil {
			return err
		}
	}
	return d.words(ctx, make([]uint16, 2))
}

// Read implements sensors.Driver.
func (d *sht4x) Read(ctx context.Context) ([]sensors.Reading, error) {
	mode := sht4xModes[d.o.Precision]
	if err := d.tx(ctx, []byte{mode.command}, nil); err != nil {
		return nil, err
	}
	var v [2]uint16
	if err := d.converted(ctx, mode.longest, v[:]); err != nil {
		return nil, err
	}
	// 4.6, p. 12.
	return d.climate(time.Now(), -45+175*float64(v[0])/65535, -6+125*float64(v[1])/65535)
}
