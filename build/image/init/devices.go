package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// ownedBy is which group a device belongs to, by how its name begins.
var ownedBy = []struct {
	prefix string
	group  int
}{
	{"gpiochip", gpio}, {"i2c-", i2c}, {"iio:device", i2c}, {"spidev", spi},
	{"ttyAMA", dialout}, {"ttyUSB", dialout}, {"ttyACM", dialout}, {"ttyS", dialout},
}

// groupOf is the group of a device below /dev, 0 for one that stays root's.
func groupOf(name string) int {
	for _, o := range ownedBy {
		if number, ok := strings.CutPrefix(name, o.prefix); ok && number != "" && number[0] >= '0' && number[0] <= '9' {
			return o.group
		}
	}
	return 0
}

// hand gives a device to its group.
func hand(name string) error {
	group := groupOf(name)
	if group == 0 {
		return nil
	}
	path := filepath.Join("/dev", name)
	if err := os.Chown(path, 0, group); err != nil {
		return err
	}
	return os.Chmod(path, 0o660)
}

// devices hands dunlin's devices to its groups, those that are there and
// those that come.
func (b *board) devices(ctx context.Context) error {
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return err
	}
	events := os.NewFile(uintptr(s), "uevents")
	defer events.Close()
	defer context.AfterFunc(ctx, func() { events.Close() })()
	if err := unix.Bind(s, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1}); err != nil {
		return err
	}
	entries, err := os.ReadDir("/dev")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := hand(e.Name()); err != nil {
			b.logf("%v", err)
		}
	}
	for buf := make([]byte, 8192); ; {
		n, err := events.Read(buf)
		if err != nil { // also when events were lost: all are looked at again
			return fmt.Errorf("events of the kernel: %w", err)
		}
		if name := addedDevice(buf[:n]); name != "" {
			if err := hand(name); err != nil {
				b.logf("%v", err)
			}
		}
	}
}

// addedDevice is the name below /dev that an event of the kernel tells of
// (Documentation/ABI/stable/sysfs-devices: "add@PATH", then NAME=VALUE, zero
// bytes between them); empty for any other event.
func addedDevice(event []byte) string {
	action, rest, _ := bytes.Cut(event, []byte{0})
	if !bytes.HasPrefix(action, []byte("add@")) {
		return ""
	}
	for field := range bytes.SplitSeq(rest, []byte{0}) {
		if name, ok := bytes.CutPrefix(field, []byte("DEVNAME=")); ok && !bytes.ContainsAny(name, "/") {
			return string(name)
		}
	}
	return ""
}

// loadModules loads the drivers that are not part of the kernel, in the order
// of /lib/modules/order.
func (b *board) loadModules() {
	order, err := os.ReadFile("/lib/modules/order")
	if err != nil {
		return // a kernel with all in it
	}
	for line := range strings.Lines(string(order)) {
		name, parameters, _ := strings.Cut(strings.TrimSpace(line), " ")
		if err := loadModule(name, parameters); err != nil {
			b.logf("driver %s: %v", name, err)
		}
	}
}

func loadModule(name, parameters string) error {
	f, err := os.Open(filepath.Join("/lib/modules", name))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), parameters, 0); err != nil && err != unix.EEXIST {
		return err
	}
	return nil
}
