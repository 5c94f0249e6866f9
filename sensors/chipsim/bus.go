package chipsim

import (
	"sync"
	"syscall"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
)

// Chip is one device on a bus. Tx is one transfer at the moment now: w is
// written, then, after a repeated start, r is read. An error is the kernel's,
// as syscall.ENXIO for "not acknowledged".
type Chip interface {
	Tx(now time.Time, w, r []byte) error
}

// Bus is an I2C bus of models. The zero value is an empty bus.
type Bus struct {
	mu    sync.Mutex
	chips map[uint16]Chip
	fault func(n int, addr uint16) error
	noise func(n int, r []byte)
	wire  Chip
	n     int
}

var _ i2c.BusCloser = (*Bus)(nil)

// Plug puts a chip at a 7-bit address; nil takes it away.
func (b *Bus) Plug(addr uint16, c Chip) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.chips == nil {
		b.chips = map[uint16]Chip{}
	}
	b.chips[addr] = c
}

// Fault sets what happens before every transfer: a non-nil error fails it, and
// a function that blocks is a transfer that hangs. n counts the transfers from
// 1. nil is a healthy bus.
func (b *Bus) Fault(f func(n int, addr uint16) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fault = f
}

// Noise sets what happens to the bytes of every transfer that reads, on their
// way to the master. n counts the transfers from 1. nil is a clean wire.
func (b *Bus) Noise(f func(n int, r []byte)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.noise = f
}

// Wire makes c answer at every address in place of the chips, as a shorted
// line does; nil repairs the wire.
func (b *Bus) Wire(c Chip) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wire = c
}

// Transfers returns how many transfers there were.
func (b *Bus) Transfers() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.n
}

// Tx implements i2c.Bus. Errors are the kernel's numbers.
func (b *Bus) Tx(addr uint16, w, r []byte) error {
	b.mu.Lock()
	b.n++
	n, fault, noise, chip := b.n, b.fault, b.noise, b.chips[addr]
	if b.wire != nil {
		chip = b.wire
	}
	b.mu.Unlock()
	if fault != nil {
		if err := fault(n, addr); err != nil {
			return err
		}
	}
	if chip == nil {
		return syscall.ENXIO
	}
	if err := chip.Tx(time.Now(), w, r); err != nil {
		return err
	}
	if noise != nil && len(r) > 0 {
		noise(n, r)
	}
	return nil
}

// SetSpeed implements i2c.Bus; like most real adapters it cannot.
func (b *Bus) SetSpeed(physic.Frequency) error {
	return syscall.ENOTSUP
}

// String names the bus.
func (b *Bus) String() string { return "chipsim" }

// Close implements i2c.BusCloser.
func (b *Bus) Close() error { return nil }

// Clash is two chips at one address. Both see every transfer; the data line is
// low when one of them pulls it.
type Clash [2]Chip

// Tx implements Chip.
func (c Clash) Tx(now time.Time, w, r []byte) error {
	other := make([]byte, len(r))
	for i := range r {
		r[i], other[i] = 0xFF, 0xFF // released by a chip that does not acknowledge
	}
	first, second := c[0].Tx(now, w, r), c[1].Tx(now, w, other)
	if first != nil && second != nil {
		return first
	}
	for i := range r {
		r[i] &= other[i]
	}
	return nil
}

// Stuck is a chip that acknowledges everything and reads one byte for ever:
// 0xFF is a data line that nobody pulls down, 0x00 one that is shorted.
type Stuck byte

// Tx implements Chip.
func (s Stuck) Tx(_ time.Time, _, r []byte) error {
	for i := range r {
		r[i] = byte(s)
	}
	return nil
}

// pointer is a chip's register pointer: a read without a write goes on where
// the last one was.
type pointer byte

// with puts the pointer before nothing, or keeps what is written first.
func (p *pointer) with(w []byte) []byte {
	if len(w) == 0 {
		return []byte{byte(*p)}
	}
	*p = pointer(w[0])
	return w
}
