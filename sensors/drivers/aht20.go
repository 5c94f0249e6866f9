package drivers

import (
	"context"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// The AHT20 (Aosong AHT20 product manual A1, 5.3 and 5.4).
const (
	aht20Address    = 0x38
	aht20Busy       = 1 << 7 // status, Table 10
	aht20Calibrated = 1 << 3

	aht20Longest   = 80 * time.Millisecond // of a measurement, 5.4
	aht20ResetTime = 20 * time.Millisecond // 5.5
)

// The commands of Table 9, with their arguments.
var (
	aht20Init    = []byte{0xBE, 0x08, 0x00}
	aht20Measure = []byte{0xAC, 0x33, 0x00}
	aht20Reset   = []byte{0xBA}
)

func init() {
	register("aht20", sensors.DriverSpec{
		Doc:     "Aosong AHT20, AHT21, AHT25: temperature and humidity over I2C.",
		Options: func() any { return &aht20Options{Address: aht20Address} },
		New: func(options any, entities map[string]any) (sensors.Driver, error) {
			o := *options.(*aht20Options)
			if err := validated(&o); err != nil {
				return nil, err
			}
			return &aht20{i2cChip{name: "aht20", busID: o.Bus, addr: uint16(o.Address)}},
				checkEntities("aht20", entities, "temperature", "humidity")
		},
	})
}

type aht20Options struct {
	Bus     string `yaml:"bus" doc:"I2C bus: an id from buses, or its number" req:"1"`
	Address int    `yaml:"address" doc:"0x38"`
}

// Validate reports an address that the chip cannot have.
func (o *aht20Options) Validate(report func(path, msg string)) {
	checkAddress("aht20", o.Address, aht20Address, aht20Address, report)
}

// aht20 drives an AHT20.
type aht20 struct{ i2cChip }

// Open implements sensors.Driver.
func (d *aht20) Open(ctx context.Context, b sensors.Buses) error {
	if err := d.attach(b); err != nil {
		return err
	}
	if err := d.send(ctx, aht20Reset, aht20ResetTime); err != nil {
		return err
	}
	return d.setUp(ctx)
}

// setUp loads the calibration where it is missing (5.4, 1): chips of later years
// come up with it, and some of them do not acknowledge the command. 10 ms are
// the manual's.
func (d *aht20) setUp(ctx context.Context) error {
	var status [1]byte
	if err := d.tx(ctx, nil, status[:]); err != nil || status[0]&aht20Calibrated != 0 {
		return err
	}
	return d.send(ctx, aht20Init, 10*time.Millisecond)
}

func (d *aht20) send(ctx context.Context, command []byte, t time.Duration) error {
	if err := d.tx(ctx, command, nil); err != nil {
		return err
	}
	return pause(ctx, t)
}

// Read implements sensors.Driver.
func (d *aht20) Read(ctx context.Context) ([]sensors.Reading, error) {
	if err := d.tx(ctx, aht20Measure, nil); err != nil {
		return nil, err
	}
	var b [7]byte // status, humidity and temperature with 20 bits each, checksum
	err := d.poll(ctx, aht20Longest, 5*time.Millisecond, func() (bool, error) { return d.result(ctx, b[:]) })
	at := time.Now()
	if err != nil {
		return nil, err
	}
	if b[0]&aht20Calibrated == 0 {
		return nil, d.brownout(d.setUp(ctx))
	}
	humidity := uint32(b[1])<<12 | uint32(b[2])<<4 | uint32(b[3])>>4
	temperature := uint32(b[3]&0x0F)<<16 | uint32(b[4])<<8 | uint32(b[5])
	celsius := float64(temperature)/(1<<20)*200 - 50 // 6.2
	if err := d.within("temperature", celsius, -40, 85, "°C"); err != nil {
		return nil, err
	}
	return d.climate(at, celsius, float64(humidity)/(1<<20)*100) // 6.1
}

// result reads the chip's answer and reports whether it is a measurement. The
// checksum counts only then.
func (d *aht20) result(ctx context.Context, b []byte) (bool, error) {
	if err := d.tx(ctx, nil, b); err != nil {
		return false, err
	}
	if err := d.idle(b); err != nil {
		return false, err
	}
	if b[0]&aht20Busy != 0 {
		return false, nil
	}
	if sum := crc8(b[:6]); sum != b[6] {
		return false, d.fault(sensors.CRC, "% x carries checksum %02x, not %02x", b[:6], b[6], sum)
	}
	return true, nil
}
