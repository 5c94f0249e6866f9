package serial

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// port is a tty on Go's netpoller: a blocked Read or Write costs a goroutine
// and no thread, has a deadline, is woken by Close, and works with any file
// descriptor number. os.File keeps the descriptor open until the last call on
// it has returned, so its number is never reused under a call's feet.
type port struct {
	f      *os.File
	path   string
	closed atomic.Bool
}

// openPort opens, claims and sets up the tty at path.
func openPort(path string, c *Config) (*port, error) {
	if err := checkNode(path); err != nil {
		return nil, openError(path, err, c.Root)
	}
	fd, err := openTTY(path)
	if err != nil {
		return nil, openError(path, err, c.Root)
	}
	if err := claim(fd, path, c.Root); err != nil {
		_ = unix.Close(fd) // nothing was written
		return nil, err
	}
	err = configure(fd, path, c)
	if err == nil {
		err = setRS485(fd, path, &c.RS485)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	p := &port{f: os.NewFile(uintptr(fd), path), path: path}
	if err := p.f.SetDeadline(time.Time{}); err != nil {
		// No deadlines means blocking reads: not what Port promises.
		return nil, errors.Join(&Error{Op: "open", Port: path, Kind: ErrUnsupported, Err: err}, p.f.Close())
	}
	if err := p.applyDTR(c.DTR); err != nil {
		_ = p.Close() // the first error is the one that matters
		return nil, err
	}
	return p, nil
}

// checkNode refuses what is no character device before open(2) can have an
// effect on it: opening a FIFO blocks, opening a directory says nothing useful.
func checkNode(path string) error {
	fi, err := os.Stat(path)
	if err != nil {
		return err
	}
	if fi.Mode()&fs.ModeCharDevice == 0 {
		return syscall.ENOTTY
	}
	return nil
}

// openTTY opens without waiting for the carrier and without becoming this
// process's controlling terminal.
func openTTY(path string) (int, error) {
	for {
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

func (p *port) applyDTR(policy string) error {
	switch policy {
	case "on":
		return p.SetDTR(true)
	case "off":
		return p.SetDTR(false)
	case "pulse":
		if err := p.SetDTR(false); err != nil {
			return err
		}
		time.Sleep(dtrPulse)
		return p.SetDTR(true)
	}
	return nil
}

// Read implements Port.
func (p *port) Read(b []byte) (int, error) {
	n, err := p.f.Read(b)
	return n, p.fail("read", err)
}

// Write implements Port.
func (p *port) Write(b []byte) (int, error) {
	n, err := p.f.Write(b)
	return n, p.fail("write", err)
}

// SetReadDeadline implements Port.
func (p *port) SetReadDeadline(t time.Time) error {
	return p.fail("set deadline", p.f.SetReadDeadline(t))
}

// SetWriteDeadline implements Port.
func (p *port) SetWriteDeadline(t time.Time) error {
	return p.fail("set deadline", p.f.SetWriteDeadline(t))
}

// Close implements Port. close(2) of a tty waits for its output, up to 30 s
// when the device stalls it: so writers are stopped first, then the output is
// thrown away, and there is nothing to wait for.
func (p *port) Close() error {
	if p.closed.Swap(true) {
		return &Error{Op: "close", Port: p.path, Err: os.ErrClosed}
	}
	_ = p.f.SetWriteDeadline(time.Unix(1, 0)) // the file is open: this cannot fail
	_ = p.control(func(fd int) error {        // an unplugged device has no output to throw away
		// What a pseudo terminal has been given counts as sent, though TCFLSH would
		// take it back.
		if left, err := unix.IoctlGetInt(fd, unix.TIOCOUTQ); err != nil || left > 0 {
			_ = unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCOFLUSH)
		}
		return unix.IoctlSetInt(fd, unix.TIOCNXCL, 0)
	})
	if err := p.f.Close(); err != nil {
		return &Error{Op: "close", Port: p.path, Err: cause(err)}
	}
	return nil
}

// Drain implements Control. tcdrain has no deadline and would hold up Close,
// so the length of the kernel's buffer is watched instead.
func (p *port) Drain(ctx context.Context) error {
	tick := time.NewTicker(drainTick)
	defer tick.Stop()
	for {
		left := 0
		err := p.control(func(fd int) (err error) {
			left, err = unix.IoctlGetInt(fd, unix.TIOCOUTQ)
			return err
		})
		if err != nil || left == 0 {
			return p.fail("drain", err)
		}
		select {
		case <-ctx.Done():
			return &Error{Op: "drain", Port: p.path, Err: ctx.Err()}
		case <-tick.C:
		}
	}
}

// drainTick is about the time of two characters at 9600 baud.
const drainTick = 2 * time.Millisecond

// Discard implements Control.
func (p *port) Discard(received, written bool) error {
	queue := 0
	switch {
	case received && written:
		queue = unix.TCIOFLUSH
	case received:
		queue = unix.TCIFLUSH
	case written:
		queue = unix.TCOFLUSH
	default:
		return nil
	}
	return p.fail("discard", p.control(func(fd int) error {
		return unix.IoctlSetInt(fd, unix.TCFLSH, queue)
	}))
}

// SetDTR implements Control.
func (p *port) SetDTR(on bool) error {
	req := uint(unix.TIOCMBIC)
	if on {
		req = unix.TIOCMBIS
	}
	return p.fail("set dtr", p.control(func(fd int) error {
		return unix.IoctlSetPointerInt(fd, req, unix.TIOCM_DTR)
	}))
}

// control runs f on the descriptor, which stays open meanwhile. f must not
// block: Close waits for it.
func (p *port) control(f func(fd int) error) error {
	raw, err := p.f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// fail makes an *Error of an error of the open port, nil of nil.
func (p *port) fail(op string, err error) error {
	if err == nil {
		return nil
	}
	e := &Error{Op: op, Port: p.path, Err: cause(err)}
	switch {
	case p.closed.Load():
		e.Err = os.ErrClosed
	case errors.Is(err, os.ErrDeadlineExceeded):
		e.Err = os.ErrDeadlineExceeded
	case gone(err):
		e.Kind = ErrUnplugged
	case errors.Is(err, unix.ENOTTY), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EOPNOTSUPP):
		e.Kind = ErrUnsupported
	}
	return e
}

// gone reports whether err is what the kernel says of a tty without device:
// end of file or EIO after a hangup, the others from USB drivers.
func gone(err error) bool {
	for _, e := range []error{io.EOF, unix.EIO, unix.ENODEV, unix.ENXIO, unix.EPIPE, unix.ESHUTDOWN} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// cause unwraps *fs.PathError, whose operation and path Error repeats.
func cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
