package drivers

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/sensors/chipsim"
)

func init() {
	suiteRows = append(suiteRows,
		suiteRow{
			driver: "aht20", addr: 0x38, chip: func() model { return chipsim.NewAHT20() },
			random: climateAnywhere(-39.9, 84.9, 1<<20),
			other:  func() chipsim.Chip { return chipsim.Stuck(0x5A) },
			want:   map[string]sensors.Reason{"address clash": sensors.CRC},
		},
		suiteRow{
			driver: "scd4x", addr: 0x62, chip: func() model { return chipsim.NewSCD4x() },
			random: func(c model, r *rand.Rand) map[string]expected {
				want := map[string]expected{
					"co2":         {1 + r.Float64()*39998, 0.5},
					"temperature": {-9.9 + r.Float64()*69.8, 0.002},
					"humidity":    {r.Float64() * 100, 0.0014},
				}
				c.(*chipsim.SCD4x).SetCO2(want["co2"].value, want["temperature"].value, want["humidity"].value)
				return want
			},
			settle: 6 * time.Second,
			other:  func() chipsim.Chip { return chipsim.Stuck(0x5A) },
			want:   map[string]sensors.Reason{"address clash": sensors.CRC},
		})
	for driver, id := range map[string]byte{"bme280": 0x60, "bmp280": 0x58} {
		suiteRows = append(suiteRows, suiteRow{
			driver: driver, addr: 0x76, chip: func() model { return chipsim.NewBME280(id, chipsim.Typical()) },
			set: func(o any) { o.(*bmeOptions).Oversampling = bmeOversampling{16, 16, 16} },
			random: func(c model, r *rand.Rand) map[string]expected {
				want := map[string]expected{
					"temperature": {-39.9 + r.Float64()*124.8, 0.0101},
					"pressure":    {301 + r.Float64()*798, 0.01},
				}
				h := r.Float64() * 100
				if driver == "bme280" {
					want["humidity"] = expected{h, 0.03}
				}
				c.(*chipsim.BME280).Set(want["temperature"].value, want["pressure"].value, h)
				return want
			},
			other: func() chipsim.Chip { return chipsim.NewBME280(id^0x38, chipsim.Typical()) },
		})
	}
}

func TestSCD4xSettingsAreWrittenAgainAfterABrownOut(t *testing.T) {
	for _, tc := range []struct {
		set                func(o *scd4xOptions)
		altitude, pressure int
	}{
		{func(o *scd4xOptions) { o.Altitude = altitude{1212, true} }, 1212, 0},
		{func(o *scd4xOptions) { o.Pressure = 987 }, 0, 987},
	} {
		row := suiteRow{
			driver: "scd4x", addr: 0x62, chip: func() model { return chipsim.NewSCD4x() },
			set: func(o any) { tc.set(o.(*scd4xOptions)); o.(*scd4xOptions).TemperatureOffset = 2.5 },
		}
		onSuite(t, row, func(t *testing.T, b *suiteBench) {
			check := func(when string) {
				a, p, offset := b.chip.(*chipsim.SCD4x).Settings()
				if a != tc.altitude || p != tc.pressure || math.Abs(offset-2.5) > 0.002 {
					t.Errorf("%s: altitude %d, pressure %d, offset %.3f", when, a, p, offset)
				}
			}
			check("open")
			b.chip.BrownOut()
			time.Sleep(10 * time.Second)
			if reason, err := b.read(t, nil); reason != sensors.Brownout {
				t.Fatal(err)
			}
			check("after a brown-out")
			if _, err := b.read(t, nil); err != nil { // waits for the first measurement
				t.Error(err)
			}
		})
	}
}

func TestAHT20OfLaterYears(t *testing.T) {
	later := func() model {
		c := chipsim.NewAHT20()
		c.Later = true
		c.BrownOut()
		return c
	}
	onSuite(t, suiteRow{driver: "aht20", addr: 0x38, chip: later}, func(t *testing.T, b *suiteBench) {
		if _, err := b.read(t, map[string]expected{"temperature": {20, 0.001}, "humidity": {50, 0.001}}); err != nil {
			t.Error(err)
		}
	})
}

func TestClimateChipsReject(t *testing.T) {
	for driver, tc := range map[string]struct {
		chip func() model
		addr uint16
		hurt func(c model)
		want sensors.Reason
	}{
		"aht20": {func() model { return chipsim.NewAHT20() }, 0x38, func(c model) { c.(*chipsim.AHT20).Set(99, 50) }, sensors.OutOfRange},
		"sht4x": {func() model { return chipsim.NewSHT4x() }, 0x44, func(c model) { c.Slow(20) }, sensors.Timeout},
		"sht3x": {func() model { return chipsim.NewSHT3x() }, 0x44, func(c model) { c.(*chipsim.SHT3x).Set(129, 50) }, sensors.OutOfRange},
		"scd4x": {func() model { return chipsim.NewSCD4x() }, 0x62, func(c model) { c.(*chipsim.SCD4x).SetCO2(0, 20, 50) }, sensors.OutOfRange},
	} {
		onSuite(t, suiteRow{driver: driver, addr: tc.addr, chip: tc.chip}, func(t *testing.T, b *suiteBench) {
			tc.hurt(b.chip)
			time.Sleep(10 * time.Second)
			if got, err := b.read(t, nil); got != tc.want {
				t.Errorf("%s: reason %q (%v), want %q", driver, got, err, tc.want)
			}
		})
	}
	onSuite(t, suiteRow{driver: "scd4x", addr: 0x62, chip: func() model { return chipsim.NewSCD4x() }}, func(t *testing.T, b *suiteBench) {
		if _, err := b.read(t, nil); err != nil {
			t.Fatal(err)
		}
		b.chip.Slow(100) // from the next measurement but one on
		for range 2 {
			if got, err := b.read(t, nil); got == sensors.Timeout {
				return
			} else if err != nil {
				t.Fatal(err)
			}
		}
		t.Error("a chip that measures once in minutes is not found out")
	})
}

func TestI2CChipOptions(t *testing.T) {
	for _, tc := range []struct {
		driver, path string
		set          func(o any)
	}{
		{"sht3x", "address", func(o any) { o.(*sht3xOptions).Address = 0x46 }},
		{"sht3x", "repeatability", func(o any) { o.(*sht3xOptions).Repeatability = "best" }},
		{"sht4x", "address", func(o any) { o.(*sht4xOptions).Address = 0x47 }},
		{"sht4x", "precision", func(o any) { o.(*sht4xOptions).Precision = "" }},
		{"aht20", "address", func(o any) { o.(*aht20Options).Address = 0x39 }},
		{"scd4x", "address", func(o any) { o.(*scd4xOptions).Address = 0x61 }},
		{"scd4x", "altitude", func(o any) { o.(*scd4xOptions).Altitude = altitude{3001, true} }},
		{"scd4x", "pressure", func(o any) { o.(*scd4xOptions).Pressure = 29.9 }},
		{"scd4x", "pressure", func(o any) {
			o.(*scd4xOptions).Pressure, o.(*scd4xOptions).Altitude = 1000, altitude{1, true}
		}},
		{"scd4x", "temperature_offset", func(o any) { o.(*scd4xOptions).TemperatureOffset = math.NaN() }},
		{"lm75", "address", func(o any) { o.(*thermoOptions).Address = 0x47 }},
		{"tmp102", "address", func(o any) { o.(*thermoOptions).Address = 0x4C }},
		{"mcp9808", "address", func(o any) { o.(*thermoOptions).Address = 0x48 }},
	} {
		if _, err := build(t, tc.driver, tc.set, nil); err == nil || !strings.HasPrefix(err.Error(), tc.path+": ") {
			t.Errorf("%s %s: New = %v", tc.driver, tc.path, err)
		}
	}
	for _, driver := range []string{"sht3x", "sht4x", "aht20", "scd4x", "lm75", "mcp9808"} {
		if _, err := build(t, driver, nil, map[string]any{"light": nil}); err == nil || !strings.HasPrefix(err.Error(), "entities.light: ") {
			t.Errorf("%s: New = %v with an entity that it does not have", driver, err)
		}
	}
}
