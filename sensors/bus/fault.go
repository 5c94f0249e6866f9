package bus

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// What a failed transfer means. They are in the chain of the *sensors.Fault
// that a transfer returns.
var (
	// ErrNoDevice: nothing acknowledged the address, or a byte. Reason nack.
	ErrNoDevice = errors.New("no acknowledgement")
	// ErrTimeout: the adapter gave up, usually on a stretched clock. Reason
	// timeout.
	ErrTimeout = errors.New("bus timed out")
	// ErrArbitration: another master won the bus. Reason io.
	ErrArbitration = errors.New("arbitration lost")
	// ErrBus: a line is stuck, or another error of the adapter. Reason io.
	ErrBus = errors.New("bus error")
	// ErrGone: the adapter itself is no longer there. Reason unplugged.
	ErrGone = errors.New("adapter is gone")
	// ErrHung: a transfer did not return within the bound. Reason hung.
	ErrHung = errors.New("transfer did not return")
	// ErrClosed: the bus was closed by this program. Reason shutdown.
	ErrClosed = errors.New("bus is closed")
)

// transferErrors is what the kernel's error numbers mean: its
// Documentation/i2c/fault-codes.rst.
var transferErrors = []struct {
	errno  syscall.Errno
	kind   *error
	reason sensors.Reason
}{
	{syscall.ENXIO, &ErrNoDevice, sensors.Nack},
	{remoteIO, &ErrNoDevice, sensors.Nack},
	{syscall.ENODEV, &ErrGone, sensors.Unplugged},
	{syscall.ESHUTDOWN, &ErrGone, sensors.Unplugged}, // spidev, when its controller is gone
	{syscall.EBADF, &ErrGone, sensors.Unplugged},
	{syscall.ETIMEDOUT, &ErrTimeout, sensors.Timeout},
	{syscall.ETIME, &ErrTimeout, sensors.Timeout},
	{syscall.EAGAIN, &ErrArbitration, sensors.IO},
	{syscall.EPERM, &ErrBus, sensors.Permission},
	{syscall.EACCES, &ErrBus, sensors.Permission},
}

// transferFault gives the error of a transfer its reason: io for what the table
// does not have. A *sensors.Fault stays as it is.
func transferFault(place string, err error) error {
	var f *sensors.Fault
	if err == nil || errors.As(err, &f) {
		return err
	}
	kind, reason := ErrBus, sensors.IO
	for _, t := range transferErrors {
		if errors.Is(err, t.errno) {
			kind, reason = *t.kind, t.reason
			break
		}
	}
	return &sensors.Fault{Reason: reason, Err: fmt.Errorf("%s: %w (%w)", place, kind, err)}
}

// openFault gives the error of opening what a reason and, where one is known,
// a cure. group is the group whose members may open it.
func openFault(what, group string, err error) error {
	reason := sensors.IO
	if p, ok := err.(*fs.PathError); ok && p.Op == "open" && p.Path == what {
		err = p.Err // it would be named twice
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENXIO), errors.Is(err, syscall.ENODEV):
		reason = sensors.NotFound
	case errors.Is(err, fs.ErrPermission):
		reason = sensors.Permission
		err = fmt.Errorf("the user of this process must be a member of group %s: %w", group, err)
	case errors.Is(err, syscall.EBUSY):
		reason = sensors.Busy
	}
	return &sensors.Fault{Reason: reason, Err: fmt.Errorf("open %s: %w", what, err)}
}
