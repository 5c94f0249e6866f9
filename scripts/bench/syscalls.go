package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/dunlin-mqtt/dunlin/scripts/bench/load"
)

const enter = "raw_syscalls:sys_enter"

// canTrace reports whether perf is here and may count system calls.
func canTrace() bool {
	return exec.Command("perf", "stat", "-e", enter, "true").Run() == nil
}

// traced counts the system calls of the broker, per message.
func traced(i *instance, cfg load.Config, do func(*instance, load.Config) (load.Result, error)) (load.Result, error) {
	file := filepath.Join(i.data, "perf")
	perf := exec.Command("perf", "stat", "-x", ",", "-e", enter, "-p", strconv.Itoa(cfg.PID), "-o", file)
	if err := perf.Start(); err != nil {
		return nil, err
	}
	time.Sleep(500 * time.Millisecond) // perf does not say when it has begun
	r, err := do(i, cfg)
	_ = perf.Process.Signal(syscall.SIGINT)
	_ = perf.Wait() // ended by a signal: not 0
	if err != nil {
		return nil, err
	}
	out, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for line := range strings.SplitSeq(string(out), "\n") {
		f := strings.Split(line, ",")
		if n, err := strconv.ParseFloat(f[0], 64); err == nil && len(f) > 2 && f[2] == enter {
			r["syscalls_per_msg"] = n / max(1, r["delivered"])
			return r, nil
		}
	}
	return nil, fmt.Errorf("perf counted nothing: %s", out)
}
