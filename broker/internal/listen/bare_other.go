//go:build !linux

package listen

import (
	"net"
	"os"
)

// Raw returns ln: there is no event loop for other connections.
func Raw(ln net.Listener) net.Listener { return ln }

func closeSocket(fd int) error { return os.NewFile(uintptr(fd), "socket").Close() }
