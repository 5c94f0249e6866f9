package listen

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// tcpConfig sets keep alive on the listening socket: Linux hands it on to the
// accepted ones, which saves four system calls for each. shared is not 0
// for an address that share has made free, ahead not for one that need not be there.
func tcpConfig(shared, ahead int) net.ListenConfig {
	return net.ListenConfig{KeepAlive: -1, Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		set := func(fd uintptr) {
			for _, o := range []struct{ level, name, value int }{
				{syscall.SOL_SOCKET, unix.SO_REUSEPORT, shared},
				{syscall.IPPROTO_IP, syscall.IP_FREEBIND, ahead}, // of IPv6 sockets, too
				{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
				{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, int(keepAlive.Idle / time.Second)},
				{syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, int(keepAlive.Interval / time.Second)},
				{syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, keepAlive.Count},
			} {
				if err == nil {
					err = syscall.SetsockoptInt(int(fd), o.level, o.name, o.value)
				}
			}
		}
		if cerr := c.Control(set); cerr != nil {
			return cerr
		}
		return err
	}}
}

// share lets another socket of this user have the address of these, or, with
// on 0, no more. Only TCP's have one to share.
func share(sockets []net.Listener, on int) {
	for _, ln := range sockets {
		tcp, ok := ln.(*net.TCPListener)
		if !ok {
			continue
		}
		if c, err := tcp.SyscallConn(); err == nil { // what fails here fails at bind, too
			c.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, unix.SO_REUSEPORT, on) })
		}
	}
}

// early gives a Unix socket its mode before it has a name: Linux makes the
// file with it, so that there is no moment in which others could connect.
func early(c syscall.RawConn) error {
	var err error
	if cerr := c.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), uint32(socketMode)) }); cerr != nil {
		return cerr
	}
	return err
}
