package bus

import (
	"fmt"
	"strconv"
	"strings"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// mux is a TCA9548A: eight buses behind one address. Its control register has
// one bit a channel (SCPS207, 8.6.2). Selecting a channel and talking on it is
// one visit to the parent bus, so no other driver can switch in between.
type mux struct {
	name    string
	address uint16
	parent  *Guard
}

// channel is one of the buses behind a mux.
type channel struct {
	m *mux
	n int
}

var _ i2c.Bus = (*channel)(nil)

// splitChannel takes "mux0/2" apart.
func splitChannel(id string) (name string, n int, ok bool) {
	name, digit, ok := strings.Cut(id, "/")
	if !ok || strings.HasPrefix(id, "/") {
		return "", 0, false
	}
	n, err := strconv.Atoi(digit)
	if err != nil {
		n = -1
	}
	return name, n, true
}

func (b *Buses) channel(name string, n int) (i2c.Bus, error) {
	s, ok := b.specs[name]
	switch {
	case !ok || s.Type != "tca9548a":
		return nil, &sensors.Fault{Reason: sensors.NotFound, Err: fmt.Errorf("%q is no configured multiplexer", name)}
	case n < 0 || n > 7:
		return nil, &sensors.Fault{Reason: sensors.NotFound, Err: fmt.Errorf("multiplexer %s has channels 0 to 7", name)}
	}
	number, err := i2cNumber(b.specs[s.Bus].Path)
	if err != nil {
		return nil, &sensors.Fault{Reason: sensors.NotFound, Err: err}
	}
	parent, err := b.guard(s.Bus, number)
	if err != nil {
		return nil, err
	}
	return &channel{m: &mux{name: name, address: uint16(s.Address), parent: parent}, n: n}, nil
}

// Tx implements i2c.Bus. The channel is selected before every transfer, since
// the mux may have lost its setting with its supply, and released afterwards:
// chips of two channels may share an address with one on the parent bus.
func (c *channel) Tx(addr uint16, w, r []byte) error {
	if addr == c.m.address {
		return &sensors.Fault{Reason: sensors.NotFound,
			Err: fmt.Errorf("%s address 0x%02x is the multiplexer's own", c, addr)}
	}
	out, in := append([]byte(nil), w...), make([]byte, len(r))
	err := c.m.parent.do(place{int(addr), int(c.m.address)<<3 | c.n}, func() error {
		b := c.m.parent.bus
		if err := b.Tx(c.m.address, []byte{1 << c.n}, nil); err != nil {
			return fmt.Errorf("select channel %s: %w", c, err)
		}
		err := b.Tx(addr, out, in)
		if released := b.Tx(c.m.address, []byte{0}, nil); err == nil && released != nil {
			err = fmt.Errorf("release channel %s: %w", c, released)
		}
		return err
	})
	if err == nil {
		copy(r, in)
	}
	return err
}

// SetSpeed implements i2c.Bus; see Guard.SetSpeed.
func (c *channel) SetSpeed(f physic.Frequency) error { return c.m.parent.SetSpeed(f) }

// String returns the channel's id, as "mux0/2".
func (c *channel) String() string { return c.m.name + "/" + strconv.Itoa(c.n) }
