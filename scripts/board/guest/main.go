package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	if os.Getpid() != 1 { // it mounts, loads modules and sets addresses: only ever in a machine of its own
		fmt.Fprintln(os.Stderr, "guest: this is the first process of an emulated board, and refuses to run as another")
		os.Exit(1)
	}
	b := &board{terminals: map[string]*os.File{}}
	if err := errors.Join(b.start(), b.notifications()); err != nil {
		fmt.Println("guest: error:", err)
	}
	fmt.Println("guest: the board is up")
	go b.gateway()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if err := b.do(strings.TrimSpace(lines.Text())); err != nil {
			fmt.Println("guest: error:", err)
		} else {
			fmt.Println("guest: ok")
		}
	}
	select {} // the first process must not end
}

type board struct {
	terminals map[string]*os.File
	process   atomic.Pointer[os.Process] // dunlin's
	stopped   atomic.Bool
	watchdog  atomic.Pointer[os.File] // fed when dunlin says that it lives; nil while it is off
}

func (b *board) start() error {
	var errs []error
	for _, m := range [][3]string{{"proc", "/proc", "proc"}, {"sysfs", "/sys", "sysfs"}, {"devtmpfs", "/dev", "devtmpfs"}, {"tmpfs", "/run", "tmpfs"}, {"tmpfs", "/data", "tmpfs"}} {
		errs = append(errs, os.MkdirAll(m[1], 0o755), unix.Mount(m[0], m[1], m[2], 0, ""))
	}
	console, err := os.OpenFile("/dev/console", os.O_RDWR, 0)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	for fd := range 3 {
		errs = append(errs, unix.Dup3(int(console.Fd()), fd, 0))
	}
	if t, err := unix.IoctlGetTermios(0, unix.TCGETS); err == nil {
		t.Lflag &^= unix.ECHO
		errs = append(errs, unix.IoctlSetTermios(0, unix.TCSETS, t))
	}
	list, err := os.ReadFile("/modules")
	errs = append(errs, err)
	for line := range strings.Lines(string(list)) {
		errs = append(errs, insmod(strings.TrimSpace(line)))
	}
	return errors.Join(append(errs, data(), up("lo", "127.0.0.1"), up("eth0", "10.0.2.15"))...)
}

// data mounts the device that the kernel's command line names, if it does. It
// waits up to ten seconds for a driver to make it.
func data() (err error) {
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	_, rest, ok := strings.Cut(string(line), " data=")
	if !ok {
		return nil
	}
	device := strings.Fields(rest)[0]
	for range 100 {
		if err = unix.Mount(device, "/data", "ext4", unix.MS_NOATIME, ""); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("mount %s: %w", device, err)
}

func insmod(line string) error {
	name, parameters, _ := strings.Cut(line, " ")
	f, err := os.Open(filepath.Join("/lib/modules", name))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), parameters, 0); err != nil && err != unix.EEXIST {
		return fmt.Errorf("insmod %s: %w", name, err)
	}
	return nil
}

// up gives an interface an address of a network of 24 bits. It waits up to ten
// seconds for a driver to make the interface.
func up(name, address string) error {
	for range 100 {
		if _, err := net.InterfaceByName(name); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	r, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	errs := []error{r.SetInet4Addr(net.ParseIP(address).To4()), unix.IoctlIfreq(s, unix.SIOCSIFADDR, r),
		r.SetInet4Addr([]byte{255, 255, 255, 0}), unix.IoctlIfreq(s, unix.SIOCSIFNETMASK, r)}
	r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := errors.Join(append(errs, unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, r))...); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// gateway keeps dunlin running, as a service manager would.
func (b *board) gateway() {
	for !b.stopped.Load() {
		cmd := exec.Command("/dunlin", "run", "-c", "/etc/dunlin.yaml")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+notifySocket, "WATCHDOG_USEC=2000000")
		if err := cmd.Start(); err != nil {
			fmt.Println("guest: error:", err)
			return
		}
		b.process.Store(cmd.Process)
		fmt.Println("guest: dunlin ended:", cmd.Wait())
		time.Sleep(100 * time.Millisecond)
	}
}

const notifySocket = "/run/notify"

// notifications hears what dunlin tells its service manager, and feeds the
// watchdog with it. How long it may starve is its driver's parameter: QEMU's
// model of the i.MX's goes off when it is set.
func (b *board) notifications() error {
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notifySocket, Net: "unixgram"})
	if err != nil {
		return err
	}
	go func() { // ends with the board
		buf := make([]byte, 4096)
		for {
			n, err := c.Read(buf)
			if dog := b.watchdog.Load(); err == nil && dog != nil && strings.Contains(string(buf[:n]), "WATCHDOG=1") {
				_, err = dog.Write([]byte{0})
			}
			if err != nil {
				fmt.Println("guest: error:", err)
				return
			}
		}
	}()
	return nil
}

func (b *board) do(line string) error {
	verb, rest, _ := strings.Cut(line, " ")
	name, text, _ := strings.Cut(rest, " ")
	switch verb {
	case "insmod":
		return insmod(rest)
	case "rmmod":
		return unix.DeleteModule(name, unix.O_NONBLOCK)
	case "tty":
		return b.open(name)
	case "send":
		f := b.terminals[name]
		if f == nil {
			return fmt.Errorf("%s is not open", name)
		}
		_, err := f.WriteString(text + "\r\n")
		return err
	case "close":
		f := b.terminals[name]
		delete(b.terminals, name)
		return f.Close()
	case "write":
		return os.WriteFile(name, []byte(text), 0)
	case "kill":
		return b.signal(syscall.SIGKILL)
	case "hang":
		return b.signal(syscall.SIGSTOP)
	case "watchdog":
		f, err := os.OpenFile("/dev/watchdog", os.O_WRONLY, 0)
		b.watchdog.Store(f)
		return err
	case "stop":
		b.stopped.Store(true)
		return b.signal(syscall.SIGTERM)
	}
	return fmt.Errorf("what is %q?", verb)
}

func (b *board) signal(s os.Signal) error {
	p := b.process.Load()
	if p == nil {
		return errors.New("dunlin has not started")
	}
	return p.Signal(s)
}

// open opens a terminal raw, and waits up to ten seconds for it to be there.
func (b *board) open(name string) error {
	var f *os.File
	var err error
	for range 100 {
		if f, err = os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		return err
	}
	t, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return err
	}
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	b.terminals[name] = f
	return unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, t)
}
