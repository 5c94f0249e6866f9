package drivers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

func init() {
	register("w1_therm", sensors.DriverSpec{
		Doc:     "1-Wire thermometers that the kernel's w1_therm driver reads: DS18B20, DS18S20, DS1822, DS1825, DS28EA00, and the thermocouples of MAX31850 and MAX31851.",
		Options: func() any { return &w1Options{} },
		Entity:  func() any { return &w1Entity{} },
		New: func(options any, entities map[string]any) (sensors.Driver, error) {
			return newW1(*options.(*w1Options), entities)
		},
	})
}

type w1Options struct {
	Address    string `yaml:"address" doc:"the sensor, as 28-3c01e076877d; without it all that are there, each an entity named by its address"`
	Resolution int    `yaml:"resolution" doc:"bits, 9 to 12: a conversion takes 94 to 750 ms; 0 leaves it as it is"`
}

type w1Entity struct {
	Address string `yaml:"address" doc:"the sensor of this entity, for several in one device"`
}

// w1Families are the kinds of chip that w1_therm knows, by their family codes.
var w1Families = []string{"10-", "22-", "28-", "3b-", "42-"}

func checkW1Address(report func(path, msg string), address string) {
	_, serial, ok := strings.Cut(address, "-")
	if address != "" && (!ok || !slices.Contains(w1Families, address[:min(3, len(address))]) || len(serial) != 12 || strings.Trim(serial, "0123456789abcdef") != "") {
		report("address", fmt.Sprintf("%q is no thermometer, as 28-3c01e076877d; families are 10, 22, 28, 3b and 42", address))
	}
}

// Validate reports what no sensor can be.
func (o *w1Options) Validate(report func(path, msg string)) {
	checkW1Address(report, o.Address)
	if o.Resolution != 0 && (o.Resolution < 9 || o.Resolution > 12) {
		report("resolution", fmt.Sprintf("%d is not 9 to 12", o.Resolution))
	}
}

// Validate reports what no sensor can be.
func (e *w1Entity) Validate(report func(path, msg string)) { checkW1Address(report, e.Address) }

const w1Devices = "/sys/bus/w1/devices/"

// w1Therm reads thermometers of all 1-Wire buses.
type w1Therm struct {
	w1Options
	wanted  map[string]string // address by entity; nil: all that are there
	kernel  kernel
	sensors []w1Sensor
}

type w1Sensor struct {
	entity, address string
	last            float64 // newest valid one, NaN before the first
}

func newW1(o w1Options, entities map[string]any) (*w1Therm, error) {
	d := &w1Therm{w1Options: o}
	if err := validated(&o); err != nil {
		return nil, err
	}
	for name, options := range entities {
		e, ok := options.(*w1Entity)
		if !ok || e.Address == "" {
			continue
		}
		if err := validated(e); err != nil {
			return nil, fmt.Errorf("entities.%s.%w", name, err)
		}
		if d.wanted == nil {
			d.wanted = map[string]string{}
		}
		d.wanted[name] = e.Address
	}
	switch {
	case d.wanted != nil && o.Address != "":
		return nil, errors.New("address: not together with addresses of entities")
	case d.wanted != nil && len(d.wanted) < len(entities):
		return nil, errors.New("entities: each needs its address, or none")
	case o.Address != "":
		entity, err := oneEntity("", "temperature", entities)
		if err != nil {
			return nil, err
		}
		d.wanted = map[string]string{entity: o.Address}
	}
	return d, nil
}

// Bus implements sensors.BusUser: a conversion keeps its bus busy.
func (d *w1Therm) Bus() string { return "w1" }

// Open finds the sensors and sets their resolution. One that is missing is no
// reason not to read the others.
func (d *w1Therm) Open(_ context.Context, b sensors.Buses) error {
	d.kernel, d.sensors = kernelOf(b), nil
	if err := d.find(); err != nil {
		return err
	}
	if len(d.sensors) == 0 {
		return &sensors.Fault{Reason: sensors.NotFound, Err: errors.New("no 1-Wire thermometer; is the overlay w1-gpio loaded?")}
	}
	var missing []string
	for _, s := range d.sensors {
		if !d.kernel.exists(w1Devices + s.address) {
			missing = append(missing, s.address)
		}
	}
	if len(missing) == len(d.sensors) {
		return &sensors.Fault{Reason: sensors.NotFound, Err: fmt.Errorf("no 1-Wire sensor %s", strings.Join(missing, ", "))}
	}
	return nil
}

// find adds the sensors that were not known before: those that are configured,
// or any that is there now.
func (d *w1Therm) find() error {
	wanted := d.wanted
	if wanted == nil {
		wanted = map[string]string{}
		for _, dir := range d.kernel.glob(w1Devices + "*-*") {
			if address := path.Base(dir); slices.Contains(w1Families, address[:min(3, len(address))]) {
				wanted[sensors.EntityName(address)] = address
			}
		}
	}
	for _, entity := range slices.Sorted(maps.Keys(wanted)) {
		s := w1Sensor{entity: entity, address: wanted[entity], last: math.NaN()}
		if slices.ContainsFunc(d.sensors, func(known w1Sensor) bool { return known.address == s.address }) {
			continue
		}
		if d.kernel.exists(w1Devices + s.address) {
			if err := d.setResolution(s); err != nil {
				return err
			}
		}
		d.sensors = append(d.sensors, s)
	}
	return nil
}

func (d *w1Therm) setResolution(s w1Sensor) error {
	file := w1Devices + s.address + "/resolution"
	if d.Resolution == 0 {
		return nil
	}
	if now, err := d.kernel.number(file); err == nil && int(now) == d.Resolution {
		return nil
	}
	return d.kernel.write(file, strconv.Itoa(d.Resolution)+"\n")
}

// Read returns every sensor; one that fails carries its reason.
func (d *w1Therm) Read(ctx context.Context) ([]sensors.Reading, error) {
	if d.wanted == nil {
		if err := d.find(); err != nil {
			return nil, err
		}
	}
	if len(d.sensors) > 1 {
		if err := d.convertAll(ctx); err != nil {
			return nil, err
		}
	}
	list := make([]sensors.Reading, 0, len(d.sensors))
	for i := range d.sensors {
		if err := ctx.Err(); err != nil {
			return list, err
		}
		s := &d.sensors[i]
		v, err := d.read(s)
		if err == nil {
			s.last = v
		}
		list = append(list, sensors.Reading{Entity: s.entity, Value: v, Unit: "°C", At: time.Now(), Err: err})
	}
	if len(list) == 1 {
		return list, list[0].Err
	}
	return list, nil
}

// convertAll lets all sensors of a bus convert at the same time, where the
// kernel can do that (since 5.8): then reading one only fetches its result.
func (d *w1Therm) convertAll(ctx context.Context) error {
	for _, file := range d.kernel.glob(w1Devices + "w1_bus_master*/therm_bulk_read") {
		if d.kernel.write(file, "trigger\n") != nil {
			continue // each converts by itself when it is read
		}
		for state, err := d.kernel.number(file); err == nil && state < 0; state, err = d.kernel.number(file) {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	return nil
}

func (d *w1Therm) read(s *w1Sensor) (float64, error) {
	text, err := d.kernel.text(w1Devices + s.address + "/w1_slave")
	if sensors.ReasonOf(err) == sensors.NotFound {
		return 0, &sensors.Fault{Reason: sensors.Unplugged, Err: err}
	}
	if err != nil {
		return 0, err
	}
	pad, v, err := parseW1(text, s.address[:2])
	if err != nil {
		return 0, err
	}
	if found := w1Resolution(pad); d.Resolution != 0 && s.address[:2] != "10" && found != d.Resolution {
		if err := d.setResolution(*s); err != nil {
			return 0, err
		}
		return 0, &sensors.Fault{Reason: sensors.Brownout, Err: fmt.Errorf("%s has its resolution back at %d bits", s.address, found)}
	}
	// 85 °C is what a sensor shows that lost its supply before it converted.
	if v == 85 && !(math.Abs(s.last-v) <= 5) && !isThermocouple(pad, s.address[:2]) {
		before := "there was none before"
		if !math.IsNaN(s.last) {
			before = fmt.Sprintf("the one before was %v", s.last)
		}
		return 0, &sensors.Fault{Reason: sensors.Brownout, Err: fmt.Errorf("%s shows 85 °C, its value after a reset; %s", s.address, before)}
	}
	return v, nil
}

// Close has nothing to release.
func (d *w1Therm) Close() error { return nil }
