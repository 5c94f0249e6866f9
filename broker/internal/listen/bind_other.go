//go:build !linux

package listen

import (
	"net"
	"syscall"
)

func tcpConfig(int, int) net.ListenConfig { return net.ListenConfig{KeepAliveConfig: keepAlive} }

// share: an address is free when the socket that has it is closed.
func share([]net.Listener, int) {}

// early: the mode is set once the file is there.
func early(syscall.RawConn) error { return nil }
