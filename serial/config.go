package serial

import (
	"fmt"
	"time"
)

// Config says which port is meant and how it is driven. Start from
// DefaultConfig: the zero Config is not valid.
type Config struct {
	// Path is a device node or a symbolic link to one. Links are followed anew
	// by every Open, so a name in /dev/serial/by-id survives replugging.
	Path string `yaml:"path" doc:"device node or a link to one, as /dev/serial/by-id/...; not together with usb"`
	// USB finds the port by what is plugged in, wherever it is plugged in.
	USB USBID `yaml:"usb" doc:"USB adapter by identity instead of a path"`
	// Baud is the speed in bits per second; any number that the driver can
	// make, not only the standard ones.
	Baud     int    `yaml:"baud" doc:"speed in bits per second"`
	DataBits int    `yaml:"data_bits" doc:"bits in a character" enum:"5|6|7|8"`
	Parity   string `yaml:"parity" doc:"parity bit" enum:"none|even|odd|mark|space"`
	StopBits int    `yaml:"stop_bits" doc:"stop bits; 2 means 1.5 when data_bits is 5" enum:"1|2"`
	Flow     string `yaml:"flow" doc:"flow control" enum:"none|rtscts|xonxoff"`
	// DTR is what Open does to the line that resets many boards. With keep it
	// does nothing, and Close leaves the line up, so that only the first open
	// after plugging in can reset the board: that edge is the kernel's.
	DTR string `yaml:"dtr" doc:"the DTR line at open: keep does not reset the board, pulse does" enum:"keep|on|off|pulse"`
	// Settle is how long a board needs after Open before it is talked to. Open
	// does not wait: the caller does.
	Settle time.Duration `yaml:"settle" doc:"time that the board needs after opening"`
	// RS485 is for two-wire lines; the zero value leaves them to the adapter.
	RS485 RS485 `yaml:"rs485" doc:"two-wire lines: who turns them around"`

	// Root is the directory that holds dev, proc and sys; "" is "/". Tests
	// point it at a tree of files. Path is not affected.
	Root string `yaml:"-"`
}

// USBID selects a USB serial port by what sysfs tells about it. Empty fields
// match anything; VID and PID are compared without regard to case.
type USBID struct {
	VID string `yaml:"vid" doc:"vendor id, four hexadecimal digits, quoted"`
	PID string `yaml:"pid" doc:"product id, four hexadecimal digits, quoted"`
	// Serial is the device's serial number; cheap adapters have none, or all
	// the same one.
	Serial string `yaml:"serial" doc:"serial number of the adapter"`
	// Interface tells the ports of one multi-port adapter apart.
	Interface string `yaml:"interface" doc:"interface number, as \"00\", for adapters with several ports"`
	// PortPath is the socket: bus and hub ports, as "1-1.3".
	PortPath string `yaml:"port_path" doc:"USB socket, as 1-1.3, for adapters that nothing else tells apart"`
}

// Limits of Config.
const (
	MinBaud   = 50
	MaxBaud   = 20_000_000
	MaxSettle = time.Minute
)

// DefaultConfig returns 9600 baud, 8N1, no flow control, DTR untouched; which
// port is meant is left to fill in.
func DefaultConfig() Config {
	return Config{
		Baud:     9600,
		DataBits: 8,
		Parity:   "none",
		StopBits: 1,
		Flow:     "none",
		DTR:      "keep",
	}
}

// Validate reports everything that is wrong with c, each with the key it is
// about ("baud", "usb.vid"; "" is the whole). It looks at no hardware.
func (c *Config) Validate(report func(path, msg string)) {
	switch hasUSB := c.USB != (USBID{}); {
	case c.Path == "" && !hasUSB:
		report("", "which port? give path or usb")
	case c.Path != "" && hasUSB:
		report("usb", "not together with path: one of them decides")
	}
	c.USB.validate(report)
	c.RS485.validate(report)
	if c.Baud < MinBaud || c.Baud > MaxBaud {
		report("baud", fmt.Sprintf("%d is not between %d and %d", c.Baud, MinBaud, MaxBaud))
	}
	if c.DataBits < 5 || c.DataBits > 8 {
		report("data_bits", fmt.Sprintf("%d is not 5, 6, 7 or 8", c.DataBits))
	}
	if c.StopBits != 1 && c.StopBits != 2 {
		report("stop_bits", fmt.Sprintf("%d is not 1 or 2", c.StopBits))
	}
	oneOf(report, "parity", c.Parity, "none", "even", "odd", "mark", "space")
	oneOf(report, "flow", c.Flow, "none", "rtscts", "xonxoff")
	oneOf(report, "dtr", c.DTR, "keep", "on", "off", "pulse")
	if c.Settle < 0 || c.Settle > MaxSettle {
		report("settle", fmt.Sprintf("%v is not between 0s and %v", c.Settle, MaxSettle))
	}
}

func (u *USBID) validate(report func(path, msg string)) {
	if *u == (USBID{}) {
		return
	}
	if u.VID != "" && !isHex(u.VID, 4) {
		report("usb.vid", fmt.Sprintf("%q is not four hexadecimal digits, as \"0403\"", u.VID))
	}
	if u.PID != "" && !isHex(u.PID, 4) {
		report("usb.pid", fmt.Sprintf("%q is not four hexadecimal digits, as \"6001\"", u.PID))
	}
	if u.Interface != "" && !isHex(u.Interface, 1) && !isHex(u.Interface, 2) {
		report("usb.interface", fmt.Sprintf("%q is not an interface number, as \"00\"", u.Interface))
	}
	if u.VID == "" && u.PID == "" && u.Serial == "" && u.PortPath == "" {
		report("usb", "interface alone names no adapter: give vid and pid, serial or port_path")
	}
}

func oneOf(report func(path, msg string), path, got string, allowed ...string) {
	list := ""
	for i, a := range allowed {
		if got == a {
			return
		}
		switch {
		case i == 0:
		case i == len(allowed)-1:
			list += " or "
		default:
			list += ", "
		}
		list += a
	}
	report(path, fmt.Sprintf("%q is not %s", got, list))
}

func isHex(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f', c >= 'A' && c <= 'F':
		default:
			return false
		}
	}
	return true
}
