package serial

import (
	"context"
	"io"
	"strings"
	"time"
)

// Port is an open serial port. Its methods may be called from several
// goroutines; bytes of concurrent Reads or Writes interleave as they come.
//
// Read blocks until there is at least one byte, the read deadline passes
// (os.ErrDeadlineExceeded), the device is unplugged (ErrUnplugged) or Close is
// called (os.ErrClosed). Write blocks until everything is in the kernel's
// buffer, with the same errors and the number of bytes that got there; a
// stalled device lets it block until the write deadline. A deadline in the
// past ends a blocked call at once; the zero time means none.
//
// Close ends blocked calls at once. It throws away output that is not yet on
// the wire, because waiting for it can take the kernel 30 s: Control.Drain
// waits for it first. DTR stays as it is.
type Port interface {
	io.ReadWriteCloser
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
}

// Control is the rest of a port; every Port that Open returns is one.
type Control interface {
	// Drain blocks until all written output is on the wire, or ctx ends.
	Drain(ctx context.Context) error
	// Discard throws away what was received and not read, and what was written
	// and not sent.
	Discard(received, written bool) error
	// SetDTR drives the line by which many boards are reset; ErrUnsupported where
	// the port has none.
	SetDTR(on bool) error
}

// dtrPulse is how long dtr: pulse keeps DTR off. Boards with a series
// capacitor reset on the edge; 100 ms also reaches those that sample the line.
const dtrPulse = 100 * time.Millisecond

// Open finds the port that c means, takes it for this program alone and sets
// it up. It blocks for no longer than the driver needs for its settings, plus
// 100 ms for dtr: pulse. Errors are *Error, with Kind ErrNotFound,
// ErrAmbiguous, ErrBusy (Detail names the holder when it can be found),
// ErrPermission, ErrUnplugged, ErrUnsupported or ErrConfig.
func Open(c Config) (Port, error) {
	var wrong []string
	c.Validate(func(path, msg string) {
		wrong = append(wrong, strings.TrimPrefix(path+": "+msg, ": "))
	})
	if wrong != nil {
		return nil, &Error{Op: "open", Port: c.String(), Kind: ErrConfig, Detail: strings.Join(wrong, "; ")}
	}
	path, err := Resolve(c)
	if err != nil {
		return nil, err
	}
	p, err := openPort(path, &c)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// String is how errors call the port before it is found.
func (c *Config) String() string {
	if c.Path != "" {
		return c.Path
	}
	return c.USB.String()
}
