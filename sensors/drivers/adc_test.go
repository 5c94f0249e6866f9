package drivers

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/sensors/chipsim"
)

const oneSelect = "a chip select has no address for two"

func init() {
	for driver, chip := range map[string]func() *chipsim.ADS1x15{"ads1115": chipsim.NewADS1115, "ads1015": chipsim.NewADS1015} {
		step := map[string]float64{"ads1115": 4.096 / 32768, "ads1015": 4.096 / 2048}[driver]
		suiteRows = append(suiteRows, suiteRow{
			driver: driver, addr: 0x48, chip: func() model { return chip() },
			entities: map[string]any{"tank": &adsEntity{Input: "a2"}, "bridge": &adsEntity{Input: "a0-a1", FullScale: "2.048V"}},
			random: func(c model, r *rand.Rand) map[string]expected {
				pins := [4]float64{2 + r.Float64(), 2 + r.Float64(), r.Float64() * 4.09, r.Float64()}
				c.(*chipsim.ADS1x15).Set(pins)
				return map[string]expected{"tank": {pins[2], step/2 + 1e-7}, "bridge": {pins[0] - pins[1], step/4 + 1e-7}}
			},
			other: func() chipsim.Chip { return chipsim.Stuck(0x5A) },
		})
	}
	for driver, chip := range map[string]func() *chipsim.MCP3x08{"mcp3008": chipsim.NewMCP3008, "mcp3208": chipsim.NewMCP3208} {
		full := map[string]float64{"mcp3008": 1024, "mcp3208": 4096}[driver]
		suiteRows = append(suiteRows, suiteRow{
			driver: driver, addr: 1, spi: mcpChips[driver].hertz, chip: func() model { return chip() },
			// Fourteen conversions: one bit flipped in each, and at least one of them is looked at.
			set:      func(o any) { o.(*mcpOptions).Average = 7 },
			entities: map[string]any{"a7": &mcpEntity{}, "slope": &mcpEntity{Input: "a3-a2"}},
			random: func(c model, r *rand.Rand) map[string]expected {
				pins := [8]float64{2: r.Float64(), 3: 1 + r.Float64(), 7: 0.01 + r.Float64()*3.28}
				c.(*chipsim.MCP3x08).Set(pins, 3.3)
				half := 3.3/full/2 + 1e-6
				return map[string]expected{"a7": {pins[7], half}, "slope": {pins[3] - pins[2], half}}
			},
			want: map[string]sensors.Reason{"nack": sensors.OutOfRange, "brown-out": ""},
			blind: map[string]string{
				"all zeros":     "0 V at every input reads the same; the filter range tells them apart where a sensor is never at 0",
				"address clash": oneSelect,
			},
		})
	}
}

// What a conversion that was given up leaves behind is never taken for the
// value of another input, and neither is anything of a chip that somebody
// else has set up before.
func TestADSNeverGivesAnotherInputsValue(t *testing.T) {
	row := suiteRow{
		driver: "ads1115", addr: 0x48, chip: func() model { return chipsim.NewADS1115() },
		set: func(o any) { o.(*adsOptions).DataRate = 8 },
	}
	onSuite(t, row, func(t *testing.T, b *suiteBench) {
		want := map[string]expected{}
		pins := [4]float64{0.5, 1.5, 2.5, 3.5}
		for i, v := range pins {
			want[fmt.Sprint("a", i)] = expected{v, 1e-4}
		}
		b.chip.(*chipsim.ADS1x15).Set(pins)
		for after := time.Millisecond; after < 480*time.Millisecond; after += 7 * time.Millisecond {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			if _, err := b.d.Read(ctx); err == nil {
				t.Fatal("four conversions at 8 a second cannot be over yet")
			}
			cancel()
			if _, err := b.read(t, want); err != nil {
				t.Fatalf("given up after %v: %v", after, err)
			}
		}
		b.chip.Slow(1.9)
		if _, err := b.read(t, want); err != nil {
			t.Errorf("at half the speed: %v", err)
		}
		b.chip.Slow(3)
		if reason, err := b.read(t, want); reason != sensors.Timeout {
			t.Errorf("at a third of the speed: %v", err)
		}
		b.chip.Slow(1)
		time.Sleep(time.Second)
		// Somebody else lets it run all the time, on another input.
		if err := b.bus.Tx(0x48, []byte{1, 0x70, 0x03}, nil); err != nil {
			t.Fatal(err)
		}
		b.d.Close()
		d := b.d.(*ads)
		if err := d.setUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := b.read(t, want); err != nil {
			t.Errorf("after somebody else: %v", err)
		}
		// Somebody else makes a conversion in the middle of ours, at any place.
		caught := 0
		for at := 1; at < 45; at++ {
			n := b.bus.Transfers()
			b.bus.Fault(func(i int, _ uint16) error {
				if i == n+at {
					b.chip.Tx(time.Now(), []byte{1, 0xF3, 0xE3}, nil) // a3, 860 a second
					time.Sleep(3 * time.Millisecond)
				}
				return nil
			})
			reason, err := b.read(t, want)
			switch {
			case reason == sensors.WrongChip:
				caught++
			case err != nil:
				t.Errorf("somebody else before transfer %d: %v", at, err)
			}
			b.bus.Fault(nil)
			time.Sleep(time.Second)
		}
		if caught < 10 {
			t.Errorf("somebody else was seen %d times of 44", caught)
		}
	})
}

func TestADCOverRange(t *testing.T) {
	for driver, chip := range map[string]func() *chipsim.ADS1x15{"ads1115": chipsim.NewADS1115, "ads1015": chipsim.NewADS1015} {
		row := suiteRow{driver: driver, addr: 0x48, chip: func() model { return chip() }, entities: map[string]any{"a0": nil, "low": &adsEntity{Input: "a1-a3"}}}
		onSuite(t, row, func(t *testing.T, b *suiteBench) {
			for _, tc := range []struct {
				pins      [4]float64
				over, low sensors.Reason
			}{
				{[4]float64{4.0959}, sensors.OutOfRange, ""},
				{[4]float64{4.0, 0, 0, 4.2}, "", sensors.OutOfRange},
				{[4]float64{4.09, 0, 0, 4.09}, "", ""},
			} {
				if driver == "ads1015" && tc.over == "" {
					tc.pins[0] -= 0.01
				}
				b.chip.(*chipsim.ADS1x15).Set(tc.pins)
				list, err := b.d.Read(t.Context())
				if err != nil || sensors.ReasonOf(list[0].Err) != tc.over || sensors.ReasonOf(list[1].Err) != tc.low {
					t.Errorf("%s at %v: %v, %+v", driver, tc.pins, err, list)
				}
			}
		})
	}
}

func TestMCPInputs(t *testing.T) {
	pins := [8]float64{0.1, 0.4, 0.8, 1.2, 1.7, 2.2, 2.8, 3.2}
	for _, driver := range []string{"mcp3008", "mcp3208"} {
		for code, input := range mcpInputs {
			row := suiteRow{
				driver: driver, addr: 1, chip: func() model { return chipsim.NewMCP3208() },
				set: func(o any) { o.(*mcpOptions).Average = 1 }, entities: map[string]any{"v": &mcpEntity{Input: input}},
			}
			if driver == "mcp3008" {
				row.chip = func() model { return chipsim.NewMCP3008() }
			}
			want := pins[code&7]
			if code < 8 {
				want = max(want-pins[code^1], 0)
			}
			onSuite(t, row, func(t *testing.T, b *suiteBench) {
				b.chip.(*chipsim.MCP3x08).Set(pins, 3.3)
				if _, err := b.read(t, map[string]expected{"v": {want, 3.3 / 1024}}); err != nil {
					t.Errorf("%s %s: %v", driver, input, err)
				}
				b.chip.(*chipsim.MCP3x08).Set([8]float64{9, 9, 9, 9, 9, 9, 9, 9}, 3.3)
				if _, err := b.read(t, nil); err != nil {
					t.Errorf("%s %s at the reference: %v", driver, input, err)
				}
			})
		}
	}
}

func TestADCOptions(t *testing.T) {
	for _, tc := range []struct {
		driver, says string
		set          func(o any)
		entities     map[string]any
	}{
		{"ads1115", "address: ", func(o any) { o.(*adsOptions).Address = 0x4C }, nil},
		{"ads1115", "data_rate: 1600", func(o any) { o.(*adsOptions).DataRate = 1600 }, nil},
		{"ads1015", "data_rate: 860", func(o any) { o.(*adsOptions).DataRate = 860 }, nil},
		{"ads1115", "full_scale: ", func(o any) { o.(*adsOptions).FullScale = "5V" }, nil},
		{"ads1115", "entities.tank: which input?", nil, map[string]any{"tank": &adsEntity{}}},
		{"ads1015", "entities.tank: which input?", nil, map[string]any{"tank": &adsEntity{Input: "a4"}}},
		{"mcp3008", "vref: ", func(o any) { o.(*mcpOptions).Reference = 0 }, nil},
		{"mcp3208", "average: ", func(o any) { o.(*mcpOptions).Average = 0 }, nil},
		{"mcp3208", "entities.tank: which input?", nil, map[string]any{"tank": &mcpEntity{Input: "a0-a2"}}},
		{"ina219", "address: ", func(o any) { o.(*inaOptions).Address = 0x50 }, nil},
		{"ina219", "shunt: 0", func(o any) { o.(*inaOptions).Shunt = 0 }, nil},
		{"ina226", "averages: 8", func(o any) { o.(*inaOptions).Averages = 8 }, nil},
		{"ina226", "entities.light: ", nil, map[string]any{"light": nil}},
		{"max31855", "entities.light: ", nil, map[string]any{"light": nil}},
		{"max6675", "entities.internal_temperature: ", nil, map[string]any{"internal_temperature": nil}},
	} {
		if _, err := build(t, tc.driver, tc.set, tc.entities); err == nil || !strings.HasPrefix(err.Error(), tc.says) {
			t.Errorf("%s: New = %v, want %s", tc.driver, err, tc.says)
		}
	}
}
