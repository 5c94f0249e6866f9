package serialtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds every Read and Write of a Device, so that a test ends.
const patience = 10 * time.Second

// Device is the far end of a serial port: what is plugged in.
type Device struct {
	t    testing.TB
	path string
	n    int // how often it was plugged in; guarded by end.Mutex

	end struct {
		sync.Mutex
		master *os.File // nil while unplugged
		slave  *os.File // keeps the line up while the program has it closed
	}
}

// Pty plugs in a device and returns it; the test's end unplugs it. The test
// fails when the machine has no /dev/ptmx.
func Pty(t testing.TB) *Device {
	t.Helper()
	d := &Device{t: t, path: filepath.Join(t.TempDir(), "port")}
	d.Replug()
	t.Cleanup(d.Unplug)
	return d
}

// Path returns the port's stable name, a symbolic link that Unplug removes and
// Replug points at another node.
func (d *Device) Path() string { return d.path }

// Write sends bytes to the program, as the device does.
func (d *Device) Write(b []byte) (int, error) {
	f, err := d.plugged()
	if err != nil {
		return 0, err
	}
	if err := f.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	return f.Write(b)
}

// Send writes s and marks the test as failed when it cannot. It may be called
// from any goroutine of the test.
func (d *Device) Send(s string) {
	d.t.Helper()
	if _, err := d.Write([]byte(s)); err != nil {
		d.t.Errorf("device sends %q: %v", s, err)
	}
}

// Read returns what the program wrote, at least one byte. A device that does
// not read lets the program's writes block.
func (d *Device) Read(b []byte) (int, error) {
	f, err := d.plugged()
	if err != nil {
		return 0, err
	}
	if err := f.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	return f.Read(b)
}

// Expect reads until want came, and marks the test as failed when something
// else did. It may be called from any goroutine of the test.
func (d *Device) Expect(want string) {
	d.t.Helper()
	var got []byte
	b := make([]byte, 4096)
	for len(got) < len(want) {
		n, err := d.Read(b)
		got = append(got, b[:n]...)
		if err != nil {
			d.t.Errorf("device read %q, want %q: %v", got, want, err)
			return
		}
		if !strings.HasPrefix(want, string(got)) {
			d.t.Errorf("device read %q, want %q", got, want)
			return
		}
	}
}

// Unplug removes the node and hangs up, as pulling the cable does. Unplugging
// what is not plugged in does nothing.
func (d *Device) Unplug() {
	d.t.Helper()
	d.end.Lock()
	defer d.end.Unlock()
	if d.end.master == nil {
		return
	}
	if err := os.Remove(d.path); err != nil {
		d.t.Error(err)
	}
	if err := d.end.master.Close(); err != nil {
		d.t.Error(err)
	}
	_ = d.end.slave.Close() // hung up a moment ago
	d.end.master, d.end.slave = nil, nil
}

// Replug plugs the device in again: a new node under the same Path. What the
// device sends before the program opens the port is kept by the terminal.
func (d *Device) Replug() {
	d.t.Helper()
	d.Unplug()
	d.end.Lock()
	defer d.end.Unlock()
	master, name, err := openMaster()
	if err != nil {
		d.t.Fatal(err)
	}
	slave, err := openRaw(name)
	if err != nil {
		_ = master.Close()
		d.t.Fatal(err)
	}
	d.n++
	d.end.master, d.end.slave = master, slave
	// A rename, so that the path never points at half a link.
	next := fmt.Sprintf("%s.%d", d.path, d.n)
	if err := os.Symlink(name, next); err != nil {
		d.t.Fatal(err)
	}
	if err := os.Rename(next, d.path); err != nil {
		d.t.Fatal(err)
	}
}

func (d *Device) plugged() (*os.File, error) {
	d.end.Lock()
	defer d.end.Unlock()
	if d.end.master == nil {
		return nil, os.ErrClosed
	}
	return d.end.master, nil
}

// openMaster makes a pseudo terminal and returns its master, on the netpoller,
// and its slave's name.
func openMaster() (*os.File, string, error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, "", fmt.Errorf("open /dev/ptmx: %w", err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, "", fmt.Errorf("unlock pseudo terminal: %w", err)
	}
	return os.NewFile(uintptr(fd), "/dev/ptmx"), fmt.Sprintf("/dev/pts/%d", n), nil
}

// openRaw opens the slave and turns off echo and line editing, which a wire
// does not have.
func openRaw(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var inner error
	err = raw.Control(func(fd uintptr) {
		var t *unix.Termios
		if t, inner = unix.IoctlGetTermios(int(fd), unix.TCGETS); inner != nil {
			return
		}
		t.Iflag, t.Oflag, t.Lflag = unix.IGNBRK, 0, 0
		inner = unix.IoctlSetTermios(int(fd), unix.TCSETS, t)
	})
	if err == nil {
		err = inner
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("set up %s: %w", name, err)
	}
	return f, nil
}
