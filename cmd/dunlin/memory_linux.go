package main

import (
	"bufio"
	"fmt"
	"os"
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
		var from, to uintptr
		var mode string
		if _, err := fmt.Sscanf(s.Text(), "%x-%x %s", &from, &to, &mode); err != nil {
			continue
		}
		// Pages that can be written are data: dropping them would lose it.
		if strings.HasSuffix(s.Text(), " "+exe) && mode[0] == 'r' && mode[1] == '-' && mode[3] == 'p' {
			unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED)
		}
	}
}
