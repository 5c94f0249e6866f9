package main

import (
	"bufio"
	"bytes"
	"context"
	"log/slog"
	"math"
	"os"
	"path"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/config"
)

// collectAt is how many percent the heap may grow before the collector runs:
// half of Go's default, since a gateway has less memory than processor time to
// spare. GOGC overrides it.
const collectAt = 50

// settleAfter is when the program has started, and what only the start needed
// may go.
const settleAfter = time.Second

// budget is how much memory there is, in bytes. Zero is not known.
type budget struct {
	limit   int64 // of the Go runtime, for everything but the program's code
	clients int64 // of this, what clients may make the broker hold
}

// limitMemory tells the Go runtime how much memory there is: memory.limit, or
// by itself what the control group or the machine has. It is a net below the
// budget of clients, not its replacement. GOMEMLIMIT overrides it.
func limitMemory(c config.Memory, log *slog.Logger) (b budget) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	b.limit = int64(c.Limit)
	if b.limit == 0 {
		b.limit = memoryThereIs("/")
	}
	if os.Getenv("GOMEMLIMIT") != "" {
		b.limit = debug.SetMemoryLimit(-1) // what it says
	} else if b.limit > 0 {
		debug.SetMemoryLimit(b.limit)
	}
	b.clients = int64(c.Budget)
	if b.clients == 0 {
		b.clients = clientsShare(b.limit)
	}
	log.Debug("memory", "limit", b.limit, "budget", b.clients)
	return b
}

// clientsShare is the budget of clients by itself: the heap grows by half
// before it is collected, and the rest of the program needs about 12 MiB.
func clientsShare(limit int64) int64 {
	if limit <= 0 || limit == math.MaxInt64 {
		return 64 << 20
	}
	return max(limit*2/5, 1<<20)
}

// memoryThereIs finds how much memory the process may use, in bytes: a part of
// what its control groups allow, or half of the machine; 0 when the system does
// not say. root is "/" but in tests.
func memoryThereIs(root string) int64 {
	if n := controlGroupLimit(root); n > 0 {
		return n
	}
	b, err := os.ReadFile(path.Join(root, "proc/meminfo"))
	if err != nil {
		return 0 // not Linux
	}
	f := strings.Fields(string(b)) // MemTotal: 16384 kB
	if len(f) < 2 || f[0] != "MemTotal:" {
		return 0
	}
	kib, err := strconv.ParseInt(f[1], 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10 / 2
}

// groupFiles are where control groups say what they allow, and how many tenths
// of it we take: the rest is for the program's code, stacks and the kernel.
var groupFiles = []struct {
	controller string // in /proc/self/cgroup; "" is version 2
	folder     string
	file       string
	tenths     int64
}{
	{"", "sys/fs/cgroup", "memory.max", 7},
	{"", "sys/fs/cgroup", "memory.high", 8}, // beyond it we are only slowed down
	{"", "sys/fs/cgroup/unified", "memory.max", 7},
	{"memory", "sys/fs/cgroup/memory", "memory.limit_in_bytes", 7},
}

// unlimited is what version 1 says where there is no limit, or more.
const unlimited = 1 << 60

// controlGroupLimit is the least that the control groups of the process leave
// to it, from its own up to the root; 0 without one. In a container its own is
// often not to be seen, but the root is.
func controlGroupLimit(root string) (least int64) {
	b, err := os.ReadFile(path.Join(root, "proc/self/cgroup"))
	if err != nil {
		return 0
	}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		_, rest, _ := strings.Cut(s.Text(), ":")
		controllers, group, _ := strings.Cut(rest, ":")
		for _, f := range groupFiles {
			if !slices.Contains(strings.Split(controllers, ","), f.controller) {
				continue
			}
			for dir := path.Clean("/" + group); ; dir = path.Dir(dir) {
				n := readSize(path.Join(root, f.folder, dir, f.file)) / 10 * f.tenths
				if n > 0 && (least == 0 || n < least) {
					least = n
				}
				if dir == "/" {
					break
				}
			}
		}
	}
	return least
}

// readSize reads a file with one number; 0 if there is none, or no limit.
func readSize(file string) int64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64) // "max" is no number
	if err != nil || n >= unlimited {
		return 0
	}
	return n
}

// settle is a part that gives back, once, what only the start needed: garbage
// of the configuration, and the mapped pages of code that ran once.
func settle(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(settleAfter):
	}
	debug.FreeOSMemory()
	releaseCode()
	<-ctx.Done()
	return nil
}
