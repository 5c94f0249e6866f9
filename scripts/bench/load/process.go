package load

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// A Process is one look at a process through /proc.
type Process struct {
	CPU      time.Duration // user and system
	RSS, PSS int64         // bytes
	Peak     int64         // bytes: highest RSS since resetPeak
	Threads  int64
	Switches int64 // context switches of the threads that live
}

// Look reads the counters of a process; 0 gives zeros.
func Look(pid int) Process {
	if pid == 0 {
		return Process{}
	}
	dir := fmt.Sprintf("/proc/%d", pid)
	memory, status := readFile(dir+"/smaps_rollup"), readFile(dir+"/status")
	p := Process{
		CPU: cpuTime(pid),
		RSS: field(memory, "Rss") << 10, PSS: field(memory, "Pss") << 10,
		Peak: field(status, "VmHWM") << 10, Threads: field(status, "Threads"),
	}
	tasks, _ := filepath.Glob(dir + "/task/*/status") // an error is a bad pattern
	for _, t := range tasks {
		text := readFile(t)
		p.Switches += field(text, "voluntary_ctxt_switches") + field(text, "nonvoluntary_ctxt_switches")
	}
	return p
}

// cpuTime reads the CPU clock of a process: nanoseconds, where /proc/PID/stat
// counts hundredths of a second. See clock_getcpuclockid(3).
func cpuTime(pid int) time.Duration {
	const scheduler = 2 // CPUCLOCK_SCHED: user and system
	clock := ^uintptr(pid)<<3 | scheduler
	var t syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&t)), 0); errno != 0 {
		return 0
	}
	return time.Duration(t.Nano())
}

func readFile(path string) string {
	b, _ := os.ReadFile(path) // the process may have ended: no text, no values
	return string(b)
}

// field returns the first number after "key:" in a text like /proc/PID/status.
func field(text, key string) int64 {
	for line := range strings.SplitSeq(text, "\n") {
		rest, ok := strings.CutPrefix(line, key+":")
		if f := strings.Fields(rest); ok && len(f) > 0 {
			n, _ := strconv.ParseInt(f[0], 10, 64)
			return n
		}
	}
	return 0
}

// resetPeak lets Process.Peak start again.
func resetPeak(pid int) {
	if pid != 0 {
		_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0) // not ours: the peak is that of its life
	}
}

// settle waits until the process has worked off what it was given: at least
// least, and at most 10 s longer.
func settle(pid int, least time.Duration) {
	time.Sleep(least)
	for range 40 {
		before := cpuTime(pid)
		time.Sleep(250 * time.Millisecond)
		if cpuTime(pid)-before < 10*time.Millisecond {
			return
		}
	}
}

// cost adds what messages cost the process between two looks.
func (r Result) cost(before, after Process, messages int64) {
	if messages > 0 {
		r["cpu_us_per_msg"] = micros(after.CPU-before.CPU) / float64(messages)
		r["switches_per_msg"] = float64(after.Switches-before.Switches) / float64(messages)
	}
	r["rss_peak_kb"] = float64(after.Peak >> 10)
}

// each returns how many bytes of RSS one of n costs.
func each(before, after Process, n int) float64 {
	return math.Round(float64(after.RSS-before.RSS) / float64(n))
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
