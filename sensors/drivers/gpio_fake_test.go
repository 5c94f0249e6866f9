package drivers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// fakeLine is one GPIO line as the kernel keeps it. It records everything that
// happens to the wire, in order: "request out high", "write low", "close".
// Levels in the record are electrical.
type fakeLine struct {
	mu     sync.Mutex
	o      sensors.LineOptions
	active bool
	record []string
	fail   error // of the next reads and writes
	held   bool  // something else keeps the wire inactive
	seq    uint32
	events chan sensors.LineEvent
	closed chan struct{}
}

func newFakeLine() *fakeLine {
	return &fakeLine{events: make(chan sensors.LineEvent, 8), closed: make(chan struct{})}
}

// request is sensors.Buses' Line for this line alone.
func (l *fakeLine) request(o sensors.LineOptions) (sensors.Line, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.o = o
	direction := "in"
	switch {
	case o.Keep:
		direction = "out as it is,"
	case o.Output:
		direction, l.active = "out", o.Initial
	}
	l.record = append(l.record, fmt.Sprintf("request %s %s", direction, l.level(l.active)))
	select {
	case <-l.closed:
		l.closed = make(chan struct{})
	default:
	}
	return l, nil
}

func (l *fakeLine) level(active bool) string {
	if active != l.o.ActiveLow {
		return "high"
	}
	return "low"
}

func (l *fakeLine) Read() (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.active && !l.held, l.fail
}

func (l *fakeLine) Write(active bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.o.Output {
		return errors.New("written to an input")
	}
	if l.fail != nil {
		return l.fail
	}
	l.active = active
	l.record = append(l.record, "write "+l.level(active))
	return nil
}

func (l *fakeLine) Event(ctx context.Context) (sensors.LineEvent, error) {
	select {
	case e := <-l.events:
		return e, nil
	case <-l.closed:
		return sensors.LineEvent{}, errors.New("line is closed")
	case <-ctx.Done():
		return sensors.LineEvent{}, ctx.Err()
	}
}

func (l *fakeLine) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.record = append(l.record, "close")
	close(l.closed)
	return nil
}

// edge moves an input and queues the event; skip edges before it are lost.
func (l *fakeLine) edge(active bool, skip uint32) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active = active
	l.seq += 1 + skip
	at := time.Now()
	l.events <- sensors.LineEvent{Active: active, At: at, Seq: l.seq}
	return at
}

func (l *fakeLine) setFail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fail = err
}

func (l *fakeLine) happened(t *testing.T, want ...string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Equal(l.record, want) {
		t.Errorf("the wire saw %q, want %q", l.record, want)
	}
}
