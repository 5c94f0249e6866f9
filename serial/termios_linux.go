package serial

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// rates are the speeds with a name of their own. Any other goes as BOTHER with
// the number beside it; some drivers look at the name only.
var rates = map[int]uint32{
	50: unix.B50, 75: unix.B75, 110: unix.B110, 134: unix.B134, 150: unix.B150,
	200: unix.B200, 300: unix.B300, 600: unix.B600, 1200: unix.B1200,
	1800: unix.B1800, 2400: unix.B2400, 4800: unix.B4800, 9600: unix.B9600,
	19200: unix.B19200, 38400: unix.B38400, 57600: unix.B57600,
	115200: unix.B115200, 230400: unix.B230400, 460800: unix.B460800,
	500000: unix.B500000, 576000: unix.B576000, 921600: unix.B921600,
	1000000: unix.B1000000, 1152000: unix.B1152000, 1500000: unix.B1500000,
	2000000: unix.B2000000, 2500000: unix.B2500000, 3000000: unix.B3000000,
	3500000: unix.B3500000, 4000000: unix.B4000000,
}

// shape is the part of c_cflag that changes how bits become characters.
const shape = unix.CBAUD | unix.CSIZE | unix.CSTOPB | unix.PARENB | unix.PARODD | unix.CMSPAR

// termios returns old with the settings of c: raw bytes both ways, no signals,
// no echo, breaks ignored, no hangup of DTR on close, the carrier ignored. A
// character with a parity error is read as NUL.
func termios(old unix.Termios, c *Config) unix.Termios {
	t := old
	t.Iflag, t.Oflag, t.Lflag = unix.IGNBRK, 0, 0
	t.Cflag = unix.CREAD | unix.CLOCAL | sizes[c.DataBits] | parities[c.Parity]
	if c.Parity != "none" {
		t.Iflag |= unix.INPCK
	}
	if c.StopBits == 2 {
		t.Cflag |= unix.CSTOPB
	}
	switch c.Flow {
	case "rtscts":
		t.Cflag |= unix.CRTSCTS
	case "xonxoff":
		t.Iflag |= unix.IXON | unix.IXOFF
	}
	if rate, ok := rates[c.Baud]; ok {
		t.Cflag |= rate
	} else {
		t.Cflag |= unix.BOTHER
	}
	t.Ispeed, t.Ospeed = uint32(c.Baud), uint32(c.Baud)
	// A read that finds nothing must say so (EAGAIN), not return 0 bytes.
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	return t
}

var sizes = map[int]uint32{5: unix.CS5, 6: unix.CS6, 7: unix.CS7, 8: unix.CS8}

var parities = map[string]uint32{
	"none":  0,
	"even":  unix.PARENB,
	"odd":   unix.PARENB | unix.PARODD,
	"mark":  unix.PARENB | unix.PARODD | unix.CMSPAR,
	"space": unix.PARENB | unix.CMSPAR,
}

// configure sets the tty up and asks the driver what it made of it.
func configure(fd int, path string, c *Config) error {
	old, err := unix.IoctlGetTermios(fd, unix.TCGETS2)
	if err != nil {
		return openError(path, err, c.Root)
	}
	want := termios(*old, c)
	if err := unix.IoctlSetTermios(fd, unix.TCSETS2, &want); err != nil {
		return openError(path, err, c.Root)
	}
	// A pseudo terminal has no wire: it keeps whatever arrived, drops parity
	// and size, and there is nothing to verify.
	if isPty(fd) {
		return nil
	}
	if old.Cflag&shape != want.Cflag&shape || old.Ospeed != want.Ospeed {
		// What came in until now was cut into wrong characters.
		if err := unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIFLUSH); err != nil {
			return openError(path, err, c.Root)
		}
	}
	got, err := unix.IoctlGetTermios(fd, unix.TCGETS2)
	if err != nil {
		return openError(path, err, c.Root)
	}
	if refused := compare(&want, got); refused != "" {
		return &Error{Op: "open", Port: path, Kind: ErrUnsupported, Detail: "the driver refused " + refused}
	}
	return nil
}

// compare names the settings that the driver did not take, "" for none. The
// speed may be off by 3 %: a character of 10 bits survives 4 %.
func compare(want, got *unix.Termios) string {
	var refused []string
	if d := int64(want.Ospeed) - int64(got.Ospeed); max(d, -d)*100 > int64(want.Ospeed)*3 {
		refused = append(refused, fmt.Sprintf("baud %d (it made %d)", want.Ospeed, got.Ospeed))
	}
	for _, s := range []struct {
		key  string
		mask uint32
	}{
		{"data_bits", unix.CSIZE},
		{"stop_bits", unix.CSTOPB},
		{"parity", unix.PARENB | unix.PARODD | unix.CMSPAR},
		{"flow rtscts", unix.CRTSCTS},
	} {
		if want.Cflag&s.mask != got.Cflag&s.mask {
			refused = append(refused, s.key)
		}
	}
	return strings.Join(refused, ", ")
}

// isPty reports whether fd is the slave of a pseudo terminal. The kernel's
// device list gives them major numbers 136 to 143.
func isPty(fd int) bool {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return false
	}
	m := unix.Major(uint64(st.Rdev))
	return m >= 136 && m <= 143
}

// openError sorts an error of opening path.
func openError(path string, err error, root string) *Error {
	e := &Error{Op: "open", Port: path, Err: cause(err)}
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		e.Kind = ErrNotFound
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		e.Kind, e.Detail = ErrPermission, whoMay(path)
	case errors.Is(err, unix.EBUSY):
		e.Kind, e.Detail = ErrBusy, holder(path, root)
	case errors.Is(err, unix.ENOTTY), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EISDIR):
		e.Kind, e.Detail = ErrUnsupported, "it is not a serial port"
	case gone(err):
		e.Kind, e.Detail = ErrUnplugged, "there is no device behind it"
	}
	return e
}
