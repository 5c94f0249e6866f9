package serial

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dunlin-mqtt/dunlin/serial/serialtest"
)

func TestHolderIsNamed(t *testing.T) {
	root := t.TempDir()
	port := filepath.Join(root, "ttyUSB0")
	byID := filepath.Join(root, "by-id")
	fd := filepath.Join(root, "proc/812/fd")
	if err := errors.Join(
		os.WriteFile(port, nil, 0o600),
		os.Symlink(port, byID),
		os.MkdirAll(fd, 0o700),
		os.Symlink(port, filepath.Join(fd, "3")),
		os.Symlink(port, filepath.Join(fd, "4")),
		os.WriteFile(filepath.Join(root, "proc/812/comm"), []byte("minicom\n"), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	if got, want := holder(byID, root), "open in minicom (process 812)"; got != want {
		t.Errorf("holder %q, want %q", got, want)
	}
	if got := holder(filepath.Join(root, "proc/812/comm"), root); got != "" {
		t.Errorf("holder of a file that nobody has open: %q", got)
	}
	err := openError(byID, unix.EBUSY, root)
	if want := "open " + byID + ": busy: open in minicom (process 812)"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
}

// asNobody sends what f returns when it may not do what file modes forbid.
func asNobody(result chan<- error, f func() error) {
	if os.Geteuid() == 0 {
		// Root may open anything. This thread stops being root for files; it
		// ends with its goroutine, because it stays locked to it.
		runtime.LockOSThread()
		if _, err := unix.SetfsuidRetUid(65534); err != nil {
			result <- err
			return
		}
	}
	result <- f()
}

func TestNoPermission(t *testing.T) {
	d := serialtest.Pty(t)
	if err := os.Chmod(d.Path(), 0); err != nil {
		t.Fatal(err)
	}
	c := DefaultConfig()
	c.Path = d.Path()
	failed := make(chan error, 1)
	go asNobody(failed, func() error {
		_, err := Open(c)
		return err
	})
	err := <-failed
	if !errors.Is(err, ErrPermission) || !errors.Is(err, os.ErrPermission) {
		t.Fatal(err)
	}
	if want := "open " + d.Path() + ": permission denied"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	if err := os.Chmod(d.Path(), 0o660); err != nil {
		t.Fatal(err)
	}
	if got := whoMay(d.Path()); got == "" {
		t.Error("the group that may open the port is not named")
	}
}

func TestWaitForGivesPermissionsTime(t *testing.T) {
	d := serialtest.Pty(t)
	if err := os.Chmod(d.Path(), 0); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		c := DefaultConfig()
		c.Path = d.Path()
		start, done := time.Now(), make(chan error)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go asNobody(done, func() error { return WaitFor(ctx, c) })
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(start); waited != grace*rescan {
			t.Errorf("waited %v for udev, want %v", waited, grace*rescan)
		}
	})
}

func TestErrorsOfOpen(t *testing.T) {
	for errno, kind := range map[unix.Errno]error{
		unix.ENOENT: ErrNotFound, unix.EACCES: ErrPermission, unix.EBUSY: ErrBusy,
		unix.ENXIO: ErrUnplugged, unix.ENODEV: ErrUnplugged, unix.EIO: ErrUnplugged,
		unix.ENOTTY: ErrUnsupported,
	} {
		if err := openError("/nowhere", errno, t.TempDir()); !errors.Is(err, kind) || !errors.Is(err, errno) {
			t.Errorf("%v becomes %v", errno, err)
		}
	}
}
