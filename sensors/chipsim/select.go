package chipsim

import "time"

// Select is one chip select of an SPI bus made of a Bus: its chips are plugged
// in at numbers of the test's choice, and their Tx reads while it writes.
type Select struct {
	Bus *Bus
	// At is the chip's number.
	At uint16
	// Fastest is the chip's clock in hertz: bits are late above it. 0 is any.
	Fastest int
}

// Tx writes w and reads r, which is as long. A line without a chip reads ones:
// SPI has no acknowledgement.
func (s Select) Tx(hertz int, w, r []byte) error {
	for i := range r {
		r[i] = 0xFF
	}
	s.Bus.mu.Lock()
	empty := s.Bus.chips[s.At] == nil
	s.Bus.mu.Unlock()
	if empty {
		s.Bus.Plug(s.At, floating{})
		defer s.Bus.Plug(s.At, nil)
	}
	err := s.Bus.Tx(s.At, w, r)
	if s.Fastest > 0 && hertz > s.Fastest {
		for i := len(r) - 1; i >= 0; i-- {
			r[i] >>= 1
			if i > 0 {
				r[i] |= r[i-1] << 7
			}
		}
	}
	return err
}

// Close ends nothing.
func (s Select) Close() error { return nil }

// floating is a line that nobody drives.
type floating struct{}

func (floating) Tx(time.Time, []byte, []byte) error { return nil }
