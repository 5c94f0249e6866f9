package bridge

import "syscall"

// tcpUserTimeout is TCP_USER_TIMEOUT of linux/tcp.h: how long sent data may
// stay unacknowledged before the connection is given up, in ms. It finds a
// link that died silently while data was in flight, long before the
// retransmission timer does.
const (
	tcpUserTimeout   = 18
	tcpUserTimeoutMS = 20_000
)

func setUserTimeout(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		// Failing is safe: the keep alive finds the dead link, only later.
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, tcpUserTimeoutMS)
	})
}
