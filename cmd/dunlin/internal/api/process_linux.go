package api

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// process is what the system knows about this process; 0 for what it does not
// say.
type process struct {
	cpu             float64 // seconds, user and system
	resident        int64   // bytes
	files, maxFiles uint64
}

func readProcess() (p process) {
	var use syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &use) == nil {
		p.cpu = float64(use.Utime.Nano()+use.Stime.Nano()) / 1e9
	}
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		if f := strings.Fields(string(b)); len(f) > 1 { // all pages, and those in memory
			resident, _ := strconv.ParseInt(f[1], 10, 64)
			p.resident = resident * int64(os.Getpagesize())
		}
	}
	if dir, err := os.Open("/proc/self/fd"); err == nil {
		names, _ := dir.Readdirnames(-1) // what was read is counted
		p.files = uint64(len(names))
		dir.Close()
	}
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		p.maxFiles = limit.Cur
	}
	return p
}
