package drivers

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// Registers of BMP280 and BME280 (BST-BME280-DS002 1.6, Table 18, p. 27).
const (
	bmeCalibTP  = 0x88 // ..0xA1
	bmeID       = 0xD0
	bmeReset    = 0xE0
	bmeCalibH   = 0xE1 // ..0xE7
	bmeCtrlHum  = 0xF2
	bmeStatus   = 0xF3
	bmeCtrlMeas = 0xF4
	bmeConfig   = 0xF5
	bmeData     = 0xF7 // ..0xFE

	bmeResetWord = 0xB6
	bmeMeasuring = 1 << 3
	bmeImUpdate  = 1 << 0
	bmeModeMask  = 3
)

// Times of the data sheet, and how long we are ready to wait.
const (
	bmeStartUp     = 2 * time.Millisecond  // t_startup, Table 1
	bmeStartUpWait = 50 * time.Millisecond // for im_update to fall
	bmePoll        = time.Millisecond
)

func init() {
	register("bme280", bmeSpec("bme280", "Bosch BME280: temperature, humidity and pressure over I2C.", 0x60))
	register("bmp280", bmeSpec("bmp280", "Bosch BMP280: temperature and pressure over I2C.", 0x58, 0x56, 0x57))
}

func bmeSpec(name, doc string, ids ...byte) sensors.DriverSpec {
	return sensors.DriverSpec{
		Doc:     doc,
		Options: func() any { return newBMEOptions() },
		Entity:  func() any { return &bmeEntity{} },
		New: func(options any, entities map[string]any) (sensors.Driver, error) {
			return newBME280(name, ids, *options.(*bmeOptions), entities)
		},
	}
}

type bmeOptions struct {
	Bus          string          `yaml:"bus" doc:"I2C bus: an id from buses, or its number" req:"1"`
	Address      int             `yaml:"address" doc:"0x76, or 0x77 with SDO high"`
	Mode         string          `yaml:"mode" doc:"forced measures once an interval and sleeps in between, normal measures all the time" enum:"forced|normal"`
	Oversampling bmeOversampling `yaml:"oversampling" doc:"samples taken per measurement: 1, 2, 4, 8, 16; 0 switches pressure or humidity off"`
	Filter       int             `yaml:"filter" doc:"coefficient of the chip's low-pass for temperature and pressure" enum:"0|2|4|8|16"`
}

type bmeOversampling struct {
	Temperature int `yaml:"temperature" doc:"1, 2, 4, 8 or 16"`
	Pressure    int `yaml:"pressure" doc:"0, 1, 2, 4, 8 or 16"`
	Humidity    int `yaml:"humidity" doc:"0, 1, 2, 4, 8 or 16; a BMP280 has none"`
}

func newBMEOptions() *bmeOptions {
	return &bmeOptions{Address: 0x76, Mode: "forced", Oversampling: bmeOversampling{2, 4, 1}}
}

// bmeEntity is what the driver takes for one entity.
type bmeEntity struct {
	SeaLevelAltitude altitude `yaml:"sea_level_altitude" doc:"pressure only: height of the sensor above sea level in meters, as 212m; the pressure is reduced to sea level"`
}

// altitude is a height in meters, written 212 or 212m.
type altitude struct {
	m   float64
	set bool
}

// UnmarshalText takes meters, with or without the unit.
func (a *altitude) UnmarshalText(text []byte) error {
	m, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(string(text), "m")), 64)
	if err != nil || !(m >= -500 && m <= 9000) {
		return fmt.Errorf("%q is not a height in meters between -500 and 9000, as 212m", text)
	}
	*a = altitude{m, true}
	return nil
}

// String is the height with its unit, "" when there is none.
func (a altitude) String() string {
	if !a.set {
		return ""
	}
	return fmt.Sprintf("%gm", a.m)
}

// Validate reports what the chip cannot be set to.
func (o *bmeOptions) Validate(report func(path, msg string)) {
	if o.Address != 0x76 && o.Address != 0x77 {
		report("address", fmt.Sprintf("0x%02x is not an address of this chip: 0x76 or 0x77", o.Address))
	}
	if o.Mode != "forced" && o.Mode != "normal" {
		report("mode", fmt.Sprintf("%q is not forced or normal", o.Mode))
	}
	for _, s := range []struct {
		path string
		n    int
		off  bool
	}{
		{"oversampling.temperature", o.Oversampling.Temperature, false},
		{"oversampling.pressure", o.Oversampling.Pressure, true},
		{"oversampling.humidity", o.Oversampling.Humidity, true},
	} {
		if !slices.Contains([]int{1, 2, 4, 8, 16}, s.n) && !(s.off && s.n == 0) {
			report(s.path, fmt.Sprintf("%d is not 1, 2, 4, 8 or 16", s.n))
		}
	}
	if !slices.Contains([]int{0, 2, 4, 8, 16}, o.Filter) {
		report("filter", fmt.Sprintf("%d is not 0, 2, 4, 8 or 16", o.Filter))
	}
}

// bme280 drives a BME280 or BMP280.
type bme280 struct {
	i2cChip
	ids      []byte
	o        bmeOptions
	altitude altitude
	humidity bool

	w bme280Words
	// What the control registers must hold from init on; the mode bits of
	// ctrl_meas are apart, since forced mode clears them.
	ctrlHum, ctrlMeas, config, mode byte
	last                            bmeLast
}

// bmeLast are the values before, NaN before the first.
type bmeLast struct{ celsius, percent, hPa float64 }

func newBME280(name string, ids []byte, o bmeOptions, entities map[string]any) (*bme280, error) {
	chip := i2cChip{name: name, busID: o.Bus, addr: uint16(o.Address)}
	d := &bme280{i2cChip: chip, ids: ids, o: o, humidity: name == "bme280" && o.Oversampling.Humidity > 0}
	if err := validated(&o); err != nil {
		return nil, err
	}
	known := []string{"temperature", "pressure"}
	if name == "bme280" {
		known = append(known, "humidity")
	}
	for entity, opts := range entities {
		if !slices.Contains(known, entity) {
			return nil, fmt.Errorf("entities.%s: a %s measures %s", entity, name, strings.Join(known, ", "))
		}
		e, ok := opts.(*bmeEntity)
		if !ok || !e.SeaLevelAltitude.set {
			continue
		}
		if entity != "pressure" {
			return nil, fmt.Errorf("entities.%s.sea_level_altitude: belongs to entity pressure", entity)
		}
		d.altitude = e.SeaLevelAltitude
	}
	d.ctrlMeas = bmeCode(o.Oversampling.Temperature)<<5 | bmeCode(o.Oversampling.Pressure)<<2
	if d.humidity {
		d.ctrlHum = bmeCode(o.Oversampling.Humidity)
	}
	d.config = bmeFilterCode(o.Filter) << 2
	d.mode = 1
	if o.Mode == "normal" {
		// t_sb 101, 1000 ms: the one longer standby that both chips code alike
		// (Table 17, p. 26).
		d.mode = 3
		d.config |= 5 << 5
	}
	return d, nil
}

// validated runs an option struct's own Validate, for callers that come
// without a configuration loader.
func validated(o interface {
	Validate(report func(path, msg string))
}) error {
	var errs []error
	o.Validate(func(path, msg string) { errs = append(errs, fmt.Errorf("%s: %s", path, msg)) })
	return errors.Join(errs...)
}

// bmeCode is the register code of an oversampling: 0 1 2 4 8 16 -> 0..5
// (Tables 20, 23, 24).
func bmeCode(n int) byte {
	code := byte(0)
	for ; n > 0; n >>= 1 {
		code++
	}
	return code
}

// bmeFilterCode is the register code of a filter coefficient: 0 2 4 8 16 -> 0..4
// (Table 28).
func bmeFilterCode(n int) byte {
	if n == 0 {
		return 0
	}
	return bmeCode(n) - 1
}

// Open implements sensors.Driver.
func (d *bme280) Open(ctx context.Context, b sensors.Buses) error {
	if err := d.attach(b); err != nil {
		return err
	}
	return d.setUp(ctx)
}

// Read implements sensors.Driver.
func (d *bme280) Read(ctx context.Context) ([]sensors.Reading, error) {
	var ctrl [4]byte
	if err := d.get(ctx, bmeCtrlHum, ctrl[:]); err != nil {
		return nil, err
	}
	if !d.holds(ctrl[0], ctrl[2], ctrl[3]) {
		return nil, d.lost(ctx)
	}
	if d.mode == 1 {
		if err := d.measure(ctx); err != nil {
			return nil, err
		}
	}
	// One burst over control and data registers: shadowing keeps the data of
	// one measurement together (4.1, p. 23), and the settings are those that it
	// was made with.
	var all [13]byte
	if err := d.get(ctx, bmeCtrlHum, all[:d.length()]); err != nil {
		return nil, err
	}
	at := time.Now()
	if !d.holds(all[0], all[2], all[3]) {
		return nil, d.lost(ctx)
	}
	return d.readings(at, all[5:])
}

// length is how far a burst from ctrl_hum goes: a BMP280 ends at 0xFC.
func (d *bme280) length() int {
	if d.humidity {
		return 13
	}
	return 11
}

// holds says whether the control registers are as setUp left them. In normal
// mode the mode bits count too: a chip that fell asleep repeats its last value.
func (d *bme280) holds(hum, meas, config byte) bool {
	if d.mode == 3 && meas&bmeModeMask != 3 {
		return false
	}
	return meas&^bmeModeMask == d.ctrlMeas && config&^0x03 == d.config && (!d.humidity || hum&0x07 == d.ctrlHum)
}

// lost is called when the registers are not what was written. When it is the
// chip that answers, its supply broke down: it is set up again for the next
// read, and this one fails with reason brownout.
func (d *bme280) lost(ctx context.Context) error {
	if err := d.identify(ctx); err != nil {
		return err
	}
	err := errors.New("control registers were found reset")
	if again := d.setUp(ctx); again != nil {
		err = fmt.Errorf("%w; setting up again: %v", err, again)
	}
	return d.fault(sensors.Brownout, err)
}

// readings compensates the data registers 0xF7...
func (d *bme280) readings(at time.Time, data []byte) ([]sensors.Reading, error) {
	adcP := int32(data[0])<<12 | int32(data[1])<<4 | int32(data[2])>>4
	adcT := int32(data[3])<<12 | int32(data[4])<<4 | int32(data[5])>>4
	centi, fine := d.w.temperature(adcT)
	celsius := float64(centi) / 100
	if err := d.raw("temperature", adcT, 0x80000, 0xFFFFF, math.Abs(celsius-d.last.celsius) <= 1); err != nil {
		return nil, err // the others are compensated with it
	}
	if err := d.plausible("temperature", celsius, -40, 85, "°C"); err != nil {
		return nil, err
	}
	d.last.celsius = celsius
	list := []sensors.Reading{{Entity: "temperature", Value: celsius, Unit: "°C", At: at}}
	if d.humidity {
		adcH := int32(data[6])<<8 | int32(data[7])
		percent := round(float64(d.w.humidity(adcH, fine))/1024, 3)
		err := d.raw("humidity", adcH, 0x8000, 0xFFFF, math.Abs(percent-d.last.percent) <= 5)
		if err == nil {
			d.last.percent = percent
		}
		list = append(list, sensors.Reading{Entity: "humidity", Value: percent, Unit: "%", At: at, Err: err})
	}
	if d.o.Oversampling.Pressure > 0 {
		hPa := float64(d.w.pressure(adcP, fine)) / 25600
		err := d.raw("pressure", adcP, 0x80000, 0xFFFFF, math.Abs(hPa-d.last.hPa) <= 5)
		if err == nil {
			d.last.hPa = hPa
			err = d.plausible("pressure", hPa, 300, 1100, "hPa")
		}
		if d.altitude.set {
			hPa = seaLevel(hPa, d.altitude.m)
		}
		list = append(list, sensors.Reading{Entity: "pressure", Value: round(hPa, 3), Unit: "hPa", At: at, Err: err})
	}
	return list, nil
}

// raw rejects the counts that are no measurement: the ends of the converter, and
// the value of a skipped one (Tables 20, 23, 24). That is a value too, of 26.46 °C
// in one chip: it is believed when the value before was near.
func (d *bme280) raw(what string, adc, skipped, limit int32, near bool) error {
	switch {
	case adc == skipped && !near:
		return d.fault(sensors.OutOfRange, fmt.Errorf("%s 0x%x: the measurement was skipped", what, adc))
	case adc == 0, adc == limit:
		return d.fault(sensors.OutOfRange, fmt.Errorf("%s 0x%x: end of the converter's range", what, adc))
	}
	return nil
}

// plausible holds a value to the operating range of Tables 1 to 4, p. 8 ff.
func (d *bme280) plausible(what string, v, low, high float64, unit string) error {
	if v < low || v > high {
		return d.fault(sensors.OutOfRange, fmt.Errorf("%s %.2f %s is outside %g to %g", what, v, unit, low, high))
	}
	return nil
}

func round(v float64, digits int) float64 {
	scale := math.Pow10(digits)
	return math.Round(v*scale) / scale
}
