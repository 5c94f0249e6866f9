package serialtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds every Read and Write of a Port, so that a test ends.
const patience = 10 * time.Second

// Port is a pseudo terminal that can be unplugged, for programs that are no
// test: tests use Pty.
type Port struct {
	path string
	n    int // how often it was plugged in; guarded by end.Mutex

	end struct {
		sync.Mutex
		master *os.File // nil while unplugged
		slave  *os.File // keeps the line up while the program has it closed
	}
}

// NewPort returns a port whose stable name is path. Nothing is plugged in.
func NewPort(path string) *Port { return &Port{path: path} }

// Path returns the port's stable name, a symbolic link that Unplug removes and
// Plug points at another node.
func (p *Port) Path() string { return p.path }

// Write sends bytes to the program, as the device does.
func (p *Port) Write(b []byte) (int, error) {
	f, err := p.plugged()
	if err != nil {
		return 0, err
	}
	if err := f.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	return f.Write(b)
}

// Read returns what the program wrote, at least one byte. A device that does
// not read lets the program's writes block.
func (p *Port) Read(b []byte) (int, error) {
	f, err := p.plugged()
	if err != nil {
		return 0, err
	}
	if err := f.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	return f.Read(b)
}

// Unplug removes the node and hangs up, as pulling the cable does. Unplugging
// what is not plugged in does nothing.
func (p *Port) Unplug() error {
	p.end.Lock()
	defer p.end.Unlock()
	if p.end.master == nil {
		return nil
	}
	err := errors.Join(os.Remove(p.path), p.end.master.Close())
	_ = p.end.slave.Close() // hung up a moment ago
	p.end.master, p.end.slave = nil, nil
	return err
}

// Plug plugs the device in, unplugging it before: a new node under the same
// Path. What the device sends before the program opens the port is kept by the
// terminal.
func (p *Port) Plug() error {
	if err := p.Unplug(); err != nil {
		return err
	}
	p.end.Lock()
	defer p.end.Unlock()
	master, name, err := openMaster()
	if err != nil {
		return err
	}
	slave, err := openRaw(name)
	if err != nil {
		_ = master.Close()
		return err
	}
	p.n++
	p.end.master, p.end.slave = master, slave
	// A rename, so that the path never points at half a link.
	next := fmt.Sprintf("%s.%d", p.path, p.n)
	if err := os.Symlink(name, next); err != nil {
		return err
	}
	return os.Rename(next, p.path)
}

func (p *Port) plugged() (*os.File, error) {
	p.end.Lock()
	defer p.end.Unlock()
	if p.end.master == nil {
		return nil, os.ErrClosed
	}
	return p.end.master, nil
}

// Device is the far end of a serial port in a test: what is plugged in.
type Device struct {
	*Port
	t testing.TB
}

// Pty plugs in a device and returns it; the test's end unplugs it. The test
// fails when the machine has no /dev/ptmx.
func Pty(t testing.TB) *Device {
	t.Helper()
	d := &Device{NewPort(filepath.Join(t.TempDir(), "port")), t}
	d.Replug()
	t.Cleanup(d.Unplug)
	return d
}

// Send writes s and marks the test as failed when it cannot. It may be called
// from any goroutine of the test.
func (d *Device) Send(s string) {
	d.t.Helper()
	if _, err := d.Write([]byte(s)); err != nil {
		d.t.Errorf("device sends %q: %v", s, err)
	}
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

// Unplug is Port's, and marks the test as failed when it cannot.
func (d *Device) Unplug() {
	d.t.Helper()
	if err := d.Port.Unplug(); err != nil {
		d.t.Error(err)
	}
}

// Replug is Port's Plug, and ends the test when it cannot.
func (d *Device) Replug() {
	d.t.Helper()
	if err := d.Plug(); err != nil {
		d.t.Fatal(err)
	}
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
