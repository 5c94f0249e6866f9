package listen

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// failing is a listener whose accept fails a few times first.
type failing struct {
	*Memory
	err      error
	failures int
}

func (f *failing) Accept() (net.Conn, error) {
	if f.failures > 0 {
		f.failures--
		return nil, &net.OpError{Op: "accept", Err: f.err}
	}
	return f.Memory.Accept()
}

func TestAcceptSurvivesErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := &failing{Memory: NewMemory(), err: syscall.ENOBUFS, failures: 20}
		ctx, cancel := context.WithCancel(t.Context())
		accepted, done := make(chan net.Conn, 1), make(chan struct{})
		go func() {
			defer close(done)
			Accept(ctx, ln, slog.New(slog.DiscardHandler), func(nc net.Conn) { accepted <- nc })
		}()
		start := time.Now()
		c, err := ln.Dial()
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		(<-accepted).Close()
		if d := time.Since(start); d < 10*time.Second || d > 20*time.Second {
			t.Errorf("20 failures took %v: no back-off, or no bound to it", d)
		}
		cancel()
		<-done
		if _, err := ln.Dial(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Dial after the end = %v", err)
		}
	})
}

// Without descriptors the client that waits is closed with the one kept back,
// and those after it are served again as soon as there are some.
func TestAcceptWithoutDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := &failing{Memory: NewMemory(), err: syscall.EMFILE, failures: 1}
		ctx, cancel := context.WithCancel(t.Context())
		accepted, done := make(chan net.Conn, 1), make(chan struct{})
		go func() {
			defer close(done)
			Accept(ctx, ln, slog.New(slog.DiscardHandler), func(nc net.Conn) { accepted <- nc })
		}()
		start := time.Now()
		for range 2 {
			c, err := ln.Dial()
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
			(<-accepted).Close()
		}
		if d := time.Since(start); d != 0 { // the first client was accepted with the reserve
			t.Errorf("the clients waited %v", d)
		}
		cancel()
		<-done
	})
}

func TestBindUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	defer syscall.Umask(syscall.Umask(0))
	ln, err := Bind("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
	if _, err := Bind("unix:" + filepath.Join(filepath.Dir(path), "none", "s")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without the directory: %v", err)
	}
	if _, err := Bind("unix:/" + strings.Repeat("x", 107)); err == nil || !strings.Contains(err.Error(), "at most 107") {
		t.Errorf("a path that is too long: %v", err)
	}
	for _, name := range []string{"file", "link", "datagram socket"} {
		other := filepath.Join(t.TempDir(), name)
		switch name {
		case "link":
			err = os.Symlink(path, other)
		case "file":
			err = os.WriteFile(other, []byte("x"), 0o600)
		default:
			var nc *net.UnixConn
			if nc, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: other, Net: "unixgram"}); err == nil {
				defer nc.Close()
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Bind("unix:" + other); err == nil {
			t.Errorf("a %s is replaced", name)
		}
		if _, err := os.Lstat(other); err != nil {
			t.Errorf("a %s is removed", name)
		}
	}
	if _, err := Bind("unix:" + path); err == nil {
		t.Error("a socket that is served is taken away")
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	ln.Close()
	ln, err = Bind("unix:" + path)
	if err != nil {
		t.Fatalf("a stale socket is not replaced: %v", err)
	}
	ln.Close()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket stays after Close: %v", err)
	}
}

func TestBindTCP(t *testing.T) {
	ln, err := Bind("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if _, err := Bind("127.0.0.1:nonsense"); err == nil {
		t.Error("a bad port is accepted")
	}
}
