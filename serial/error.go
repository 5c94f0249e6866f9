package serial

import (
	"errors"
	"strings"
)

// What went wrong, for errors.Is. A deadline that passed is
// os.ErrDeadlineExceeded; a port that this program closed is os.ErrClosed and
// never ErrUnplugged.
var (
	// ErrUnplugged: the device behind an open port is gone, or the node that
	// was opened has no device behind it.
	ErrUnplugged = errors.New("unplugged")
	// ErrNotFound: no such path, or no plugged-in adapter with that identity.
	ErrNotFound = errors.New("no such port")
	// ErrAmbiguous: several adapters have that identity.
	ErrAmbiguous = errors.New("more than one port")
	// ErrBusy: another program, or another device of this one, has the port.
	ErrBusy = errors.New("busy")
	// ErrPermission: the user may not open the port.
	ErrPermission = errors.New("permission denied")
	// ErrUnsupported: the driver refused a setting, or it is no serial port.
	ErrUnsupported = errors.New("not supported by this port")
	// ErrConfig: the Config does not pass Validate.
	ErrConfig = errors.New("configuration")
)

// Error is a failure of one port.
type Error struct {
	Op     string // "open", "read", "write", "close", "drain", "discard", "set dtr", ...
	Port   string // the path, or the USB identity that was looked for
	Kind   error  // one of the errors above, or nil
	Detail string // what a person needs to know to cure it, may be ""
	Err    error  // the system's error, may be nil
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op + " " + e.Port)
	if e.Kind != nil {
		b.WriteString(": " + e.Kind.Error())
	}
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	if e.Err != nil && (e.Kind == nil || e.Detail == "") {
		if s := e.Err.Error(); e.Kind == nil || s != e.Kind.Error() {
			b.WriteString(": " + s)
		}
	}
	return b.String()
}

// Unwrap returns the kind and the system's error.
func (e *Error) Unwrap() []error {
	var list []error
	if e.Kind != nil {
		list = append(list, e.Kind)
	}
	if e.Err != nil {
		list = append(list, e.Err)
	}
	return list
}
