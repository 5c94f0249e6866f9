package bus

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// What a failed I2C transfer means. They are in the chain of the *sensors.Fault
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

// transferErrors is how Linux words the errors of I2C_RDWR, first match wins:
// ENXIO before its prefix ENODEV. The numbers' meanings are the kernel's
// Documentation/i2c/fault-codes.rst.
var transferErrors = []struct {
	text   string // strerror, as package syscall words it
	kind   error
	reason sensors.Reason
}{
	{"no such device or address", ErrNoDevice, sensors.Nack}, // ENXIO
	{"remote I/O error", ErrNoDevice, sensors.Nack},          // EREMOTEIO
	{"no such device", ErrGone, sensors.Unplugged},           // ENODEV
	{"bad file descriptor", ErrGone, sensors.Unplugged},      // EBADF
	{"file already closed", ErrGone, sensors.Unplugged},
	{"connection timed out", ErrTimeout, sensors.Timeout},            // ETIMEDOUT
	{"timer expired", ErrTimeout, sensors.Timeout},                   // ETIME
	{"resource temporarily unavailable", ErrArbitration, sensors.IO}, // EAGAIN
	{"invalid address", ErrNoDevice, sensors.NotFound},               // periph's own check
	{"operation not supported", ErrBus, sensors.IO},                  // EOPNOTSUPP
	{"input/output error", ErrBus, sensors.IO},                       // EIO
	{"device or resource busy", ErrBus, sensors.IO},                  // EBUSY: a line is held low
	{"operation not permitted", ErrBus, sensors.Permission},          // EPERM
	{"permission denied", ErrBus, sensors.Permission},                // EACCES
}

// transferFault gives the error of a transfer its reason. A *sensors.Fault
// stays as it is.
func transferFault(bus string, addr uint16, err error) error {
	var f *sensors.Fault
	if err == nil || errors.As(err, &f) {
		return err
	}
	for _, t := range transferErrors {
		if strings.Contains(err.Error(), t.text) {
			return &sensors.Fault{Reason: t.reason, Err: fmt.Errorf("%s address 0x%02x: %w (%w)", bus, addr, t.kind, err)}
		}
	}
	return &sensors.Fault{Reason: sensors.IO, Err: fmt.Errorf("%s address 0x%02x: %w (%w)", bus, addr, ErrBus, err)}
}

// openFault gives the error of opening what a reason and, where one is known,
// a cure. group is the group whose members may open it.
func openFault(what, group string, err error) error {
	reason := sensors.IO
	text := err.Error()
	switch {
	case errors.Is(err, fs.ErrNotExist), strings.Contains(text, "no such file or directory"):
		reason = sensors.NotFound
	case errors.Is(err, fs.ErrPermission), strings.Contains(text, "permission denied"):
		reason = sensors.Permission
		err = fmt.Errorf("the user of this process must be a member of group %s: %w", group, err)
	case strings.Contains(text, "device or resource busy"):
		reason = sensors.Busy
	}
	return &sensors.Fault{Reason: reason, Err: fmt.Errorf("open %s: %w", what, err)}
}
