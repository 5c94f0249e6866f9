package drivers

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"periph.io/x/conn/v3/i2c"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// i2cChip is a chip's place on an I2C bus: what every driver of one has.
type i2cChip struct {
	name  string // of the chip, for messages
	busID string
	addr  uint16
	bus   i2c.Bus
	again uint64 // transfers that were repeated
}

// attach finds the bus.
func (c *i2cChip) attach(b sensors.Buses) error {
	bus, err := b.I2C(c.busID)
	c.bus = bus
	return err
}

// Close implements sensors.Driver. The bus is shared and stays open.
func (c *i2cChip) Close() error { return nil }

// Bus tells whom a hung transfer of this chip holds up; it implements
// sensors.BusUser.
func (c *i2cChip) Bus() string { return c.busID }

// tx writes w and then, when there is r, reads r. One that was not acknowledged,
// or that noise or another master ended, is repeated at once: a reading takes
// many transfers. To write a register or a command twice does no harm. What a
// chip hands out only once (a measurement of an SCD4x, the ready bit of an
// INA226) may be gone with the first try; the chip then says so.
func (c *i2cChip) tx(ctx context.Context, w, r []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := c.bus.Tx(c.addr, w, r)
	if reason := sensors.ReasonOf(err); reason == sensors.Nack || reason == sensors.IO {
		c.again++
		err = c.bus.Tx(c.addr, w, r)
	}
	return err
}

// Retried implements sensors.Retrier.
func (c *i2cChip) Retried() (n uint64) {
	n, c.again = c.again, 0
	return n
}

// steady reads registers of a chip without a checksum until two reads in a row
// are the same, three at most: registers change seldom, a disturbed wire
// disturbs another bit the next time. Its failure has reason crc.
func (c *i2cChip) steady(ctx context.Context, w, into []byte) error {
	before := make([]byte, len(into))
	for i := range 3 {
		if err := c.tx(ctx, w, into); err != nil {
			return err
		}
		if i > 0 && bytes.Equal(before, into) {
			return nil
		}
		copy(before, into)
	}
	return c.fault(sensors.CRC, "three reads of % x in a row differ", w)
}

// idle reports a bus that nobody drives, seen in bytes that can be neither all
// ones nor all zeros.
func (c *i2cChip) idle(r []byte) error {
	switch {
	case all(r, 0xFF):
		return c.fault(sensors.OutOfRange, "the bus reads all ones: nothing drives the data line")
	case all(r, 0x00):
		return c.fault(sensors.OutOfRange, "the bus reads all zeros: the data line is held low")
	}
	return nil
}

func all(r []byte, v byte) bool {
	return !slices.ContainsFunc(r, func(b byte) bool { return b != v })
}

// unusedAddress is reserved by the I2C specification (UM10204, 3.1.12): no chip
// acknowledges it.
const unusedAddress = 0x7F

// shorted reports whether the data line is held low, for chips to whom all
// zeros are a value: everything seems to be acknowledged then.
func (c *i2cChip) shorted() bool {
	return c.bus.Tx(unusedAddress, nil, make([]byte, 1)) == nil
}

// poll calls once after the time that the data sheet promises and then, every
// step, for as long again, since an oscillator slower than promised is no
// reason to lose the value. It ends when once has done its work or fails.
func (c *i2cChip) poll(ctx context.Context, longest, step time.Duration, once func() (done bool, err error)) error {
	if err := pause(ctx, longest); err != nil {
		return err
	}
	for left := longest; ; left -= step {
		if done, err := once(); done || err != nil {
			return err
		}
		if left <= 0 {
			return c.fault(sensors.Timeout, "still measuring after %v", 2*longest)
		}
		if err := pause(ctx, step); err != nil {
			return err
		}
	}
}

// brownout is the failure of a chip that was found reset; again is how setting
// it up for the next read went.
func (c *i2cChip) brownout(again error) error {
	if again != nil {
		return c.fault(sensors.Brownout, "was found reset; setting up again: %v", again)
	}
	return c.fault(sensors.Brownout, "was found reset")
}

// within holds a value to the operating range of the data sheet.
func (c *i2cChip) within(what string, v, low, high float64, unit string) error {
	if !(v >= low && v <= high) {
		return c.fault(sensors.OutOfRange, "%s %.2f %s is outside %g to %g", what, v, unit, low, high)
	}
	return nil
}

func (c *i2cChip) fault(r sensors.Reason, format string, args ...any) error {
	return &sensors.Fault{Reason: r, Err: fmt.Errorf("%s at 0x%02x on %s: "+format, append([]any{c.name, c.addr, c.busID}, args...)...)}
}

// checkAddress reports an address that the chip's pins cannot give it.
func checkAddress(chip string, got, low, high int, report func(path, msg string)) {
	switch {
	case got >= low && got <= high:
	case low == high:
		report("address", fmt.Sprintf("0x%02x is not the address of a %s: 0x%02x", got, chip, low))
	default:
		report("address", fmt.Sprintf("0x%02x is not an address of a %s: 0x%02x to 0x%02x", got, chip, low, high))
	}
}

// checkWord reports an option that is none of the words it may be.
func checkWord(path, got string, words []string, report func(path, msg string)) {
	if !slices.Contains(words, got) {
		report(path, fmt.Sprintf("%q is not %s", got, strings.Join(words, " or ")))
	}
}

// checkEntities refuses entities that a chip does not measure.
func checkEntities(chip string, entities map[string]any, known ...string) error {
	for entity := range entities {
		if !slices.Contains(known, entity) {
			return fmt.Errorf("entities.%s: a %s measures %s", entity, chip, strings.Join(known, ", "))
		}
	}
	return nil
}
