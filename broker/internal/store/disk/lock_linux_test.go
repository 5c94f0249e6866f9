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

// use makes a file in the directory.
func use(d *Dir, name string) error {
	f, err := d.Create(name)
	if err == nil {
		f.Close()
	}
	return errors.Join(err, d.Rename(name, name+"2"), d.SyncDir())
}

// Nothing is written below the mount point of a disk that has gone. A link that
// leads to another file system stands for the mount.
func TestDirectoryThatIsAway(t *testing.T) {
	mounted, err := os.MkdirTemp("/dev/shm", "")
	if err != nil {
		t.Skip("no second file system: ", err)
	}
	defer os.RemoveAll(mounted)
	below := t.TempDir()
	path := below + "/data"
	if err := os.Symlink(mounted, path); err != nil {
		t.Fatal(err)
	}
	d, err := OpenDir(path)
	if err == nil {
		err = d.Lock()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer d.Unlock()
	if err := use(d, "a"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := use(d, "b"); !errors.Is(err, errAway) {
		t.Errorf("%v", err)
	}
	if names, err := d.Names(); len(names) > 0 || err != nil {
		t.Errorf("%q, %v", names, err)
	}
	if err := d.SyncDir(); !errors.Is(err, errAway) {
		t.Errorf("%v", err)
	}
	if n, err := d.Free(); !errors.Is(err, errAway) {
		t.Errorf("%d bytes are free, %v", n, err)
	}
	if err := errors.Join(os.Remove(path), os.Symlink(mounted, path)); err != nil {
		t.Fatal(err)
	}
	if err := use(d, "c"); err != nil {
		t.Error(err)
	}
}

// A directory that was deleted is used again when it is there again, and kept
// from others.
func TestDirectoryMadeAnew(t *testing.T) {
	path := t.TempDir() + "/data"
	d, err := OpenDir(path)
	if err == nil {
		err = d.Lock()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer d.Unlock()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := use(d, "a"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := use(d, "b"); err != nil {
		t.Error(err)
	}
	other, err := OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Lock(); err == nil {
		t.Error("it is not locked")
	}
}

// What is written to a file that somebody has deleted is not durable.
func TestDatasyncOfADeletedFile(t *testing.T) {
	path := t.TempDir()
	d, err := OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := d.Create("a")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Datasync(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path + "/a"); err != nil {
		t.Fatal(err)
	}
	if err := f.Datasync(); !errors.Is(err, errDeleted) {
		t.Errorf("%v", err)
	}
}
