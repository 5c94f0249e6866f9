package sensors

import (
	"errors"
	"os"

	"github.com/dunlin-mqtt/dunlin/serial"
)

// PortFault gives an error of a serial port its reason; an error that is a
// *Fault already stays as it is.
func PortFault(err error) error {
	var f *Fault
	if err == nil || errors.As(err, &f) {
		return err
	}
	reason := IO
	switch {
	case errors.Is(err, serial.ErrUnplugged):
		reason = Unplugged
	case errors.Is(err, serial.ErrNotFound), errors.Is(err, serial.ErrAmbiguous):
		reason = NotFound
	case errors.Is(err, serial.ErrBusy):
		reason = Busy
	case errors.Is(err, serial.ErrPermission):
		reason = Permission
	case errors.Is(err, os.ErrDeadlineExceeded):
		reason = Timeout
	case errors.Is(err, os.ErrClosed):
		reason = Shutdown
	}
	return &Fault{Reason: reason, Err: err}
}
