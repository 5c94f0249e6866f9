package bus

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// eventQueue is how many edges of one line may wait for its driver.
const eventQueue = 64

// events carries edges from the kernel's reader to a driver. It is bounded and
// drops the oldest, so that the last edge, which says how the line is now,
// always arrives; the gap shows in Seq.
type events struct {
	queue   chan sensors.LineEvent
	dropped atomic.Uint64
	closed  chan struct{}
	once    sync.Once
}

func newEvents() *events {
	return &events{queue: make(chan sensors.LineEvent, eventQueue), closed: make(chan struct{})}
}

// put never blocks; one goroutine calls it.
func (e *events) put(ev sensors.LineEvent) {
	for {
		select {
		case e.queue <- ev:
			return
		default:
		}
		select {
		case <-e.queue:
			e.dropped.Add(1)
		default:
		}
	}
}

// next returns the oldest edge, waiting for one.
func (e *events) next(ctx context.Context) (sensors.LineEvent, error) {
	select {
	case ev := <-e.queue:
		return ev, nil
	case <-e.closed:
		return sensors.LineEvent{}, &sensors.Fault{Reason: sensors.Shutdown, Err: ErrClosed}
	case <-ctx.Done():
		return sensors.LineEvent{}, ctx.Err()
	}
}

func (e *events) close() { e.once.Do(func() { close(e.closed) }) }
