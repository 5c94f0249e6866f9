package disk

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

func TestLockWantsADirectoryOfOurs(t *testing.T) {
	d, err := OpenDir(t.TempDir())
	if err == nil {
		err = d.Lock()
	}
	if err != nil {
		t.Fatal(err)
	}
	d.Unlock()
	if err := os.Chmod(d.path, 0o555); err != nil {
		t.Fatal(err)
	}
	refused := make(chan error)
	go func() {
		runtime.LockOSThread() // and never given back: it ends with the goroutine
		if os.Getuid() == 0 {
			const nobody, same = 65534, ^uintptr(0)
			syscall.RawSyscall(syscall.SYS_SETREUID, nobody, same, 0) // of this thread only
		}
		refused <- d.Lock()
	}()
	if err := <-refused; err == nil || !strings.Contains(err.Error(), "may not write there") {
		t.Errorf("%v", err)
	}
}

// Nothing is written below the mount point of a disk that has gone.
func TestDirectoryThatIsAway(t *testing.T) {
	path := t.TempDir() + "/data"
	d, err := OpenDir(path)
	if err == nil {
		err = d.Lock()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer d.Unlock()
	use := func(name string) error {
		f, err := d.Create(name)
		if err == nil {
			f.Close()
		}
		return errors.Join(err, d.Rename(name, name+"2"), d.SyncDir())
	}
	if err := use("a"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Rename(path, path+".away"), os.Mkdir(path, 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := use("b"); !errors.Is(err, errAway) {
		t.Errorf("%v", err)
	}
	if names, err := d.Names(); len(names) > 0 || err != nil {
		t.Errorf("%q, %v", names, err)
	}
	if err := d.SyncDir(); !errors.Is(err, errAway) {
		t.Errorf("%v", err)
	}
	if err := errors.Join(os.Remove(path), os.Rename(path+".away", path)); err != nil {
		t.Fatal(err)
	}
	if err := use("c"); err != nil {
		t.Error(err)
	}
}
