package drivers

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// Commands of the SCD4x (Sensirion SCD4x data sheet, version 1.7, Table 9) and
// the times that they take.
const (
	scd4xAddress = 0x62

	scd4xStart    = 0x21B1 // start_periodic_measurement
	scd4xRead     = 0xEC05 // read_measurement
	scd4xStop     = 0x3F86 // stop_periodic_measurement
	scd4xReady    = 0xE4B8 // get_data_ready_status
	scd4xSerial   = 0x3682 // get_serial_number, only while idle
	scd4xOffset   = 0x241D // set_temperature_offset
	scd4xAltitude = 0x2427 // set_sensor_altitude
	scd4xPressure = 0xE000 // set_ambient_pressure

	scd4xTime     = time.Millisecond
	scd4xStopTime = 500 * time.Millisecond
	// scd4xPeriod is the longest time between two measurements: 5 s, and a
	// fifth for the oscillator.
	scd4xPeriod = 6 * time.Second
)

func init() {
	register("scd4x", sensors.DriverSpec{
		Doc:     "Sensirion SCD40, SCD41, SCD43: CO2, temperature and humidity over I2C, a new value every 5 s.",
		Options: func() any { return &scd4xOptions{Address: scd4xAddress, TemperatureOffset: 4} },
		New: func(options any, entities map[string]any) (sensors.Driver, error) {
			o := *options.(*scd4xOptions)
			if err := validated(&o); err != nil {
				return nil, err
			}
			return &scd4x{i2cChip: i2cChip{name: "scd4x", busID: o.Bus, addr: uint16(o.Address)}, o: o},
				checkEntities("scd4x", entities, "co2", "temperature", "humidity")
		},
	})
}

type scd4xOptions struct {
	Bus               string   `yaml:"bus" doc:"I2C bus: an id from buses, or its number" req:"1"`
	Address           int      `yaml:"address" doc:"0x62"`
	Altitude          altitude `yaml:"altitude" doc:"height of the sensor above sea level in meters, as 212m; CO2 is corrected by it"`
	Pressure          float64  `yaml:"pressure" doc:"air pressure at the sensor in hPa, 700 to 1200, in place of altitude"`
	TemperatureOffset float64  `yaml:"temperature_offset" doc:"how much the chip warms itself in its case, in °C, 0 to 20; it is taken off the temperature"`
}

// Validate reports what the chip cannot be set to (3.7).
func (o *scd4xOptions) Validate(report func(path, msg string)) {
	checkAddress("scd4x", o.Address, scd4xAddress, scd4xAddress, report)
	if o.Altitude.m < 0 || o.Altitude.m > 3000 {
		report("altitude", fmt.Sprintf("%g m is not between 0 and 3000", o.Altitude.m))
	}
	if o.Pressure != 0 && !(o.Pressure >= 700 && o.Pressure <= 1200) {
		report("pressure", fmt.Sprintf("%g hPa is not between 700 and 1200", o.Pressure))
	}
	if o.Pressure != 0 && o.Altitude.set {
		report("pressure", "not together with altitude: one of them decides")
	}
	if !(o.TemperatureOffset >= 0 && o.TemperatureOffset <= 20) {
		report("temperature_offset", fmt.Sprintf("%g °C is not between 0 and 20", o.TemperatureOffset))
	}
}

// scd4x drives an SCD4x, which measures by itself every 5 s.
type scd4x struct {
	i2cChip
	o   scd4xOptions
	due time.Time // a measurement must be there by then
}

// Shares implements sensors.Sharer: a measurement is up to five seconds away.
func (d *scd4x) Shares() {}

// Open implements sensors.Driver. A chip that still measures is stopped first:
// it takes settings only while it is idle.
func (d *scd4x) Open(ctx context.Context, b sensors.Buses) error {
	if err := d.attach(b); err != nil {
		return err
	}
	if err := d.command(ctx, scd4xStop, scd4xStopTime); err != nil {
		return err
	}
	if err := d.serial(ctx); err != nil {
		return err
	}
	return d.setUp(ctx)
}

// serial asks for the serial number, which an idle chip gives.
func (d *scd4x) serial(ctx context.Context) error {
	if err := d.command(ctx, scd4xSerial, scd4xTime); err != nil {
		return err
	}
	return d.words(ctx, make([]uint16, 3))
}

// setUp writes the settings into the chip's working memory, not its EEPROM,
// and starts it.
func (d *scd4x) setUp(ctx context.Context) error {
	offset := uint16(math.Round(d.o.TemperatureOffset * 65535 / 175)) // 3.7.1
	if err := d.command(ctx, scd4xOffset, scd4xTime, offset); err != nil {
		return err
	}
	if err := d.command(ctx, scd4xAltitude, scd4xTime, uint16(d.o.Altitude.m)); err != nil {
		return err
	}
	if d.o.Pressure != 0 { // in units of 100 Pa, 3.7.5
		if err := d.command(ctx, scd4xPressure, scd4xTime, uint16(math.Round(d.o.Pressure))); err != nil {
			return err
		}
	}
	d.due = time.Now().Add(scd4xPeriod)
	return d.command(ctx, scd4xStart, 0)
}

// Read implements sensors.Driver. It waits for the measurement under way when
// the last one has been read.
func (d *scd4x) Read(ctx context.Context) ([]sensors.Reading, error) {
	for {
		ready, err := d.ready(ctx)
		if err != nil {
			return nil, err
		}
		if ready {
			break
		}
		if !time.Now().Before(d.due) {
			return nil, d.silent(ctx)
		}
		if err := pause(ctx, scd4xPeriod/24); err != nil {
			return nil, err
		}
	}
	at := time.Now()
	d.due = at.Add(scd4xPeriod)
	if err := d.command(ctx, scd4xRead, scd4xTime); err != nil {
		return nil, err
	}
	var v [3]uint16
	if err := d.words(ctx, v[:]); err != nil {
		return nil, err
	}
	return d.readings(at, v)
}

// ready asks whether there is a measurement that was not read: the lower 11
// bits are not zero then (3.9.2).
func (d *scd4x) ready(ctx context.Context) (bool, error) {
	if err := d.command(ctx, scd4xReady, scd4xTime); err != nil {
		return false, err
	}
	var v [1]uint16
	err := d.words(ctx, v[:])
	return v[0]&0x07FF != 0, err
}

// silent explains a chip without a measurement: one that was reset is idle and
// tells its serial number, one that measures does not acknowledge.
func (d *scd4x) silent(ctx context.Context) error {
	err := d.serial(ctx)
	switch {
	case err == nil:
		return d.brownout(d.setUp(ctx))
	case sensors.ReasonOf(err) == sensors.Nack:
		return d.fault(sensors.Timeout, "no measurement within %v", scd4xPeriod)
	}
	return err
}

// readings converts the three words (3.6.2).
func (d *scd4x) readings(at time.Time, v [3]uint16) ([]sensors.Reading, error) {
	if v[0] == 0 || v[0] > 40000 {
		return nil, d.fault(sensors.OutOfRange, "CO2 %d ppm is outside 1 to 40000", v[0])
	}
	celsius := -45 + 175*float64(v[1])/65535
	if err := d.within("temperature", celsius, -10, 60, "°C"); err != nil {
		return nil, err
	}
	list, err := d.climate(at, celsius, 100*float64(v[2])/65535)
	return append(list, sensors.Reading{Entity: "co2", Value: float64(v[0]), Unit: "ppm", At: at}), err
}
