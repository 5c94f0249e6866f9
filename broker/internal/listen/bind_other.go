//go:build !linux

package listen

import (
	"net"
	"syscall"
)

func tcpConfig() net.ListenConfig { return net.ListenConfig{KeepAliveConfig: keepAlive} }

// early: the mode is set once the file is there.
func early(syscall.RawConn) error { return nil }
