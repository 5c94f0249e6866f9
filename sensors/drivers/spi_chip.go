package drivers

import (
	"bytes"
	"context"
	"fmt"

	"periph.io/x/conn/v3"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// spiChip is a chip at its chip select: what every driver of one has.
type spiChip struct {
	name  string // of the chip, for messages
	busID string
	hertz int // fastest clock of the chip
	bus   conn.Conn
}

// attach finds the bus.
func (c *spiChip) attach(b sensors.Buses) error {
	bus, err := b.SPI(c.busID, c.hertz)
	c.bus = bus
	return err
}

// Close implements sensors.Driver. The bus is shared and stays open.
func (c *spiChip) Close() error { return nil }

// Bus implements sensors.BusUser.
func (c *spiChip) Bus() string { return c.busID }

// tx reads into r while it writes w.
func (c *spiChip) tx(ctx context.Context, w, r []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return c.bus.Tx(w, r)
}

// steady reads a chip that takes no commands until two reads in a row are the
// same, three at most; bits of the last byte that float count as ones. Its
// failure has reason crc.
func (c *spiChip) steady(ctx context.Context, into []byte, floating byte) error {
	before, nothing := make([]byte, len(into)), make([]byte, len(into))
	for i := range 3 {
		if err := c.tx(ctx, nothing, into); err != nil {
			return err
		}
		into[len(into)-1] |= floating
		if i > 0 && bytes.Equal(before, into) {
			return nil
		}
		copy(before, into)
	}
	return c.fault(sensors.CRC, "three reads in a row differ")
}

func (c *spiChip) fault(r sensors.Reason, format string, args ...any) error {
	return &sensors.Fault{Reason: r, Err: fmt.Errorf("%s on %s: "+format, append([]any{c.name, c.busID}, args...)...)}
}
