//go:build !linux

package bridge

import "syscall"

// setUserTimeout has no equivalent here; the keep alive finds a dead link.
func setUserTimeout(string, string, syscall.RawConn) error { return nil }
