package drivers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sort"
	"sync"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/serial"
)

// talkLimit bounds a write to a serial device when its context does not.
const talkLimit = 2 * time.Second

// talking is what drivers of devices that talk have in common: the open port,
// waiting for what the device says, and commands that it confirms.
type talking struct {
	self     dialect
	conf     *serial.Config
	in       framer
	commands map[string]*command

	called bool      // the newest Call was true: Read does not wait
	ready  time.Time // until then the board starts up, and what it says is dropped
	slot   struct {
		sync.Mutex
		port serial.Port // nil: closed
		// known is how many bytes had arrived with the last piece that was
		// understood; doubt is what was wrong with the newest since one had values,
		// nil: nothing.
		known uint64
		doubt error
	}
}

// dialect is what lines and frames differ in.
type dialect interface {
	// hear waits for what the device says next: its values, none when it is not
	// meant, and whether it confirms c with the value want. c may be nil.
	hear(ctx context.Context, c *command, want any) (list []sensors.Reading, confirmed bool, err error)
	// frame makes of a command's text what is written.
	frame(c *command, text string) ([]byte, error)
}

// framer is what cuts a port's stream: serial.Lines or serial.Frames.
type framer interface {
	Reset(r serial.DeadlineReader)
	Next(ctx context.Context) ([]byte, error)
	Await(w *serial.Waiter, f func()) bool
	Leave()
	Ready() bool
	Arrived() uint64
}

// plugNoise is how many bytes a line may make up when something is plugged or
// loses its power.
const plugNoise = 16

// heard notes what a piece of the stream was: one with values, one that was
// understood and has none, or, with an error, none of the format.
func (k *talking) heard(piece, format string, values bool, err error) {
	if err != nil && sensors.ReasonOf(err) != sensors.CRC {
		err = &sensors.Fault{Reason: sensors.Parse, Err: fmt.Errorf("%ss arrive, but none is %s: %w", piece, format, err)}
	}
	known := k.in.Arrived()
	k.slot.Lock()
	defer k.slot.Unlock()
	if k.slot.known = known; values || err != nil {
		k.slot.doubt = err
	}
}

// silence is what it means that nothing good came for long.
func (k *talking) silence(what string) error {
	k.slot.Lock()
	n, doubt := k.in.Arrived()-k.slot.known, k.slot.doubt
	k.slot.Unlock()
	switch {
	case doubt != nil:
		return doubt
	case n > plugNoise:
		hint := ": is baud right?"
		if k.conf.Baud == 0 { // a program
			hint = ""
		}
		return &sensors.Fault{Reason: sensors.Garbage, Err: fmt.Errorf("%d bytes arrived, but no %s%s", n, what, hint)}
	}
	return &sensors.Fault{Reason: sensors.NoData, Err: errors.New("no " + what + " with a value arrived")}
}

// Open implements sensors.Driver. It does not wait for the board to settle:
// the first Read does.
func (k *talking) Open(_ context.Context, b sensors.Buses) error {
	port, err := b.Port(*k.conf)
	if err != nil {
		return sensors.PortFault(err)
	}
	k.use(port)
	return nil
}

func (k *talking) use(port serial.Port) {
	k.slot.Lock()
	k.slot.port = port
	k.slot.Unlock()
	k.in.Reset(port)
	k.heard("", "", true, nil)
	k.ready = time.Time{}
	if k.conf.Settle > 0 {
		k.ready = time.Now().Add(k.conf.Settle)
	}
}

func (k *talking) port() serial.Port {
	k.slot.Lock()
	defer k.slot.Unlock()
	return k.slot.port
}

// Call implements sensors.Caller.
func (k *talking) Call(w *serial.Waiter, f func()) bool {
	k.called = k.in.Await(w, f)
	return k.called
}

// Close implements sensors.Driver. It ends a Read at once.
func (k *talking) Close() error {
	k.in.Leave()
	k.slot.Lock()
	port := k.slot.port
	k.slot.port = nil
	k.slot.Unlock()
	if port == nil {
		return nil
	}
	return port.Close()
}

// settle drops what the board says while it starts up.
func (k *talking) settle(ctx context.Context) error {
	if k.ready.IsZero() {
		return nil
	}
	if err := pause(ctx, time.Until(k.ready)); err != nil {
		return err
	}
	k.ready = time.Time{}
	return k.discard()
}

// discard drops what has arrived.
func (k *talking) discard() error {
	port := k.port()
	if c, ok := port.(serial.Control); ok {
		if err := c.Discard(true, false); err != nil && !errors.Is(err, serial.ErrUnsupported) {
			return sensors.PortFault(err)
		}
	}
	if port != nil {
		k.in.Reset(port)
	}
	return nil
}

// piece waits for the next line or frame.
func (k *talking) piece(ctx context.Context) ([]byte, error) {
	b, err := k.in.Next(ctx)
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return b, sensors.PortFault(err)
}

// Read implements sensors.Driver: it returns as soon as the device said
// something that has values, and after a Call also when it has said nothing
// more.
func (k *talking) Read(ctx context.Context) ([]sensors.Reading, error) {
	called := k.called
	k.called = false
	if err := k.settle(ctx); err != nil {
		return nil, err
	}
	for {
		if called && !k.in.Ready() {
			return nil, nil
		}
		list, _, err := k.self.hear(ctx, nil, nil)
		if err != nil || len(list) > 0 {
			return list, err
		}
	}
}

// write sends b before ctx ends, and within talkLimit.
func (k *talking) write(ctx context.Context, b []byte) error {
	port := k.port()
	if port == nil {
		return &sensors.Fault{Reason: sensors.NotFound, Err: errors.New("the port is not open")}
	}
	limit := time.Now().Add(talkLimit)
	if at, ok := ctx.Deadline(); ok && at.Before(limit) {
		limit = at
	}
	if err := port.SetWriteDeadline(limit); err != nil {
		return sensors.PortFault(err)
	}
	n, err := port.Write(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &sensors.Fault{Reason: sensors.Timeout, Err: fmt.Errorf("the device took %d of %d bytes: %w", n, len(b), err)}
	}
	return sensors.PortFault(err)
}

// Do implements sensors.Commander. With expect it returns when the device has
// confirmed, with everything that the device said meanwhile.
func (k *talking) Do(ctx context.Context, entity string, payload []byte) ([]sensors.Reading, error) {
	c, ok := k.commands[entity]
	if !ok {
		return nil, fmt.Errorf("%q takes no commands", entity)
	}
	text, want, err := c.line(payload)
	if err != nil {
		return nil, err
	}
	b, err := k.self.frame(c, text)
	if err != nil {
		return nil, err
	}
	if err := k.settle(ctx); err != nil {
		return nil, err
	}
	if err := k.write(ctx, b); err != nil || c.confirm == "" {
		return nil, err
	}
	waiting, cancel := context.WithTimeout(ctx, c.within)
	defer cancel()
	var all []sensors.Reading
	for {
		list, confirmed, err := k.self.hear(waiting, c, want)
		all = append(all, list...)
		switch {
		case err != nil && sensors.ReasonOf(err) == sensors.Parse: // an answer may follow
		case err != nil && waiting.Err() != nil && ctx.Err() == nil:
			return all, fmt.Errorf("the device did not confirm within %v", c.within)
		case err != nil || confirmed:
			return all, err
		}
	}
}

// Stop implements sensors.Commander: it carries out every on_stop. Outputs
// without one stay as they are.
func (k *talking) Stop(ctx context.Context) error {
	var all []error
	for _, s := range k.Outputs() {
		if c := k.commands[s.Entity]; c.onStop != "" {
			_, err := k.Do(ctx, s.Entity, []byte(c.onStop))
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

// Inherit implements sensors.Heir: a device at the same port whose outputs with an
// on_stop are all there still is left as it is. A program ends, and says nothing
// of what it drove.
func (k *talking) Inherit(old sensors.Driver) bool {
	t, ok := old.(interface{ talks() *talking })
	if !ok || *t.talks().conf != *k.conf || k.conf.Baud == 0 {
		return false
	}
	for name, c := range t.talks().commands {
		if now := k.commands[name]; c.onStop != "" && (now == nil || now.onStop == "") {
			return false
		}
	}
	return true
}

func (k *talking) talks() *talking { return k }

// Outputs implements sensors.Guarded, in the order of their names.
func (k *talking) Outputs() (all []sensors.Safety) {
	for _, c := range k.commands {
		all = append(all, c.safety)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Entity < all[j].Entity })
	return all
}

// grown adds a count that is not what was told.
func grown(list []sensors.Reading, entity string, n uint64, told *uint64) []sensors.Reading {
	if n == *told || len(list) == 0 {
		return list
	}
	*told = n
	return append(list, sensors.Reading{Entity: entity, Value: int64(n), At: list[0].At})
}
