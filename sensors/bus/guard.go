package bus

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// Guard is an I2C bus that is shared, bounded and gives its errors a reason.
// It is safe for concurrent use.
type Guard struct {
	name  string
	bus   i2c.BusCloser
	bound time.Duration
	// work hands a transfer to the one goroutine that touches the bus; that it
	// is unbuffered is the rule of one at a time.
	work    chan *transfer
	closing chan struct{}
	done    chan struct{} // the goroutine ended
	once    sync.Once
	// overdue counts the callers that gave up on the transfer under way.
	overdue atomic.Int32
	gone    atomic.Bool // ErrGone was seen: the bus is of no more use
}

// transfer owns its buffers: a transfer that returns late must not write into
// memory that its caller has taken back.
type transfer struct {
	run  func(i2c.Bus) error
	err  error
	done chan struct{}
}

var _ i2c.Bus = (*Guard)(nil)

// NewGuard takes over b and starts its goroutine, which Close ends. A transfer
// may take as long as bound, waiting for its turn included; bound must be
// longer than the adapter's own time-out (one second in most kernels), or that
// one is reported as hung.
func NewGuard(name string, b i2c.BusCloser, bound time.Duration) *Guard {
	g := &Guard{
		name: name, bus: b, bound: bound,
		work: make(chan *transfer), closing: make(chan struct{}), done: make(chan struct{}),
	}
	go g.loop()
	return g
}

func (g *Guard) loop() {
	defer close(g.done)
	for {
		select {
		case t := <-g.work:
			t.err = g.protected(t.run)
			g.overdue.Store(0)
			close(t.done)
		case <-g.closing:
			return
		}
	}
}

// protected runs one transfer; a panic below it fails that transfer only.
func (g *Guard) protected(run func(i2c.Bus) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: panic: %v", ErrBus, p)
		}
	}()
	return run(g.bus)
}

// Tx implements i2c.Bus: w is written to the 7-bit address, then r is read, as
// one transfer. It blocks for the guard's bound at most; errors are
// *sensors.Fault with reason nack, timeout, hung, unplugged, io, ...
func (g *Guard) Tx(addr uint16, w, r []byte) error {
	out, in := append([]byte(nil), w...), make([]byte, len(r))
	err := g.do(addr, func(b i2c.Bus) error { return b.Tx(addr, out, in) })
	if err == nil {
		copy(r, in)
	}
	return err
}

// do runs one transfer, or a few that belong together, on the bus.
func (g *Guard) do(addr uint16, run func(i2c.Bus) error) error {
	if g.overdue.Load() > 0 {
		return g.hung(addr)
	}
	timer := time.NewTimer(g.bound)
	defer timer.Stop()
	t := &transfer{run: run, done: make(chan struct{})}
	select {
	case g.work <- t:
	case <-g.closing:
		return g.closed(addr)
	case <-timer.C:
		if g.overdue.Load() > 0 {
			return g.hung(addr)
		}
		return &sensors.Fault{Reason: sensors.Timeout,
			Err: fmt.Errorf("%s address 0x%02x: no turn on the bus within %v", g.name, addr, g.bound)}
	}
	select {
	case <-t.done:
		err := transferFault(g.name, addr, t.err)
		if errors.Is(err, ErrGone) {
			g.gone.Store(true)
		}
		return err
	case <-timer.C:
		g.overdue.Add(1)
		select {
		case <-t.done: // it returned just now and reset the count before
			g.overdue.Store(0)
		default:
		}
		return g.hung(addr)
	}
}

func (g *Guard) hung(addr uint16) error {
	return &sensors.Fault{Reason: sensors.Hung, Err: fmt.Errorf("%s address 0x%02x: %w within %v", g.name, addr, ErrHung, g.bound)}
}

func (g *Guard) closed(addr uint16) error {
	return &sensors.Fault{Reason: sensors.Shutdown, Err: fmt.Errorf("%s address 0x%02x: %w", g.name, addr, ErrClosed)}
}

// SetSpeed implements i2c.Bus. The speed of a shared bus is the device tree's.
func (g *Guard) SetSpeed(physic.Frequency) error {
	return fmt.Errorf("%s: the speed of a bus is set in the device tree (dtparam=i2c_arm_baudrate=...)", g.name)
}

// String returns the bus's id.
func (g *Guard) String() string { return g.name }

// Close ends the goroutine and closes the bus. It waits no longer than the
// bound for a transfer under way; when that does not return, the bus is left
// to the end of the process, and the error says so.
func (g *Guard) Close() error {
	g.once.Do(func() { close(g.closing) })
	timer := time.NewTimer(g.bound)
	defer timer.Stop()
	select {
	case <-g.done:
		return g.bus.Close()
	case <-timer.C:
		return fmt.Errorf("close %s: %w within %v", g.name, ErrHung, g.bound)
	}
}
