package oracles

import (
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/devices/v3/ads1x15"
	"periph.io/x/devices/v3/aht20"
	"periph.io/x/devices/v3/bmxx80"
	"periph.io/x/devices/v3/ina219"
	"periph.io/x/devices/v3/mcp9808"
	"periph.io/x/devices/v3/scd4x"
	"periph.io/x/devices/v3/tmp102"
	"tinygo.org/x/drivers/sht3x"
	"tinygo.org/x/drivers/sht4x"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/sensors/chipsim"
	"github.com/dunlin-mqtt/dunlin/sensors/drivers"
	"github.com/dunlin-mqtt/dunlin/serial"
	"github.com/dunlin-mqtt/dunlin/serial/modbus"
)

// hardware is one I2C bus.
type hardware struct{ i2c.Bus }

func (h hardware) I2C(string) (i2c.Bus, error) { return h.Bus, nil }
func (hardware) I2CNumber(string) (int, error) { return 0, errors.New("no numbers") }
func (hardware) SPI(string, int) (conn.Conn, error) {
	return nil, errors.New("no SPI")
}
func (hardware) Line(sensors.LineOptions) (sensors.Line, error) {
	return nil, errors.New("no lines")
}
func (hardware) Port(serial.Config) (serial.Port, error) { return nil, errors.New("no ports") }
func (hardware) Modbus(string) (*modbus.Master, error)   { return nil, errors.New("no lines") }
func (hardware) Root() string                            { return "/" }

// patient gives a chip its time between the command and the answer: periph's
// scd4x asks for both in one transfer, where the data sheet wants 1 ms.
type patient struct{ i2c.Bus }

func (p patient) Tx(addr uint16, w, r []byte) error {
	if len(r) == 0 {
		return p.Bus.Tx(addr, w, r)
	}
	if err := p.Bus.Tx(addr, w, nil); err != nil {
		return err
	}
	time.Sleep(time.Millisecond)
	return p.Bus.Tx(addr, nil, r)
}

// world is what the models are put into and what is read of it.
type world struct{ t, p, h, co2, v, a float64 }

// oracle is another driver for one of our chips.
type oracle struct {
	driver string
	addr   uint16
	within world // how far the two may differ: their rounding
	low    float64
	high   float64 // °C
	chip   func() chipsim.Chip
	set    func(c chipsim.Chip, w world)
	open   func(b i2c.Bus) (func() (world, error), error)
}

func climate(e physic.Env) world {
	return world{
		t: float64(e.Temperature-physic.ZeroCelsius) / float64(physic.Kelvin),
		p: float64(e.Pressure) / float64(physic.Pascal) / 100,
		h: float64(e.Humidity) / float64(physic.PercentRH),
	}
}

// senser is the method that periph's environmental drivers share.
type senser interface{ Sense(*physic.Env) error }

func sense(d senser, err error) (func() (world, error), error) {
	return func() (world, error) {
		var e physic.Env
		err := d.Sense(&e)
		return climate(e), err
	}, err
}

// adc makes an oracle of one of periph's converters. It reads when a conversion
// at the nominal speed is just over; our models need 30 µs more, which a chip
// that is a little fast gives it.
func adc(driver string, within float64, chip func() *chipsim.ADS1x15, open func(i2c.Bus, *ads1x15.Opts) (*ads1x15.Dev, error)) oracle {
	return oracle{
		driver: driver, addr: 0x48, within: world{v: within},
		chip: func() chipsim.Chip { c := chip(); c.Slow(0.9); return c },
		set:  func(c chipsim.Chip, w world) { c.(*chipsim.ADS1x15).Set([4]float64{w.v, 1, 2, 3}) },
		open: func(b i2c.Bus) (func() (world, error), error) {
			d, err := open(b, &ads1x15.DefaultOpts)
			if err != nil {
				return nil, err
			}
			pin, err := d.PinForChannel(ads1x15.Channel0, 4096*physic.MilliVolt, 100*physic.Hertz, ads1x15.BestQuality)
			return func() (world, error) {
				s, err := pin.Read()
				return world{v: float64(s.V) / float64(physic.Volt)}, err
			}, err
		},
	}
}

func thermometer(c chipsim.Chip, w world) { c.(*chipsim.Thermometer).Set(w.t) }

var oracles = []oracle{
	{
		driver: "bme280", addr: 0x76, low: -39, high: 84, within: world{t: 0.011, p: 0.01, h: 0.01},
		chip: func() chipsim.Chip { return chipsim.NewBME280(0x60, chipsim.Typical()) },
		set:  func(c chipsim.Chip, w world) { c.(*chipsim.BME280).Set(w.t, w.p, w.h) },
		open: func(b i2c.Bus) (func() (world, error), error) {
			return sense(bmxx80.NewI2C(b, 0x76, &bmxx80.Opts{Temperature: bmxx80.O2x, Pressure: bmxx80.O4x, Humidity: bmxx80.O1x}))
		},
	},
	adc("ads1115", 2e-6, chipsim.NewADS1115, ads1x15.NewADS1115),
	adc("ads1015", 2e-6, chipsim.NewADS1015, ads1x15.NewADS1015),
	{
		// The oracle's current is in steps of 0.1 mA.
		driver: "ina219", addr: 0x40, within: world{v: 1e-6, a: 4e-4},
		chip: func() chipsim.Chip { return chipsim.NewINA219() },
		set:  func(c chipsim.Chip, w world) { c.(*chipsim.INA).Set(w.v, w.a*0.1) },
		open: func(b i2c.Bus) (func() (world, error), error) {
			d, err := ina219.New(b, &ina219.Opts{})
			return func() (world, error) {
				s, err := d.Sense()
				if err == nil { // what it read is of the time before: its chip converts when it is looked at
					time.Sleep(time.Second)
					s, err = d.Sense()
				}
				return world{v: float64(s.Voltage) / float64(physic.Volt), a: float64(s.Current) / float64(physic.Ampere)}, err
			}, err
		},
	},
	{
		driver: "aht20", addr: 0x38, low: -39, high: 84, within: world{t: 0.001, h: 0.001},
		chip: func() chipsim.Chip { return chipsim.NewAHT20() },
		set:  func(c chipsim.Chip, w world) { c.(*chipsim.AHT20).Set(w.t, w.h) },
		open: func(b i2c.Bus) (func() (world, error), error) { return sense(aht20.NewI2C(b, nil)) },
	},
	{
		driver: "mcp9808", addr: 0x18, low: -39, high: 124, within: world{t: 0.0001},
		chip: func() chipsim.Chip { return chipsim.NewMCP9808() }, set: thermometer,
		open: func(b i2c.Bus) (func() (world, error), error) { return sense(mcp9808.New(b, &mcp9808.DefaultOpts)) },
	},
	{
		driver: "tmp102", addr: 0x48, low: -39, high: 124, within: world{t: 0.0001},
		chip: func() chipsim.Chip { return chipsim.NewTMP102() }, set: thermometer,
		open: func(b i2c.Bus) (func() (world, error), error) { return sense(tmp102.NewI2C(b, 0x48, nil)) },
	},
	{
		driver: "scd4x", addr: 0x62, low: -9, high: 59, within: world{t: 0.01, h: 0.01, co2: 0.5},
		chip: func() chipsim.Chip { return chipsim.NewSCD4x() },
		set:  func(c chipsim.Chip, w world) { c.(*chipsim.SCD4x).SetCO2(w.co2, w.t, w.h) },
		open: func(b i2c.Bus) (func() (world, error), error) {
			d, err := scd4x.NewI2C(patient{b}, 0x62)
			return func() (world, error) {
				var e scd4x.Env
				err := d.Sense(&e)
				w := climate(e.Env)
				w.co2 = float64(e.CO2)
				return w, err
			}, err
		},
	},
	{
		// Above 118 °C the oracle's 32 bits overflow.
		driver: "sht3x", addr: 0x44, low: -39, high: 118, within: world{t: 0.002, h: 0.011},
		chip: func() chipsim.Chip { return chipsim.NewSHT3x() },
		set:  func(c chipsim.Chip, w world) { c.(*chipsim.SHT3x).Set(w.t, w.h) },
		open: func(b i2c.Bus) (func() (world, error), error) {
			d := sht3x.New(b)
			return func() (world, error) {
				t, h, err := d.ReadTemperatureHumidity()
				return world{t: float64(t) / 1000, h: float64(h) / 100}, err
			}, nil
		},
	},
	{
		driver: "sht4x", addr: 0x44, low: -39, high: 124, within: world{t: 0.004, h: 0.004},
		chip: func() chipsim.Chip { return chipsim.NewSHT4x() },
		set:  func(c chipsim.Chip, w world) { c.(*chipsim.SHT4x).Set(w.t, w.h) },
		open: func(b i2c.Bus) (func() (world, error), error) {
			d := sht4x.New(b)
			return func() (world, error) {
				t, h, err := d.ReadTemperatureHumidity()
				return world{t: float64(t) / 1000, h: float64(h) / 1000}, err
			}, nil
		},
	},
}

// ours is dunlin's driver as an oracle.
func ours(t *testing.T, name string, b i2c.Bus) func() (world, error) {
	t.Helper()
	spec := drivers.Table()[name]
	o := spec.Options()
	reflect.ValueOf(o).Elem().FieldByName("Bus").SetString("i2c1")
	d, err := spec.New(o, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Open(t.Context(), hardware{b}); err != nil {
		t.Fatal(err)
	}
	return func() (w world, err error) {
		list, err := d.Read(t.Context())
		to := map[string]*float64{"a0": &w.v, "voltage": &w.v, "current": &w.a, "temperature": &w.t, "pressure": &w.p, "humidity": &w.h, "co2": &w.co2}
		for _, r := range list {
			if v := to[r.Entity]; v != nil {
				*v = r.Value.(float64)
			}
		}
		return w, err
	}
}

// Two chips in the same world, one read by us and one by the oracle.
func TestDriversAgreeWithOthers(t *testing.T) {
	for _, o := range oracles {
		t.Run(o.driver, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { compare(t, o) })
		})
	}
}

func compare(t *testing.T, o oracle) {
	chips, buses := [2]chipsim.Chip{o.chip(), o.chip()}, [2]*chipsim.Bus{{}, {}}
	for i := range chips {
		buses[i].Plug(o.addr, chips[i])
	}
	mine := ours(t, o.driver, buses[0])
	other, err := o.open(buses[1])
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(6, uint64(o.addr)))
	for range 500 {
		w := world{o.low + r.Float64()*(o.high-o.low), 310 + r.Float64()*780, 1 + r.Float64()*98, 400 + r.Float64()*30000, r.Float64() * 4, r.Float64()*6 - 3}
		for _, c := range chips {
			o.set(c, w)
		}
		time.Sleep(6 * time.Second) // the slowest measures every 5 s
		a, err := mine()
		if err != nil {
			t.Fatal(err)
		}
		b, err := other()
		if err != nil {
			t.Fatalf("the oracle: %v", err)
		}
		for _, v := range [][3]float64{{a.t, b.t, o.within.t}, {a.p, b.p, o.within.p}, {a.h, b.h, o.within.h}, {a.co2, b.co2, o.within.co2}, {a.v, b.v, o.within.v}, {a.a, b.a, o.within.a}} {
			if math.Abs(v[0]-v[1]) > v[2] {
				t.Fatalf("at %+v: ours %+v, the oracle's %+v", w, a, b)
			}
		}
	}
}
