package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	if os.Getpid() != 1 { // it mounts, loads modules and powers off: only ever in a machine of its own
		fmt.Fprintln(os.Stderr, "guest: this is the first process of an emulated machine, and refuses to run as another")
		os.Exit(1)
	}
	if err := run(); err != nil {
		fmt.Println("guest: error:", err)
	}
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF) // nothing is synced
	select {}
}

func run() error {
	seconds, err := start()
	if err != nil {
		return err
	}
	cmd := exec.Command("/dunlin", "run", "-c", "/etc/dunlin.yaml")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // run ends the machine
	for range 600 {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	failed := make(chan error, 1)
	if err := play(failed); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	case err := <-ended:
		return fmt.Errorf("dunlin ended: %v", err)
	case <-time.After(seconds):
	}
	fmt.Println("guest: done")
	return nil
}

// start makes the machine usable and mounts the disk.
func start() (seconds time.Duration, err error) {
	for _, m := range [][3]string{{"proc", "/proc", "proc"}, {"sysfs", "/sys", "sysfs"}, {"devtmpfs", "/dev", "devtmpfs"}} {
		if err := unix.Mount(m[0], m[1], m[2], 0, ""); err != nil {
			return 0, fmt.Errorf("mount %s: %w", m[1], err)
		}
	}
	console, err := os.OpenFile("/dev/console", os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	for fd := range 3 {
		if err := unix.Dup3(int(console.Fd()), fd, 0); err != nil {
			return 0, err
		}
	}
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(line), "seconds=")
	n, err := strconv.Atoi(strings.Fields(rest + " x")[0])
	if err != nil {
		return 0, fmt.Errorf("seconds: %w", err)
	}
	list, err := os.ReadFile("/modules")
	if err != nil {
		return 0, err
	}
	for name := range strings.Lines(string(list)) {
		if err := insmod("/lib/modules/" + strings.TrimSpace(name)); err != nil {
			return 0, err
		}
	}
	for range 100 { // the driver takes a moment
		if err = unix.Mount(disk, "/data", "ext4", unix.MS_NOATIME, ""); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err != nil {
		return 0, fmt.Errorf("mount %s: %w", disk, err)
	}
	return time.Duration(n) * time.Second, loopback()
}

func insmod(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && err != unix.EEXIST {
		return fmt.Errorf("insmod %s: %w", path, err)
	}
	return nil
}

// loopback brings the interface lo up, which gets its address by that.
func loopback() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	r, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, r)
}
