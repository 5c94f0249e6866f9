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
			driver: "bh1750", addr: 0x23, chip: func() model { return chipsim.NewBH1750() },
			random: func(c model, r *rand.Rand) map[string]expected {
				lux := r.Float64() * 54000
				c.(*chipsim.BH1750).Set(lux)
				return map[string]expected{"illuminance": {lux, 0.5/1.2 + 0.006}}
			},
			want:  map[string]sensors.Reason{"brown-out": ""}, // every reading sets the chip up
			blind: map[string]string{"address clash": "nothing can be read of a BH1750 but its count, and every count is one that light can give"},
		},
		suiteRow{
			driver: "veml7700", addr: 0x10, chip: func() model { return chipsim.NewVEML7700() },
			random: func(c model, r *rand.Rand) map[string]expected {
				lux := math.Exp(r.Float64()*math.Log(120000/0.01)) * 0.01
				c.(*chipsim.VEML7700).Set(lux)
				// Gain auto keeps half a count below half a percent, but in the dark.
				return map[string]expected{"illuminance": {lux, 0.01*lux + 0.0027}}
			},
			settle: 2 * time.Second,
			other:  func() chipsim.Chip { return chipsim.Stuck(0x5A) },
		})
}

// lit is a row without a world.
func lit(driver string, addr uint16, chip func() model, set func(o any)) suiteRow {
	return suiteRow{driver: driver, addr: addr, chip: chip, set: set}
}

func TestBH1750Modes(t *testing.T) {
	for _, tc := range []struct {
		mode   string
		mt     int
		lux    float64
		within float64
	}{
		{"high", 69, 54000, 0.5}, {"high", 31, 121000, 1.1}, {"high", 254, 0.5, 0.12},
		{"high2", 69, 12.34, 0.22}, {"high2", 254, 0.2, 0.06}, {"low", 69, 1000, 2}, {"low", 138, 1000, 1},
	} {
		set := func(o any) { o.(*bh1750Options).Mode, o.(*bh1750Options).Time = tc.mode, tc.mt }
		onSuite(t, lit("bh1750", 0x23, func() model { return chipsim.NewBH1750() }, set), func(t *testing.T, b *suiteBench) {
			b.chip.(*chipsim.BH1750).Set(tc.lux)
			b.chip.Slow(1.4)
			if _, err := b.read(t, map[string]expected{"illuminance": {tc.lux, tc.within}}); err != nil {
				t.Errorf("%s, %d: %v", tc.mode, tc.mt, err)
			}
			b.chip.(*chipsim.BH1750).Set(1e6)
			if reason, err := b.read(t, nil); reason != sensors.OutOfRange {
				t.Errorf("%s, %d: %v at a million lux", tc.mode, tc.mt, err)
			}
		})
	}
}

func TestBH1750Darkness(t *testing.T) {
	onSuite(t, lit("bh1750", 0x23, func() model { return chipsim.NewBH1750() }, nil), func(t *testing.T, b *suiteBench) {
		chip := b.chip.(*chipsim.BH1750)
		dark := map[string]expected{"illuminance": {0, 0}}
		chip.Set(0)
		if _, err := b.read(t, dark); err != nil {
			t.Errorf("the dark: %v", err)
		}
		chip.Set(5000)
		first := b.bus.Transfers()
		b.bus.Fault(func(n int, _ uint16) error {
			if n == first+6 { // the measurement is under way
				chip.BrownOut()
			}
			return nil
		})
		if _, err := b.read(t, map[string]expected{"illuminance": {5000, 0.5}}); err != nil {
			t.Errorf("the supply broke down in a measurement: %v", err)
		}
		chip.Slow(2)
		if _, err := b.read(t, map[string]expected{"illuminance": {5000, 0.5}}); err != nil {
			t.Errorf("at half the speed: %v", err)
		}
	})
}

func TestVEML7700FixedRange(t *testing.T) {
	for gain := range vemlGains {
		for integration := range vemlTimes {
			r := vemlRange{gain, integration}
			set := func(o any) { o.(*vemlOptions).Gain, o.(*vemlOptions).Time = gain, integration }
			onSuite(t, lit("veml7700", 0x10, func() model { return chipsim.NewVEML7700() }, set), func(t *testing.T, b *suiteBench) {
				for _, lux := range []float64{0, 1, 100, 200} {
					b.chip.(*chipsim.VEML7700).Set(lux)
					time.Sleep(3 * time.Second)
					if _, err := b.read(t, map[string]expected{"illuminance": {lux, r.lux()*0.52 + 0.001}}); err != nil {
						t.Errorf("%v: %v", r, err)
					}
				}
				b.chip.(*chipsim.VEML7700).Set(1e6)
				time.Sleep(3 * time.Second)
				if reason, err := b.read(t, nil); reason != sensors.OutOfRange {
					t.Errorf("%v: %v at a million lux", r, err)
				}
			})
		}
	}
}

func TestLightOptions(t *testing.T) {
	for _, tc := range []struct {
		driver, path string
		set          func(o any)
	}{
		{"bh1750", "address", func(o any) { o.(*bh1750Options).Address = 0x24 }},
		{"bh1750", "mode", func(o any) { o.(*bh1750Options).Mode = "medium" }},
		{"bh1750", "measurement_time", func(o any) { o.(*bh1750Options).Time = 255 }},
		{"veml7700", "address", func(o any) { o.(*vemlOptions).Address = 0x48 }},
		{"veml7700", "gain", func(o any) { o.(*vemlOptions).Gain = "4" }},
		{"veml7700", "integration_time", func(o any) { o.(*vemlOptions).Time = "1s" }},
	} {
		if _, err := build(t, tc.driver, tc.set, nil); err == nil || !strings.HasPrefix(err.Error(), tc.path+": ") {
			t.Errorf("%s %s: New = %v", tc.driver, tc.path, err)
		}
	}
}
