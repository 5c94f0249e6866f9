package drivers

import (
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
)

// Tables and examples of TMP102 (SBOS397), LM75A (NXP), MCP9808 (DS25095A, 5-1),
// INA219 (SBOS448, 8.6.1), INA226 (SBOS547, 7.5) and MAX6675 (19-2235).
func TestExamplesOfDataSheets(t *testing.T) {
	for _, tc := range []struct {
		chip string
		raw  uint16
		want float64
	}{
		{"tmp102", 0x7FF0, 127.9375}, {"tmp102", 0x6400, 100}, {"tmp102", 0x5000, 80}, {"tmp102", 0x4B00, 75}, {"tmp102", 0x3200, 50},
		{"tmp102", 0x1900, 25}, {"tmp102", 0x0040, 0.25}, {"tmp102", 0xFFC0, -0.25}, {"tmp102", 0xE700, -25}, {"tmp102", 0xC900, -55},
		{"lm75", 0x7F00, 127}, {"lm75", 0x7D00, 125}, {"lm75", 0x1900, 25}, {"lm75", 0x0020, 0.125}, {"lm75", 0xFFE0, -0.125}, {"lm75", 0xE720, -24.875}, {"lm75", 0xC900, -55},
		{"mcp9808", 0xC194, 25.25}, {"mcp9808", 0x1FF0, -1}, {"mcp9808", 0x1E6C, -25.25},
	} {
		if got := thermometers[tc.chip].digits(tc.raw); got != tc.want {
			t.Errorf("%s: %04x is %v, want %v", tc.chip, tc.raw, got, tc.want)
		}
	}
	for _, tc := range []struct {
		chip       string
		shunt, bus int
	}{{"ina219", 0x07D0, 0x5D98 >> 3}, {"ina226", 0x1F40, 0x2570}} {
		d := &ina{chip: inaChips[tc.chip], shunt: 0.002}
		list, err := d.readings(time.Now(), tc.shunt, tc.bus)
		if got := fmt.Sprint(values(list)); err != nil || got != "map[current:10 power:119.8 shunt_voltage:0.02 voltage:11.98]" {
			t.Errorf("%s: %s, %v", tc.chip, got, err)
		}
	}
	for word, want := range map[uint32]float64{0x0008: 0.25, 0x0320: 25, 0x7FF8: 1023.75} {
		if got := decode6675(&thermoSPI{chip: thermocouples["max6675"]}, word, time.Now())[0]; got.Value != want || got.Err != nil {
			t.Errorf("max6675: %04x is %v, %v, want %v", word, got.Value, got.Err, want)
		}
	}
}

// scriptedBus answers each read with the same bytes, and keeps what was written.
type scriptedBus struct {
	answer  []byte
	written []string
}

func (b *scriptedBus) String() string                  { return "i2c1" }
func (b *scriptedBus) SetSpeed(physic.Frequency) error { return nil }
func (b *scriptedBus) Tx(_ uint16, w, r []byte) error {
	copy(r, b.answer)
	b.written = append(b.written, fmt.Sprintf("%x", w))
	return nil
}

// BH1750FVI (ROHM, 2011.11): 1000001110010000 is 28067 lx. SCD4x (Sensirion, 1.7),
// examples of 3.7.1, 3.7.3 and 3.7.5: what 5.4 °C, 1950 m and 987 hPa are on the wire.
func TestExamplesOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wire := &scriptedBus{answer: []byte{0x83, 0x90}}
		hw := &fakeHardware{i2c: map[string]i2c.Bus{"": wire}}
		list, err := open(t, mustBuild(t, "bh1750", nil, nil), hw).Read(t.Context())
		if err != nil || math.Round(list[0].Value.(float64)) != 28067 {
			t.Errorf("bh1750: %v, %v", list, err)
		}
		*wire = scriptedBus{answer: []byte{0xBE, 0xEF, 0x92, 0xBE, 0xEF, 0x92, 0xBE, 0xEF, 0x92}}
		for _, set := range []func(o *scd4xOptions){
			func(o *scd4xOptions) { o.TemperatureOffset = 5.4; o.Altitude = altitude{1950, true} },
			func(o *scd4xOptions) { o.Pressure = 987 },
		} {
			open(t, mustBuild(t, "scd4x", func(o any) { set(o.(*scd4xOptions)) }, nil), hw)
		}
		for _, want := range []string{"241d07e648", "2427079e09", "e00003db42"} {
			found := false
			for _, w := range wire.written {
				found = found || w == want
			}
			if !found {
				t.Errorf("scd4x: %s is not among %q", want, wire.written)
			}
		}
	})
}
