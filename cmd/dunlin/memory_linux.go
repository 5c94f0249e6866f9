package main

import (
	"bufio"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// releaseCode unmaps the pages of the program file that are mapped read-only.
// The next use of a page maps it again, mostly from the page cache, so that
// the pages of what runs come back at once and those of the start do not. A
// failure only leaves them where they are.
func releaseCode() {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		f := strings.Fields(s.Text()) // 00010000-00512000 r-xp ...
		// Pages that can be written are data: dropping them would lose it.
		if len(f) < 2 || !strings.HasSuffix(s.Text(), " "+exe) || !strings.HasPrefix(f[1], "r-") || !strings.HasSuffix(f[1], "p") {
			continue
		}
		low, high, _ := strings.Cut(f[0], "-")
		from, err := strconv.ParseUint(low, 16, 64)
		to, errTo := strconv.ParseUint(high, 16, 64)
		if err == nil && errTo == nil {
			unix.Syscall(unix.SYS_MADVISE, uintptr(from), uintptr(to-from), unix.MADV_DONTNEED)
		}
	}
}
