package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path"
	"runtime/debug"
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

// limitMemory tells the Go runtime how much memory there is: memory.limit, or
// by itself 7/10 of the control group's limit, or half of the machine. It is a
// net below the bounds of queues and connections, not their replacement.
// GOMEMLIMIT overrides it.
func limitMemory(c config.Memory, log *slog.Logger) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	limit := int64(c.Limit)
	if limit == 0 {
		limit = memoryThereIs("/")
	}
	if limit > 0 {
		debug.SetMemoryLimit(limit)
		log.Debug("memory limit", "bytes", limit)
	}
}

// memoryThereIs finds how much memory the process may use, in bytes; 0 when
// the system does not say. root is "/" but in tests.
func memoryThereIs(root string) int64 {
	if n := controlGroupLimit(root); n > 0 {
		return n / 10 * 7
	}
	b, err := os.ReadFile(path.Join(root, "proc/meminfo"))
	if err != nil {
		return 0 // not Linux
	}
	var kib int64
	if _, err := fmt.Sscanf(string(b), "MemTotal: %d kB", &kib); err != nil {
		return 0
	}
	return kib << 10 / 2
}

// controlGroupLimit is the least memory.max from the process's control group
// (version 2) up to the root; 0 without one.
func controlGroupLimit(root string) (least int64) {
	b, err := os.ReadFile(path.Join(root, "proc/self/cgroup"))
	if err != nil {
		return 0
	}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		group, ok := strings.CutPrefix(s.Text(), "0::")
		for ; ok && group != "/" && group != "."; group = path.Dir(group) {
			text, err := os.ReadFile(path.Join(root, "sys/fs/cgroup", group, "memory.max"))
			if err != nil {
				continue
			}
			n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64) // "max" is no number
			if err == nil && (least == 0 || n < least) {
				least = n
			}
		}
	}
	return min(least, math.MaxInt64/16)
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
