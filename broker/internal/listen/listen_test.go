package listen

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// failing is a listener whose accept fails a few times first.
type failing struct {
	*Memory
	failures int
}

func (f *failing) Accept() (net.Conn, error) {
	if f.failures > 0 {
		f.failures--
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return f.Memory.Accept()
}

func TestAcceptSurvivesErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := &failing{Memory: NewMemory(), failures: 20}
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

func TestBindUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := Bind("unix:" + path)
	if err != nil {
		t.Fatal(err)
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
