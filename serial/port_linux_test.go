package serial_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dunlin-mqtt/dunlin/serial"
	"github.com/dunlin-mqtt/dunlin/serial/serialtest"
)

// soon is how long something that happens at once may take on a busy machine.
const soon = 5 * time.Second

func config(path string) serial.Config {
	c := serial.DefaultConfig()
	c.Path = path
	return c
}

func open(t *testing.T, c serial.Config) serial.Port {
	t.Helper()
	p, err := serial.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
	})
	return p
}

// within fails the test when f does not return soon.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(soon):
		t.Fatalf("%s: not done after %v", what, soon)
	}
}

func TestPortCarriesBytesBothWays(t *testing.T) {
	d := serialtest.Pty(t)
	p := open(t, config(d.Path()))
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	d.Send(string(every))
	got := make([]byte, len(every))
	if _, err := io.ReadFull(p, got); err != nil || !bytes.Equal(got, every) {
		t.Fatalf("raw bytes arrive as % x, %v", got, err)
	}
	if _, err := p.Write(every); err != nil {
		t.Fatal(err)
	}
	d.Expect(string(every))
	if err := p.(serial.Control).Drain(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestDeadlineEndsRead(t *testing.T) {
	d := serialtest.Pty(t)
	p := open(t, config(d.Path()))
	if err := p.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	within(t, "read", func() {
		if n, err := p.Read(make([]byte, 8)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read: %d, %v", n, err)
		}
	})
	if err := p.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	d.Send("x")
	if n, err := p.Read(make([]byte, 8)); n != 1 || err != nil {
		t.Errorf("read after the deadline was lifted: %d, %v", n, err)
	}
}

func TestStalledDevice(t *testing.T) {
	d := serialtest.Pty(t)
	t.Run("a blocked Write ends at its deadline", func(t *testing.T) {
		p := open(t, config(d.Path()))
		if err := p.SetWriteDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		within(t, "write", func() {
			n, err := p.Write(make([]byte, 1<<20))
			if !errors.Is(err, os.ErrDeadlineExceeded) || n == 1<<20 {
				t.Errorf("write: %d, %v", n, err)
			}
		})
		within(t, "close", func() {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("Close ends a blocked Write", func(t *testing.T) {
		p := open(t, config(d.Path()))
		failed := make(chan error, 1)
		go func() {
			for {
				if _, err := p.Write(make([]byte, 1<<16)); err != nil {
					failed <- err
					return
				}
			}
		}()
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-failed:
			if !errors.Is(err, os.ErrClosed) || errors.Is(err, serial.ErrUnplugged) {
				t.Errorf("write: %v", err)
			}
		case <-time.After(soon):
			t.Fatal("Write still blocked after Close")
		}
	})
}

func TestUnplug(t *testing.T) {
	t.Run("a blocked Read ends with ErrUnplugged", func(t *testing.T) {
		d := serialtest.Pty(t)
		p := open(t, config(d.Path()))
		d.Send("last")
		if n, err := p.Read(make([]byte, 8)); n != 4 || err != nil {
			t.Fatal(n, err)
		}
		failed := make(chan error, 1)
		go func() { _, err := p.Read(make([]byte, 8)); failed <- err }()
		d.Unplug()
		select {
		case err := <-failed:
			if !errors.Is(err, serial.ErrUnplugged) || errors.Is(err, os.ErrClosed) {
				t.Errorf("read: %v", err)
			}
		case <-time.After(soon):
			t.Fatal("Read still blocked after unplug")
		}
		if _, err := p.Write([]byte("x")); !errors.Is(err, serial.ErrUnplugged) {
			t.Errorf("write: %v", err)
		}
	})
	t.Run("a blocked Write ends with ErrUnplugged", func(t *testing.T) {
		d := serialtest.Pty(t)
		p := open(t, config(d.Path()))
		failed := make(chan error, 1)
		go func() { _, err := p.Write(make([]byte, 1<<20)); failed <- err }()
		d.Unplug()
		select {
		case err := <-failed:
			if !errors.Is(err, serial.ErrUnplugged) {
				t.Errorf("write: %v", err)
			}
		case <-time.After(soon):
			t.Fatal("Write still blocked after unplug")
		}
	})
}

func TestReplug(t *testing.T) {
	d := serialtest.Pty(t)
	c := config(d.Path())
	p := open(t, c)
	d.Unplug()
	if _, err := serial.Open(c); !errors.Is(err, serial.ErrNotFound) {
		t.Errorf("open while unplugged: %v", err)
	}
	back := make(chan error, 1)
	go func() { back <- serial.WaitFor(t.Context(), c) }()
	d.Replug()
	select {
	case err := <-back:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(soon):
		t.Fatal("WaitFor did not see the replug")
	}
	d.Send("first")
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	p = open(t, c)
	b := make([]byte, 16)
	if n, err := p.Read(b); err != nil || string(b[:n]) != "first" {
		t.Errorf("after replug: %q, %v", b[:n], err)
	}
}

func TestWaitForEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := serial.WaitFor(ctx, config(filepath.Join(t.TempDir(), "none")))
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestCloseFromAnotherGoroutine(t *testing.T) {
	d := serialtest.Pty(t)
	for range 50 {
		p, err := serial.Open(config(d.Path()))
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		started := make(chan struct{}, 2)
		call := func(f func([]byte) (int, error)) {
			started <- struct{}{}
			for {
				if _, err := f(make([]byte, 1<<12)); err != nil {
					if !errors.Is(err, os.ErrClosed) {
						t.Errorf("after Close: %v", err)
					}
					return
				}
			}
		}
		wg.Go(func() { call(p.Read) })
		wg.Go(func() { call(p.Write) })
		<-started
		<-started
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		within(t, "calls", wg.Wait)
		if err := p.Close(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("second Close: %v", err)
		}
		if err := p.SetReadDeadline(time.Time{}); !errors.Is(err, os.ErrClosed) {
			t.Errorf("SetReadDeadline after Close: %v", err)
		}
	}
}

func TestHighDescriptor(t *testing.T) {
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if old.Cur < 1200 {
		if old.Max < 1200 {
			t.Skip("the descriptor limit cannot be raised to 1200")
		}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1200, Max: old.Max}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Setrlimit(unix.RLIMIT_NOFILE, &old) })
	}
	d := serialtest.Pty(t)
	for highest := uintptr(0); highest < 1024; {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		highest = f.Fd()
	}
	p := open(t, config(d.Path()))
	d.Send("high")
	b := make([]byte, 8)
	if n, err := p.Read(b); err != nil || string(b[:n]) != "high" {
		t.Errorf("read: %q, %v", b[:n], err)
	}
	if err := p.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("deadline: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	d := serialtest.Pty(t)
	t.Run("a port in use, naming the holder", func(t *testing.T) {
		p := open(t, config(d.Path()))
		_, err := serial.Open(config(d.Path()))
		if !errors.Is(err, serial.ErrBusy) || !strings.Contains(err.Error(), "this program") {
			t.Errorf("second open: %v", err)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		open(t, config(d.Path()))
	})
	t.Run("a path that is not there", func(t *testing.T) {
		_, err := serial.Open(config(filepath.Join(t.TempDir(), "ttyUSB7")))
		if !errors.Is(err, serial.ErrNotFound) || !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
	})
	t.Run("what is no serial port", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		fifo := filepath.Join(t.TempDir(), "fifo")
		if err := unix.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{file, fifo, os.DevNull, t.TempDir()} {
			within(t, path, func() {
				if _, err := serial.Open(config(path)); !errors.Is(err, serial.ErrUnsupported) {
					t.Errorf("%s: %v", path, err)
				}
			})
		}
	})
	t.Run("a setting that the port cannot do", func(t *testing.T) {
		c := config(d.Path())
		c.DTR = "pulse" // a pseudo terminal has no modem lines
		if _, err := serial.Open(c); !errors.Is(err, serial.ErrUnsupported) {
			t.Error(err)
		}
		open(t, config(d.Path())) // and gives it back
	})
	t.Run("a configuration that is wrong", func(t *testing.T) {
		c := config(d.Path())
		c.Baud, c.Parity = 0, "both"
		_, err := serial.Open(c)
		if !errors.Is(err, serial.ErrConfig) || !strings.Contains(err.Error(), "baud") || !strings.Contains(err.Error(), "parity") {
			t.Error(err)
		}
	})
}

func TestSettingsReachTheDriver(t *testing.T) {
	d := serialtest.Pty(t)
	for _, baud := range []int{1200, 9600, 115200, 250000, 123456} {
		c := config(d.Path())
		c.Baud, c.StopBits, c.Parity, c.Flow = baud, 2, "odd", "xonxoff"
		p := open(t, c)
		f, err := os.OpenFile(d.Path(), os.O_RDWR|unix.O_NOCTTY, 0)
		if err != nil {
			t.Fatal(err)
		}
		got, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS2)
		if err != nil {
			t.Fatal(err)
		}
		if int(got.Ospeed) != baud || int(got.Ispeed) != baud {
			t.Errorf("baud %d: the driver has %d and %d", baud, got.Ospeed, got.Ispeed)
		}
		// A pseudo terminal clears PARENB and keeps the rest.
		if got.Cflag&unix.CSTOPB == 0 || got.Cflag&unix.PARODD == 0 || got.Cflag&unix.HUPCL != 0 {
			t.Errorf("baud %d: c_cflag is %#o", baud, got.Cflag)
		}
		if got.Iflag&(unix.IXON|unix.IXOFF|unix.INPCK) != unix.IXON|unix.IXOFF|unix.INPCK || got.Lflag != 0 || got.Oflag != 0 {
			t.Errorf("baud %d: c_iflag %#o c_lflag %#o c_oflag %#o", baud, got.Iflag, got.Lflag, got.Oflag)
		}
		if err := errors.Join(f.Close(), p.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDiscard(t *testing.T) {
	d := serialtest.Pty(t)
	p := open(t, config(d.Path()))
	d.Send("old")
	b := make([]byte, 8)
	if _, err := p.Read(b[:1]); err != nil { // so that the rest has arrived too
		t.Fatal(err)
	}
	if err := p.(serial.Control).Discard(true, true); err != nil {
		t.Fatal(err)
	}
	d.Send("new")
	if n, err := p.Read(b); err != nil || string(b[:n]) != "new" {
		t.Errorf("after Discard: %q, %v", b[:n], err)
	}
}
