package drivers

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// mcpInputs are the inputs by SGL/DIFF and D2 to D0 (Microchip DS21295D and
// DS21298E, Table 5-2).
var mcpInputs = []string{
	"a0-a1", "a1-a0", "a2-a3", "a3-a2", "a4-a5", "a5-a4", "a6-a7", "a7-a6",
	"a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7",
}

// mcpChip is what the two differ in. Their clocks are those at 2.7 V.
type mcpChip struct {
	doc   string
	bits  int
	hertz int
}

var mcpChips = map[string]mcpChip{
	"mcp3008": {"Microchip MCP3008 (and MCP3004): eight voltages with 10 bits over SPI.", 10, 1_350_000},
	"mcp3208": {"Microchip MCP3208 (and MCP3204): eight voltages with 12 bits over SPI.", 12, 1_000_000},
}

func init() {
	for name, chip := range mcpChips {
		register(name, sensors.DriverSpec{
			Doc:     chip.doc,
			Options: func() any { return &mcpOptions{Reference: 3.3, Average: 16} },
			Entity:  func() any { return &mcpEntity{} },
			New: func(options any, entities map[string]any) (sensors.Driver, error) {
				o := *options.(*mcpOptions)
				if err := validated(&o); err != nil {
					return nil, err
				}
				d := &mcp{spiChip: spiChip{name: name, busID: o.Bus, hertz: chip.hertz}, bits: chip.bits, o: o}
				for _, entity := range inputNames(entities, mcpInputs[8:]) {
					input := entity
					if e, ok := entities[entity].(*mcpEntity); ok {
						input = first(e.Input, input)
					}
					code := slices.Index(mcpInputs, input)
					if code < 0 {
						return nil, fmt.Errorf("entities.%s: which input? give input: a0 to a7, or a pair as a0-a1", entity)
					}
					d.channels = append(d.channels, mcpChannel{entity, code})
				}
				return d, nil
			},
		})
	}
}

type mcpOptions struct {
	Bus       string  `yaml:"bus" bus:"spi" doc:"SPI bus: an id from buses" req:"1" ex:"spi0"`
	Reference float64 `yaml:"vref" doc:"voltage at the pin VREF"`
	Average   int     `yaml:"average" doc:"conversions of one reading, 1 to 256"`
}

type mcpEntity struct {
	Input string `yaml:"input" doc:"pin, or the difference of a pair; not needed for an entity that is called like one" enum:"a0|a1|a2|a3|a4|a5|a6|a7|a0-a1|a1-a0|a2-a3|a3-a2|a4-a5|a5-a4|a6-a7|a7-a6"`
}

// Validate reports what cannot be.
func (o *mcpOptions) Validate(report func(path, msg string)) {
	if !(o.Reference >= 0.25 && o.Reference <= 7) {
		report("vref", fmt.Sprintf("%g V cannot be at VREF: 0.25 V to the supply", o.Reference))
	}
	if o.Average < 1 || o.Average > 256 {
		report("average", fmt.Sprintf("%d is not between 1 and 256", o.Average))
	}
}

type mcpChannel struct {
	entity string
	code   int
}

// mcp drives one of the two. They have neither registers nor a checksum, but
// say every result twice: the highest bit first and then the lowest bit first
// (DS21295D, Figure 5-2, p. 20; DS21298E, Figure 5-2).
type mcp struct {
	spiChip
	bits     int
	o        mcpOptions
	channels []mcpChannel
}

// Open implements sensors.Driver. There is nothing to set up.
func (d *mcp) Open(_ context.Context, b sensors.Buses) error { return d.attach(b) }

// Read implements sensors.Driver.
func (d *mcp) Read(ctx context.Context) ([]sensors.Reading, error) {
	var list []sensors.Reading
	for _, c := range d.channels {
		sum := 0
		for range d.o.Average {
			n, err := d.convert(ctx, c.code)
			if err != nil {
				return nil, err
			}
			sum += n
		}
		volts := float64(sum) / float64(d.o.Average) * d.o.Reference / float64(int(1)<<d.bits)
		list = append(list, sensors.Reading{Entity: c.entity, Value: round(volts, 6), Unit: "V", At: time.Now()})
	}
	return list, nil
}

// convert makes one conversion of 40 clocks: the start bit, what to measure, a
// clock to sample in, a bit that is 0, and then the result, whose last bit is
// the 24th. Back from there it comes again, without its last bit.
func (d *mcp) convert(ctx context.Context, code int) (int, error) {
	var w, r [5]byte
	null := 23 - d.bits // clocks before the bit that is 0
	binary.BigEndian.PutUint32(w[:], uint32(1<<4|code)<<(32-(null-1)))
	if err := d.tx(ctx, w[:], r[:]); err != nil {
		return 0, err
	}
	word, again := binary.BigEndian.Uint32(r[:])>>8, binary.BigEndian.Uint16(r[3:])
	n := word & (1<<d.bits - 1)
	switch {
	case all(r[2:], 0xFF):
		return 0, d.fault(sensors.OutOfRange, "the bus reads all ones: nothing drives the data line")
	case word>>d.bits&1 != 0, bits.Reverse16(again) != uint16(n>>1): // zeros follow the second result
		return 0, d.fault(sensors.CRC, "the two halves of % x differ", r)
	}
	return int(n), nil
}
