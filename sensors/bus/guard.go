package bus

import (
	"fmt"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
)

// Guard is an I2C bus that is shared, bounded and gives its errors a reason.
// It is safe for concurrent use.
type Guard struct {
	*turns
	bus i2c.BusCloser
}

var _ i2c.Bus = (*Guard)(nil)

// NewGuard takes over b and starts its goroutine, which Close ends. A transfer
// may take as long as bound, waiting for its turn included; bound must be
// longer than the adapter's own time-out (one second in most kernels), or that
// one is reported as hung.
func NewGuard(name string, b i2c.BusCloser, bound time.Duration) *Guard {
	return &Guard{newTurns(name, b, bound), b}
}

// Tx implements i2c.Bus: w is written to the 7-bit address, then r is read, as
// one transfer. It blocks for the guard's bound at most; errors are
// *sensors.Fault with reason nack, timeout, hung, unplugged, io, ...
func (g *Guard) Tx(addr uint16, w, r []byte) error {
	out, in := append([]byte(nil), w...), make([]byte, len(r))
	err := g.do(place{address: int(addr)}, func() error { return g.bus.Tx(addr, out, in) })
	if err == nil {
		copy(r, in)
	}
	return err
}

// SetSpeed implements i2c.Bus. The speed of a shared bus is the device tree's.
func (g *Guard) SetSpeed(physic.Frequency) error {
	return fmt.Errorf("%s: the speed of a bus is set in the device tree (dtparam=i2c_arm_baudrate=...)", g.name)
}
