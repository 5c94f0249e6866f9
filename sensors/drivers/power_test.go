package drivers

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/sensors/chipsim"
)

func init() {
	for driver, tc := range map[string]struct {
		chip                          func() *chipsim.INA
		busMax, busLSB, drop, dropLSB float64
	}{
		"ina219": {chipsim.NewINA219, 26, 4e-3, 0.319, 10e-6},
		"ina226": {chipsim.NewINA226, 36, 1.25e-3, 0.0819, 2.5e-6},
	} {
		suiteRows = append(suiteRows, suiteRow{
			driver: driver, addr: 0x40, chip: func() model { return tc.chip() },
			random: func(c model, r *rand.Rand) map[string]expected {
				bus, drop := r.Float64()*(tc.busMax-0.01), (r.Float64()*2-1)*tc.drop
				c.(*chipsim.INA).Set(bus, drop)
				watts := math.Abs(bus*tc.dropLSB) + math.Abs(drop*tc.busLSB) + 1e-6 // half a step of both, over 0.1 ohms
				return map[string]expected{
					"voltage": {bus, tc.busLSB/2 + 1e-6}, "shunt_voltage": {drop, tc.dropLSB/2 + 1e-7},
					"current": {drop / 0.1, tc.dropLSB*5 + 1e-6}, "power": {bus * drop / 0.1, watts * 5},
				}
			},
			other: func() chipsim.Chip { return chipsim.Stuck(0x5A) },
		})
	}
}

// INA219, SBOS448G 8.5.1: a shunt of 2 mΩ at 20 mV and a bus of 11.98 V.
func TestINA219DataSheetExample(t *testing.T) {
	row := suiteRow{driver: "ina219", addr: 0x40, chip: func() model { return chipsim.NewINA219() }, set: func(o any) { o.(*inaOptions).Shunt = 0.002 }}
	onSuite(t, row, func(t *testing.T, b *suiteBench) {
		chip := b.chip.(*chipsim.INA)
		chip.Set(11.98, 0.020)
		if err := b.bus.Tx(0x40, []byte{5, 0x50, 0x00}, nil); err != nil {
			t.Fatal(err)
		}
		if err := b.bus.Tx(0x40, []byte{0, 0x39, 0x9F}, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		var r [2]byte
		if err := b.bus.Tx(0x40, []byte{0}, r[:]); err != nil {
			t.Fatal(err)
		}
		for reg, want := range map[byte]uint16{1: 0x07D0, 2: 0x5D98 | 2, 4: 0x2710, 3: 0x1766} {
			if got := chip.Register(reg); got != want {
				t.Errorf("register %d of the model = %04x, the data sheet has %04x", reg, got, want)
			}
		}
		if err := b.d.(*ina).setUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := map[string]expected{"voltage": {11.98, 1e-9}, "shunt_voltage": {0.02, 1e-9}, "current": {10, 1e-9}, "power": {119.8, 1e-9}}
		if _, err := b.read(t, want); err != nil {
			t.Error(err)
		}
	})
}

func TestINAFaultsOfTheInputs(t *testing.T) {
	for driver, chip := range map[string]func() *chipsim.INA{"ina219": chipsim.NewINA219, "ina226": chipsim.NewINA226} {
		onSuite(t, suiteRow{driver: driver, addr: 0x40, chip: func() model { return chip() }}, func(t *testing.T, b *suiteBench) {
			c := b.chip.(*chipsim.INA)
			for _, drop := range []float64{0.4, -0.4} {
				c.Set(12, drop)
				list, err := b.d.Read(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range list {
					if bad := sensors.ReasonOf(r.Err) == sensors.OutOfRange; bad != (r.Entity != "voltage") {
						t.Errorf("%s at %g V over the shunt: %s has %v", driver, drop, r.Entity, r.Err)
					}
				}
			}
			c.Set(39, 0)
			if reason, err := b.read(t, nil); reason != sensors.OutOfRange && driver == "ina226" {
				t.Errorf("%s at 39 V: %v", driver, err)
			}
			c.Set(12, 0)
			c.Slow(3)
			if reason, err := b.read(t, nil); reason != sensors.Timeout {
				t.Errorf("%s at a third of the speed: %v", driver, err)
			}
		})
	}
}

func init() {
	for driver, tc := range map[string]struct {
		chip      func() *chipsim.Thermocouple
		low, high float64
	}{
		"max31855": {chipsim.NewMAX31855, -269, 1799}, "max6675": {chipsim.NewMAX6675, 0.2, 1023},
	} {
		suiteRows = append(suiteRows, suiteRow{
			driver: driver, addr: 1, spi: thermocouples[driver].hertz, chip: func() model { return tc.chip() },
			random: func(c model, r *rand.Rand) map[string]expected {
				hot, internal := tc.low+r.Float64()*(tc.high-tc.low), -40+r.Float64()*165
				c.(*chipsim.Thermocouple).Set(hot, internal, 0)
				want := map[string]expected{"temperature": {hot, 0.125}}
				if driver == "max31855" {
					want["internal_temperature"] = expected{internal, 0.03125}
				}
				return want
			},
			settle: time.Second,
			want:   map[string]sensors.Reason{"nack": sensors.OutOfRange, "brown-out": sensors.OutOfRange}, // nothing has been measured yet
			blind:  map[string]string{"address clash": oneSelect},
		})
	}
}

func TestThermocoupleFaults(t *testing.T) {
	for _, tc := range []struct {
		driver string
		faults uint32
		want   sensors.Reason
	}{
		{"max31855", chipsim.Open, sensors.WireBreak},
		{"max31855", chipsim.ShortToGround, sensors.ShortCircuit},
		{"max31855", chipsim.ShortToSupply, sensors.ShortCircuit},
		{"max31855", 0, ""},
		{"max6675", chipsim.Open, sensors.WireBreak},
		{"max6675", 0, ""},
	} {
		chip := chipsim.NewMAX31855
		if tc.driver == "max6675" {
			chip = chipsim.NewMAX6675
		}
		onSuite(t, suiteRow{driver: tc.driver, addr: 1, chip: func() model { return chip() }}, func(t *testing.T, b *suiteBench) {
			b.chip.(*chipsim.Thermocouple).Set(100, -7.5, tc.faults)
			time.Sleep(time.Second)
			list, err := b.d.Read(t.Context())
			if err != nil || sensors.ReasonOf(list[0].Err) != tc.want {
				t.Fatalf("%s with %b: %v, %+v", tc.driver, tc.faults, err, list)
			}
			if len(list) > 1 && (list[1].Err != nil || list[1].Value != -7.5) {
				t.Errorf("%s with %b: internal %+v", tc.driver, tc.faults, list[1])
			}
		})
	}
}

// A read ends the conversion under way: who reads again too early sees the
// same value for ever.
func TestThermocoupleIsNotReadFasterThanItMeasures(t *testing.T) {
	for driver, chip := range map[string]func() *chipsim.Thermocouple{"max31855": chipsim.NewMAX31855, "max6675": chipsim.NewMAX6675} {
		onSuite(t, suiteRow{driver: driver, addr: 1, chip: func() model { return chip() }}, func(t *testing.T, b *suiteBench) {
			b.chip.Slow(1.4)
			for celsius := 20.0; celsius < 40; celsius++ {
				b.chip.(*chipsim.Thermocouple).Set(celsius, 25, 0)
				if _, err := b.read(t, map[string]expected{"temperature": {celsius, 0}}); err != nil {
					t.Fatalf("%s: %v", driver, err)
				}
			}
		})
	}
}

// MAX31855, Tables 4 and 5, p. 10: words of the data sheet.
func TestMAX31855Words(t *testing.T) {
	d := mustBuild(t, "max31855", nil, nil).(*thermoSPI)
	for _, tc := range []struct {
		word          uint32
		hot, internal float64
	}{
		{0b0110_0100_0000_00<<18 | 0b0111_1111_0000<<4, 1600, 127},
		{0b0011_1110_1000_00<<18 | 0b0110_0100_1001<<4, 1000, 100.5625},
		{0b0000_0110_0100_11<<18 | 0b0001_1001_0000<<4, 100.75, 25},
		{0b1111_1111_1111_11<<18 | 0b1111_1111_1111<<4, -0.25, -0.0625},
		{0b1111_1111_1111_00<<18 | 0b1111_1111_0000<<4, -1, -1},
		{0b1111_0000_0110_00<<18 | 0b1100_1001_0000<<4, -250, -55},
	} {
		list := decode31855(d, tc.word, time.Now())
		if list[0].Err != nil || list[0].Value != tc.hot || list[1].Value != tc.internal {
			t.Errorf("%08x = %+v, want %g and %g", tc.word, list, tc.hot, tc.internal)
		}
	}
}
