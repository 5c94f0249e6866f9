package drivers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/serial"
)

// A device is pulled out and plugged in again, in the middle of a line, in a
// program with 1,500 open sockets: every line that it said while it was
// plugged in arrives, nobody else gets the port meanwhile, and nothing is left
// behind. REPLUG is how many times, 40 when it is not set.
func TestLinesReplugCycles(t *testing.T) {
	cycles := 40
	if n, err := strconv.Atoi(os.Getenv("REPLUG")); err == nil {
		cycles = n
	}
	for range 750 {
		pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Skipf("1,500 sockets: %v", err)
		}
		t.Cleanup(func() { syscall.Close(pair[0]); syscall.Close(pair[1]) })
	}
	k := newTalker(t, func(o *linesOptions) { o.FirstLine = "auto" }, map[string]any{"n": &lineEntity{}})
	n := int64(0)
	files, goroutines := openFiles(t), runtime.NumGoroutine()
	for cycle := range cycles {
		for range 3 {
			n++
			k.Send(fmt.Sprintf(`{"n":%d}`+"\n", n))
		}
		if cycle%10 == 0 {
			c := serial.DefaultConfig()
			c.Path = k.Path()
			if p, err := serial.Open(c); !errors.Is(err, serial.ErrBusy) {
				t.Fatalf("a second reader: %v, %v", p, err)
			}
		}
		for i := n - 2; i <= n; i++ {
			if list, err := k.read(t); err != nil || values(list)["n"] != i {
				t.Fatalf("cycle %d: %v, %v; want %d", cycle, values(list), err, i)
			}
		}
		failed := make(chan error, 1)
		go func() {
			_, err := k.read(t)
			failed <- err
		}()
		k.Send(`{"n":9`)
		k.Unplug()
		if err := <-failed; sensors.ReasonOf(err) != sensors.Unplugged {
			t.Fatalf("cycle %d: %v, want unplugged", cycle, err)
		}
		if err := k.d.Close(); err != nil {
			t.Fatal(err)
		}
		k.Replug()
		k.open(t)
	}
	if now := openFiles(t); now != files {
		t.Errorf("%d open files, %d before", now, files)
	}
	for deadline := time.Now().Add(patience); runtime.NumGoroutine() > goroutines && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	if now := runtime.NumGoroutine(); now > goroutines {
		t.Errorf("%d goroutines, %d before", now, goroutines)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// A board that reads nothing holds up its commands for no longer than their
// deadline, each time anew, and what it says still arrives.
func TestLinesStuckWriter(t *testing.T) {
	k := newTalker(t, func(o *linesOptions) {
		o.Commands = map[string]lineCommand{"say": {Send: "{{payload}}" + strings.Repeat("x", 60000) + "\n"}}
	}, nil)
	for i := range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		start := time.Now()
		_, err := k.d.(sensors.Commander).Do(ctx, "say", []byte("x"))
		if took := time.Since(start); sensors.ReasonOf(err) != sensors.Timeout || took > patience {
			t.Errorf("command %d: %v after %v", i, err, took)
		}
		cancel()
		k.Send(fmt.Sprintf(`{"n":%d}`+"\n", i))
		k.expect(t, map[string]any{"n": int64(i)})
	}
}
