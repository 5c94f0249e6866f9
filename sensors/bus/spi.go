package bus

import (
	"fmt"
	"syscall"
	"time"

	"periph.io/x/conn/v3"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// RawSPI is a chip select of the kernel. Tx writes w and reads r, which is as
// long, at a clock of no more than hertz.
type RawSPI interface {
	Tx(hertz int, w, r []byte) error
	Close() error
}

// SPI is one chip select: shared, bounded, and its errors have a reason. It is
// safe for concurrent use.
type SPI struct {
	*turns
	raw   RawSPI
	hertz int
}

// NewSPI takes over raw and starts its goroutine, which Close ends. bound is
// how long a transfer may take, waiting for its turn included; hertz is the
// clock of the bus.
func NewSPI(name string, raw RawSPI, hertz int, bound time.Duration) *SPI {
	return &SPI{newTurns(name, raw, bound), raw, hertz}
}

// At returns the bus for a chip whose clock may be no faster than hertz.
func (s *SPI) At(hertz int) conn.Conn { return spiChip{s, min(hertz, s.hertz)} }

type spiChip struct {
	*SPI
	hertz int
}

// Tx implements conn.Conn: r is read while w is written; they are equally long.
// It blocks for the bus's bound at most; errors are *sensors.Fault with reason
// timeout, hung, unplugged, io, ...
func (c spiChip) Tx(w, r []byte) error {
	if len(w) != len(r) {
		return &sensors.Fault{Reason: sensors.IO, Err: fmt.Errorf("%s: %w", c.name, syscall.EINVAL)}
	}
	out, in := append([]byte(nil), w...), make([]byte, len(r))
	err := c.do(place{}, func() error { return c.raw.Tx(c.hertz, out, in) })
	if err == nil {
		copy(r, in)
	}
	return err
}

// Duplex implements conn.Conn.
func (c spiChip) Duplex() conn.Duplex { return conn.Full }

// SPI implements sensors.Buses. It does not block on a busy bus.
func (b *Buses) SPI(id string, hertz int) (conn.Conn, error) {
	if b.tape != nil {
		return tapeSPI{b.tape, id}, nil
	}
	wire, err := b.openedSPI(id)
	switch {
	case err != nil:
		return nil, err
	case b.trace != nil:
		return tracedSPI{wire.At(hertz), b.trace}, nil
	}
	return wire.At(hertz), nil
}

func (b *Buses) openedSPI(id string) (*SPI, error) {
	s, ok := b.specs[id]
	if !ok || s.Type != "spi" {
		return nil, notFound("%q is no configured bus of type spi", id)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, &sensors.Fault{Reason: sensors.Shutdown, Err: fmt.Errorf("%s: %w", id, ErrClosed)}
	}
	old, ok := b.spis[s.Path]
	if ok && !old.gone.Load() {
		return old, nil
	}
	raw, err := b.openSPI(s.Path, s.Mode)
	if err != nil {
		return nil, openFault(s.Path, "spi", err)
	}
	if ok {
		if err := replaced(old, raw); err != nil {
			return nil, err
		}
	}
	bus := NewSPI(id, raw, s.Speed, transferBound)
	b.spis[s.Path] = bus
	return bus, nil
}
