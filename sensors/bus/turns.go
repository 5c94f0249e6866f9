package bus

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// turns lets one transfer at a time onto a bus, bounds the wait for it and
// gives its error a reason. It is safe for concurrent use.
type turns struct {
	name  string
	bus   io.Closer
	bound time.Duration
	// work hands a transfer to the one goroutine that touches the bus; that it
	// is unbuffered is the rule of one at a time.
	work    chan *transfer
	closing chan struct{}
	done    chan struct{} // the goroutine ended
	once    sync.Once
	// overdue counts the callers that gave up on the transfer under way.
	overdue atomic.Int32
	newest  atomic.Pointer[transfer] // the one under way, or the last one
	gone    atomic.Bool              // ErrGone was seen: the bus is of no more use
}

// transfer owns its buffers: a transfer that returns late must not write into
// memory that its caller has taken back.
type transfer struct {
	at   place
	run  func() error
	err  error
	done chan struct{}
}

// newTurns takes over bus and starts its goroutine, which Close ends. A transfer
// may take as long as bound, waiting for its turn included.
func newTurns(name string, bus io.Closer, bound time.Duration) *turns {
	g := &turns{
		name: name, bus: bus, bound: bound,
		work: make(chan *transfer), closing: make(chan struct{}), done: make(chan struct{}),
	}
	g.newest.Store(&transfer{})
	go g.loop()
	return g
}

func (g *turns) loop() {
	defer close(g.done)
	for {
		select {
		case t := <-g.work:
			g.newest.Store(t)
			t.err = protected(t.run)
			g.overdue.Store(0)
			close(t.done)
		case <-g.closing:
			return
		}
	}
}

// protected runs one transfer; a panic below it fails that transfer only.
func protected(run func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: panic: %v", ErrBus, p)
		}
	}()
	return run()
}

// place is where a chip is on its bus: at an address, behind a channel of a
// multiplexer or not. Where chips have none it is the zero place.
type place struct{ address, channel int }

// do runs one transfer, or a few that belong together, with the chip at a place.
func (g *turns) do(at place, run func() error) error {
	if g.overdue.Load() > 0 {
		return g.hung(at)
	}
	timer := time.NewTimer(g.bound)
	defer timer.Stop()
	t := &transfer{at: at, run: run, done: make(chan struct{})}
	select {
	case g.work <- t:
	case <-g.closing:
		return g.fault(at, sensors.Shutdown, ErrClosed)
	case <-timer.C:
		if g.overdue.Load() > 0 {
			return g.hung(at)
		}
		return g.fault(at, sensors.Timeout, sensors.ErrHeldUp)
	}
	select {
	case <-t.done:
		err := transferFault(g.named(at), t.err)
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
		return g.fault(at, sensors.Hung, ErrHung)
	}
}

// hung is the fault of a transfer that was not begun because the one under way
// does not return: it is the same chip's, or this one is merely held up.
func (g *turns) hung(at place) error {
	by := g.newest.Load().at
	if by == at {
		return g.fault(at, sensors.Hung, ErrHung)
	}
	return g.fault(at, sensors.Hung, fmt.Errorf("%w: that of address 0x%02x did not return", sensors.ErrHeldUp, by.address))
}

// named names a chip for messages.
func (g *turns) named(at place) string {
	if at == (place{}) {
		return g.name
	}
	return fmt.Sprintf("%s address 0x%02x", g.name, at.address)
}

func (g *turns) fault(at place, reason sensors.Reason, err error) error {
	if reason != sensors.Shutdown {
		err = fmt.Errorf("%w within %v", err, g.bound)
	}
	return &sensors.Fault{Reason: reason, Err: fmt.Errorf("%s: %w", g.named(at), err)}
}

// String returns the bus's id.
func (g *turns) String() string { return g.name }

// Close ends the goroutine and closes the bus. It waits no longer than the
// bound for a transfer under way; when that does not return, the bus is left
// to the end of the process, and the error says so.
func (g *turns) Close() error {
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
