package drivers

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// thermocouple is what MAX31855 (Maxim 19-5793 Rev 5, Tables 2 to 5, p. 10) and
// MAX6675 (Maxim 19-2235 Rev 2, Table 2, p. 5) differ in.
type thermocouple struct {
	doc   string
	bytes int
	hertz int
	// longest is the time of a conversion, half as long again. A read ends one
	// that is under way: who reads again before would see the same value for ever.
	longest time.Duration
	// zeros must be 0, counted from the end.
	zeros uint32
	// floating are bits of the last byte that nobody drives; they count as ones.
	floating  byte
	low, high float64 // °C
	entities  []string
	decode    func(d *thermoSPI, word uint32, at time.Time) []sensors.Reading
}

var thermocouples = map[string]thermocouple{
	"max31855": {
		doc:   "Maxim MAX31855: temperature of a thermocouple over SPI.",
		bytes: 4, hertz: 5_000_000, longest: 150 * time.Millisecond, // t_CONV 100 ms, p. 3
		zeros: 1<<17 | 1<<3, low: -270, high: 1800,
		entities: []string{"temperature", "internal_temperature"}, decode: decode31855,
	},
	"max6675": {
		doc:   "Maxim MAX6675: temperature of a thermocouple of type K over SPI.",
		bytes: 2, hertz: 4_300_000, longest: 330 * time.Millisecond, // 220 ms, p. 2
		zeros: 1<<15 | 1<<1, floating: 1, low: 0, high: 1023.75,
		entities: []string{"temperature"}, decode: decode6675,
	},
}

func init() {
	for name, chip := range thermocouples {
		register(name, sensors.DriverSpec{
			Doc:     chip.doc,
			Options: func() any { return &thermoSPIOptions{} },
			New: func(options any, entities map[string]any) (sensors.Driver, error) {
				d := &thermoSPI{spiChip: spiChip{name: name, busID: options.(*thermoSPIOptions).Bus, hertz: chip.hertz}, chip: chip}
				return d, checkEntities(name, entities, chip.entities...)
			},
		})
	}
}

type thermoSPIOptions struct {
	Bus string `yaml:"bus" bus:"spi" doc:"SPI bus: an id from buses" req:"1" ex:"spi0"`
}

// thermoSPI drives one of the two, which convert all the time that nobody
// reads them.
type thermoSPI struct {
	spiChip
	chip  thermocouple
	ready time.Time // when the conversion since the last read is over
}

// Open implements sensors.Driver. There is nothing to set up, but somebody may
// have read the chip just now.
func (d *thermoSPI) Open(_ context.Context, b sensors.Buses) error {
	d.ready = time.Now().Add(d.chip.longest)
	return d.attach(b)
}

// Read implements sensors.Driver.
func (d *thermoSPI) Read(ctx context.Context) ([]sensors.Reading, error) {
	if err := pause(ctx, time.Until(d.ready)); err != nil {
		return nil, err
	}
	var b [4]byte
	err := d.steady(ctx, b[:d.chip.bytes], d.chip.floating)
	at := time.Now()
	d.ready = at.Add(d.chip.longest)
	if err != nil {
		return nil, err
	}
	word := binary.BigEndian.Uint32(b[:]) >> (8 * (4 - d.chip.bytes))
	switch {
	case all(b[:d.chip.bytes], 0xFF):
		return nil, d.fault(sensors.OutOfRange, "the bus reads all ones: nothing drives the data line")
	case word == uint32(d.chip.floating):
		return nil, d.fault(sensors.OutOfRange, "the bus reads all zeros: the data line is held low, or it is exactly 0 °C")
	case word&d.chip.zeros != 0:
		return nil, d.fault(sensors.WrongChip, "%0*x is not what a %s sends", 2*d.chip.bytes, word, d.name)
	}
	return d.chip.decode(d, word, at), nil
}

// decode31855: 14 bits of 0.25 °C, a bit for a fault, 12 bits of 0.0625 °C of
// the chip's own temperature, and the three faults.
func decode31855(d *thermoSPI, word uint32, at time.Time) []sensors.Reading {
	r := d.celsius(float64(int32(word)>>18)/4, at)
	faults := []struct {
		reason sensors.Reason
		text   string
	}{
		{sensors.WireBreak, "the thermocouple is open"},
		{sensors.ShortCircuit, "the thermocouple is shorted to ground"},
		{sensors.ShortCircuit, "the thermocouple is shorted to the supply"},
	}
	for bit, f := range faults {
		if word>>bit&1 != 0 {
			r.Err = d.fault(f.reason, "%s", f.text)
			break
		}
	}
	if flagged := word>>16&1 != 0; flagged != (word&7 != 0) {
		r.Err = d.fault(sensors.CRC, "%08x tells of a fault and of none", word)
	}
	internal := float64(int16(word)>>4) / 16
	return []sensors.Reading{r, {Entity: "internal_temperature", Value: internal, Unit: "°C", At: at}}
}

// decode6675: 12 bits of 0.25 °C above 0, a bit for an open input.
func decode6675(d *thermoSPI, word uint32, at time.Time) []sensors.Reading {
	r := d.celsius(float64(word>>3&0xFFF)/4, at)
	if word>>2&1 != 0 {
		r.Err = d.fault(sensors.WireBreak, "the thermocouple is open")
	}
	return []sensors.Reading{r}
}

func (d *thermoSPI) celsius(v float64, at time.Time) sensors.Reading {
	r := sensors.Reading{Entity: "temperature", Value: v, Unit: "°C", At: at}
	if v < d.chip.low || v > d.chip.high {
		r.Err = d.fault(sensors.OutOfRange, "temperature %.2f °C is outside %g to %g", v, d.chip.low, d.chip.high)
	}
	return r
}
