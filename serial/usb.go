package serial

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// Info describes a serial port of this machine.
type Info struct {
	Name         string // as "ttyUSB0" or "COM3"
	Path         string // what Config.Path takes
	ByID         string // a link in /dev/serial/by-id that survives replugging, "" for none
	USB          USBID  // empty for ports that are not on USB
	Manufacturer string
	Product      string
}

// IsUSB reports whether the port is on USB.
func (i *Info) IsUSB() bool { return i.USB != USBID{} }

// String returns the name and identity, as
// "ttyUSB0 (0403:6001 serial A50285BI interface 00 at 1-1.3)".
func (i *Info) String() string {
	if !i.IsUSB() {
		return i.Name
	}
	return i.Name + " (" + i.USB.String() + ")"
}

// String returns the fields that are set, as
// "usb 0403:6001 serial A50285BI at 1-1.3".
func (u USBID) String() string {
	s := "usb"
	if u.VID != "" || u.PID != "" {
		s += fmt.Sprintf(" %s:%s", orAny(u.VID), orAny(u.PID))
	}
	for _, p := range []struct{ word, value string }{
		{"serial", u.Serial}, {"interface", u.Interface}, {"at", u.PortPath},
	} {
		if p.value != "" {
			s += " " + p.word + " " + p.value
		}
	}
	return s
}

func orAny(s string) string {
	if s == "" {
		return "*"
	}
	return strings.ToLower(s)
}

// matches reports whether a port with identity have is what u asks for.
func (u USBID) matches(have USBID) bool {
	if have == (USBID{}) {
		return false
	}
	same := func(want, have string) bool { return want == "" || want == have }
	return same(strings.ToLower(u.VID), strings.ToLower(have.VID)) &&
		same(strings.ToLower(u.PID), strings.ToLower(have.PID)) &&
		same(u.Serial, have.Serial) &&
		same(twoDigits(u.Interface), twoDigits(have.Interface)) &&
		same(u.PortPath, have.PortPath)
}

// twoDigits writes an interface number as sysfs does.
func twoDigits(s string) string {
	if len(s) == 1 {
		s = "0" + s
	}
	return strings.ToLower(s)
}

// List returns the serial ports of this machine by name, without opening any:
// opening a port can reset the board behind it. root is as in Config.
func List(root string) ([]Info, error) {
	ports, err := listPorts(root)
	if err != nil {
		return nil, &Error{Op: "list", Port: "serial ports", Err: err}
	}
	sort.Slice(ports, func(i, j int) bool { return ports[i].Name < ports[j].Name })
	return ports, nil
}

// Resolve returns the device path that c means now: Path as it is, or the port
// that matches USB. Errors are *Error with Kind ErrNotFound, whose Detail says
// what is plugged in, or ErrAmbiguous, whose Detail names the candidates.
func Resolve(c Config) (string, error) {
	if c.Path != "" {
		return c.Path, nil
	}
	ports, err := List(c.Root)
	if err != nil {
		return "", err
	}
	var usb, found []Info
	for _, p := range ports {
		if p.IsUSB() {
			usb = append(usb, p)
		}
		if c.USB.matches(p.USB) {
			found = append(found, p)
		}
	}
	switch len(found) {
	case 1:
		return found[0].Path, nil
	case 0:
		e := &Error{Op: "open", Port: c.USB.String(), Kind: ErrNotFound, Detail: "no USB serial port is plugged in"}
		if len(usb) > 0 {
			e.Detail = "plugged in: " + join(usb)
		}
		return "", e
	}
	cure := "add port_path"
	if slices.ContainsFunc(found[1:], func(i Info) bool { return i.USB.PortPath == found[0].USB.PortPath }) {
		cure = "add interface"
	}
	return "", &Error{Op: "open", Port: c.USB.String(), Kind: ErrAmbiguous, Detail: join(found) + ": " + cure}
}

func join(ports []Info) string {
	words := make([]string, len(ports))
	for i := range ports {
		words[i] = ports[i].String()
	}
	return strings.Join(words, ", ")
}
