//go:build !(arm || 386 || mips || mipsle)

package sntp

// int64ToLong fits the kernel's long.
func int64ToLong(n int64) int64 { return n }
