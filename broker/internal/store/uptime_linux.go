package store

import (
	"syscall"
	"time"
)

// uptime is how long the system runs.
func uptime() time.Duration {
	var i syscall.Sysinfo_t
	if syscall.Sysinfo(&i) != nil {
		return 0
	}
	return time.Duration(i.Uptime) * time.Second
}
