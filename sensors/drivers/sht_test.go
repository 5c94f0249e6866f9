package drivers

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/sensors/chipsim"
)

// climateChip is a model that measures temperature and humidity.
type climateChip interface {
	model
	Set(t, h float64)
}

// climateAnywhere puts a chip into a world within low..high °C; both values
// come back to half a count of full.
func climateAnywhere(low, high, full float64) func(c model, r *rand.Rand) map[string]expected {
	return func(c model, r *rand.Rand) map[string]expected {
		t, h := low+r.Float64()*(high-low), r.Float64()*100
		c.(climateChip).Set(t, h)
		return map[string]expected{
			"temperature": {t, 200/full/2 + 0.0006}, // and the rounding of a published value
			"humidity":    {h, 125/full/2 + 0.0006},
		}
	}
}

func init() {
	suiteRows = append(suiteRows,
		suiteRow{
			driver: "sht3x", addr: 0x44, chip: func() model { return chipsim.NewSHT3x() },
			random: climateAnywhere(-39.9, 124.9, 65535),
			other:  func() chipsim.Chip { return chipsim.Stuck(0x5A) },
			want:   map[string]sensors.Reason{"address clash": sensors.CRC},
		},
		suiteRow{
			driver: "sht4x", addr: 0x44, chip: func() model { return chipsim.NewSHT4x() },
			random: climateAnywhere(-39.9, 124.9, 65535),
			other:  func() chipsim.Chip { return chipsim.Stuck(0x5A) },
			want: map[string]sensors.Reason{
				"address clash": sensors.CRC,
				"brown-out":     "", // every command stands by itself
			},
		})
}

func TestSensirionReferenceVectors(t *testing.T) {
	for _, v := range []struct {
		word uint16
		crc  byte
	}{{0xBEEF, 0x92}, {0x01F4, 0x33}, {0x6667, 0xA2}, {0x5EB9, 0x3C}} { // SHT3x 4.12; SCD4x 3.5.2
		if got := checked(v.word)[2]; got != v.crc {
			t.Errorf("crc(%04x) = %02x, want %02x", v.word, got, v.crc)
		}
	}
	if rate := math.Abs(-45 + 175*float64(0x6667)/65535 - 25); rate > 0.01 {
		t.Errorf("0x6667 is %.3f °C away from 25", rate)
	}
}

func near75(t float64, step float64) map[string]expected {
	return map[string]expected{"temperature": {t, step/2 + 0.0001}}
}

func init() {
	for _, row := range []struct {
		driver    string
		addr      uint16
		chip      func() *chipsim.Thermometer
		low, high float64
		step      float64
	}{
		{"lm75", 0x48, chipsim.NewLM75, -54, 124, 0.5},
		{"tmp102", 0x48, chipsim.NewTMP102, -54, 124, 0.0625},
		{"tmp105", 0x48, chipsim.NewTMP105, -54, 124, 0.0625},
		{"mcp9808", 0x18, chipsim.NewMCP9808, -39, 124, 0.0625},
	} {
		suiteRows = append(suiteRows, suiteRow{
			driver: row.driver, addr: row.addr, chip: func() model { return row.chip() },
			random: func(c model, r *rand.Rand) map[string]expected {
				t := row.low + r.Float64()*(row.high-row.low)
				c.(*chipsim.Thermometer).Set(t)
				return near75(t, row.step)
			},
			settle: time.Second,
			other:  func() chipsim.Chip { return chipsim.Stuck(0x5A) },
		})
	}
}
