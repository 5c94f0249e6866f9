package listen

import (
	"net"
	"syscall"
)

// socketUID asks the kernel who connected (SO_PEERCRED, unix(7)): the user at
// the time of connect, whatever the process has become since.
func socketUID(nc *net.UnixConn) (uid uint32, ok bool) {
	rc, err := nc.SyscallConn()
	if err != nil {
		return 0, false
	}
	err = rc.Control(func(fd uintptr) {
		cred, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
		if err == nil {
			uid, ok = cred.Uid, true
		}
	})
	return uid, ok && err == nil
}
