package sensors

import (
	"context"
	"errors"
	"time"

	"github.com/dunlin-mqtt/dunlin/serial"
)

// Driver talks to one device. The manager owns it: its methods are called
// from one goroutine at a time, each under a deadline. A driver starts no
// goroutine that outlives Close and keeps no clock but the reading's.
type Driver interface {
	// Open claims the hardware and brings the device to its working state. It
	// is called again after Close when the device failed; registers that a
	// brown-out may have reset are written again. Errors are *Fault where the
	// driver knows the reason.
	Open(ctx context.Context, b Buses) error
	// Read returns the readings of one interval. It blocks until they are
	// there or ctx ends. Event drivers (gpio_in, lines) block until something
	// happened or ctx ends; they implement Pusher.
	Read(ctx context.Context) ([]Reading, error)
	// Close releases the hardware; it must return even while a Read hangs. It
	// is called after a failed Open too, and may be called twice.
	Close() error
}

// Pusher is a Driver whose Read waits for events: the manager calls it again
// at once, not once an interval, and its deadline is the device's
// stale_after, not the interval. OnSilence says what a Read that saw nothing
// until its deadline means: nil is "nothing happened" (an input that did not
// change; the manager then renews the last value before it expires, so the
// deadline is half of stale_after), a *Fault is a failure (a serial device that
// went quiet). A Read may be canceled to make way for a command and must not
// lose what it has received so far.
type Pusher interface {
	Driver
	OnSilence() error
}

// Caller is a Pusher that may call when there is something to read, so that no
// Read has to wait for it.
type Caller interface {
	Pusher
	// Call has w call f when Read has something to do; Read then returns soon,
	// with or without readings. False means that Read has to wait. Every other
	// method ends it.
	Call(w *serial.Waiter, f func()) bool
}

// Paced is a Driver that reads some of its entities less often than once an
// interval: their values live as long as it takes.
type Paced interface {
	Driver
	// Every is the least time between two readings of the entity; 0 is every
	// interval.
	Every(entity string) time.Duration
}

// Commander is a Driver with outputs. Do carries out one command that arrived
// on .../{entity}/set and returns the readings that the device confirms; they
// are published before the result. An error is the result's reason.
type Commander interface {
	Driver
	Do(ctx context.Context, entity string, payload []byte) ([]Reading, error)
	// Stop brings the outputs to their on_stop state, before Close at a clean
	// shutdown.
	Stop(ctx context.Context) error
}

// Counter is a Driver that counts.
type Counter interface {
	Driver
	// Counts reports whether an entity only grows, but for when it begins anew.
	Counts(entity string) bool
}

// Selector is a Driver that was told which of the entities that there are it
// reads; all of them are in its first reading.
type Selector interface {
	Driver
	// Selection is what it was told; if it is written otherwise by package fmt it
	// is another choice.
	Selection() any
}

// Retrier is a Driver that repeats transfers by itself.
type Retrier interface {
	Driver
	// Retried is how many it has repeated since the last time.
	Retried() uint64
}

// BusUser is a Driver on a shared bus. The manager lets one device at a time
// use a bus, and knows by the id which devices a hung transfer takes down.
type BusUser interface {
	Driver
	// Bus is the id of the physical bus, as "i2c1"; "" is none.
	Bus() string
}

// Sharer is a BusUser whose Read waits for its chip, for seconds: others use the
// bus meanwhile. Each transfer is on the bus alone nevertheless.
type Sharer interface {
	BusUser
	Shares()
}

// Reading is one value of one entity at one moment.
type Reading struct {
	Entity string
	// Value is a float64, int64, uint64, bool or string, in Unit.
	Value any
	Unit  string    // unit_of_measurement that the driver suggests, as "°C"
	At    time.Time // when it was captured, with monotonic part
	// Err rejects this one value (an open thermocouple among good channels).
	Err error
}

// Reason is why a device is offline, one word of a fixed list: it is
// published as health.reason and counted.
type Reason string

// The reasons, as published.
const (
	Nack         Reason = "nack"         // the address did not acknowledge
	Timeout      Reason = "timeout"      // no answer in time
	CRC          Reason = "crc"          // checksum or framing wrong
	Stuck        Reason = "stuck"        // raw value identical for too long
	OutOfRange   Reason = "out_of_range" // outside its range, sentinel values included
	Rate         Reason = "rate"         // changed faster than it can
	WireBreak    Reason = "wire_break"   // open circuit
	ShortCircuit Reason = "short_circuit"
	Brownout     Reason = "brownout" // registers were found reset
	Hung         Reason = "hung"     // a transfer never returned
	NoData       Reason = "no_data"  // nothing arrived within stale_after
	Unplugged    Reason = "unplugged"
	WrongChip    Reason = "wrong_chip" // the chip id is not the configured chip's
	Parse        Reason = "parse"      // input that the format does not describe
	Busy         Reason = "busy"       // the line or port is owned by someone else
	Permission   Reason = "permission"
	NotFound     Reason = "not_found" // no such bus, chip, line or port
	IO           Reason = "io"        // any other error of the kernel
	Panic        Reason = "panic"     // the driver panicked; it is opened anew
	Exited       Reason = "exited"    // a program ended by itself; it is started anew
	Shutdown     Reason = "shutdown"
	Paused       Reason = "paused" // by a person

	// Of lines on which units answer requests.
	Late      Reason = "late"       // an answer came to an earlier request
	Truncated Reason = "truncated"  // an answer ended early
	Garbage   Reason = "garbage"    // what arrived is no answer
	WrongUnit Reason = "wrong_unit" // another unit answered
	Echo      Reason = "echo"       // only what was sent came back

	// What a Modbus unit says itself.
	IllegalFunction Reason = "illegal_function"
	IllegalAddress  Reason = "illegal_address"
	IllegalValue    Reason = "illegal_value"
	DeviceFailure   Reason = "device_failure"
	MemoryParity    Reason = "memory_parity"
	GatewayPath     Reason = "gateway_path"
	GatewayTarget   Reason = "gateway_target" // the unit behind a gateway did not answer
	Exception       Reason = "exception"      // any other refusal
)

// Fault is a failure with its Reason.
type Fault struct {
	Reason Reason
	Err    error
}

func (f *Fault) Error() string { return string(f.Reason) + ": " + f.Err.Error() }

// Unwrap returns the cause.
func (f *Fault) Unwrap() error { return f.Err }

// ErrHeldUp is in the chain of a fault that is not its device's own: another
// one has the bus, and does not let go of it.
var ErrHeldUp = errors.New("another transfer holds up the bus")

// ReasonOf returns the Reason in err's chain, IO when there is none, "" for nil.
func ReasonOf(err error) Reason {
	var f *Fault
	switch {
	case err == nil:
		return ""
	case errors.As(err, &f):
		return f.Reason
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	}
	return IO
}
