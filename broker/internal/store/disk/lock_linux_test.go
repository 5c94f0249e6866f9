package disk

import (
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
