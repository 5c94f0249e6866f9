//go:build !linux

package store

import "time"

var started = time.Now()

// uptime is how long the program runs.
func uptime() time.Duration { return time.Since(started) }
