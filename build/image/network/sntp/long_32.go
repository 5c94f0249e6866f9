//go:build arm || 386 || mips || mipsle

package sntp

// int64ToLong fits the kernel's long. What is slewed is below half a second.
func int64ToLong(n int64) int32 { return int32(n) }
