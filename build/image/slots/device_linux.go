package slots

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Device is a Disk on a block device, or on a file that holds a card. It goes
// around the kernel's cache: what is read back comes from the card, an update
// of many MiB displaces nothing in a small memory, and a sector is one write.
type Device struct {
	f  *os.File
	mu sync.Mutex
	// buf is where the kernel wants its bytes: aligned. mu guards it.
	buf []byte
}

// OpenDevice opens /dev/mmcblk0, say. Every call of it blocks as long as the
// card does.
func OpenDevice(name string) (*Device, error) {
	f, err := os.OpenFile(name, os.O_RDWR|unix.O_DIRECT, 0)
	switch {
	case errors.Is(err, unix.EINVAL): // a file in memory knows no other way
		f, err = os.OpenFile(name, os.O_RDWR, 0)
	case errors.Is(err, unix.EROFS): // a card at the end of its life: it tells what is on it, and refuses every write
		f, err = os.OpenFile(name, os.O_RDONLY|unix.O_DIRECT, 0)
	}
	if err != nil {
		return nil, err
	}
	buf, err := unix.Mmap(-1, 0, Chunk, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("memory for %s: %w", name, err)
	}
	return &Device{f: f, buf: buf}, nil
}

// Close gives the memory back.
func (d *Device) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	unix.Munmap(d.buf)
	d.buf = nil
	return d.f.Close()
}

func (d *Device) ReadAt(p []byte, at int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	done := 0
	for done < len(p) {
		part := d.buf[:min(len(d.buf), len(p)-done)]
		n, err := d.f.ReadAt(part, at+int64(done))
		done += copy(p[done:], part[:n])
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

func (d *Device) WriteAt(p []byte, at int64) (int, error) {
	if len(p)%Sector != 0 || at%Sector != 0 {
		return 0, fmt.Errorf("%d bytes at %d are not whole sectors", len(p), at)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	done := 0
	for done < len(p) {
		n := copy(d.buf, p[done:])
		n, err := d.f.WriteAt(d.buf[:n], at+int64(done))
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// Sync waits until the card has everything.
func (d *Device) Sync() error { return d.f.Sync() }

var (
	_ Disk      = (*Device)(nil)
	_ io.Closer = (*Device)(nil)
)
