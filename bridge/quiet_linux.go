package bridge

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// quiet is c for system calls that the Go scheduler does not hear of: they never
// block, and while a bridge does little else each would wake the runtime's
// monitor thread, which costs more than the call. nil: c is no TCP connection.
func quiet(c net.Conn) syscall.RawConn {
	if t, ok := c.(*net.TCPConn); ok {
		raw, _ := t.SyscallConn() // fails only for nil
		return raw
	}
	return nil
}

// sendNow writes what the socket takes without waiting. An error, or a deadline
// that has passed since a slow write, shows in the write that follows.
func (c progressConn) sendNow(p []byte) (n int) {
	if c.raw == nil {
		return 0
	}
	_ = c.raw.Write(func(fd uintptr) bool {
		r, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), syscall.MSG_NOSIGNAL, 0, 0)
		if errno == 0 {
			n = int(r)
		}
		return true
	})
	return n
}

func (c progressConn) Read(p []byte) (n int, err error) {
	if c.raw == nil || len(p) == 0 {
		return c.Conn.Read(p)
	}
	var errno syscall.Errno
	receive := func(fd uintptr) {
		var r uintptr
		for errno = syscall.EINTR; errno == syscall.EINTR; {
			r, _, errno = syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), 0, 0, 0)
		}
		n = int(r)
	}
	yielded := false
	err = c.raw.Read(func(fd uintptr) bool {
		receive(fd)
		if errno == syscall.EAGAIN && !yielded {
			// Who answers may wait for this processor; parking costs more.
			yielded = true
			syscall.RawSyscall(syscall.SYS_SCHED_YIELD, 0, 0, 0)
			receive(fd)
		}
		return errno != syscall.EAGAIN
	})
	switch {
	case err != nil:
		return 0, err
	case errno != 0:
		return 0, os.NewSyscallError("read", errno)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}
