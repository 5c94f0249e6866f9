package conn

import (
	"errors"
	"net"
	"os"
	"syscall"
	"unsafe"

	"github.com/dunlin-mqtt/dunlin/broker/internal/listen"
)

// The system calls below are raw: the sockets do not block, so the scheduler
// need not know, and a call that it knows of wakes its monitor thread in an
// idle process, which costs more than the call.

// readSocket reads what is there. 0 without an error is the end of input.
func readSocket(fd int32, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0, 0, 0)
	return int(n), errno
}

// writeSocket writes what the socket takes. A write to a socket that the other
// side has closed is an error here, not a signal.
func writeSocket(fd int32, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), syscall.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}

// closeSocket closes a descriptor; without SO_LINGER that waits for nothing.
func closeSocket(fd int32) { syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(fd), 0, 0) }

// again reports whether a call that failed may simply be tried later.
func again(errno syscall.Errno) bool { return errno == syscall.EAGAIN || errno == syscall.EINTR }

// poller is an epoll instance that itself waits in the runtime's poller: a
// goroutine that finds nothing to do is parked, and no thread blocks.
type poller struct {
	fd     int
	wakeup int // an eventfd: each write ends a wait; nobody reads it
	file   *os.File
	raw    syscall.RawConn
	events [128]syscall.EpollEvent
}

func newPoller() (*poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	// Only a descriptor that does not block is given to the runtime's poller.
	if err := syscall.SetNonblock(fd, true); err != nil {
		syscall.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	p := &poller{fd: fd, file: os.NewFile(uintptr(fd), "epoll"), wakeup: -1}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		p.close()
		return nil, err
	}
	r, _, errno := syscall.RawSyscall(syscall.SYS_EVENTFD2, 0, syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if errno != 0 {
		p.close()
		return nil, os.NewSyscallError("eventfd2", errno)
	}
	p.wakeup = int(r)
	if err := p.watch(syscall.EPOLL_CTL_ADD, int32(p.wakeup), syscall.EPOLLIN); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *poller) close() {
	if p.wakeup >= 0 {
		syscall.Close(p.wakeup)
	}
	p.file.Close()
}

// poll fills p.events with what is ready and returns how many there are,
// without waiting.
func (p *poller) poll() int { return wait(p.fd, p.events[:]) }

func wait(epoll int, events []syscall.EpollEvent) int {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// edge makes epoll report a descriptor when something comes, and not for as
// long as something is there: it looks at each one once less in every round.
const edge = 1 << 31 // syscall.EPOLLET is negative

// ends are the events after which nothing more will come.
const ends = syscall.EPOLLHUP | syscall.EPOLLERR | syscall.EPOLLRDHUP

// watch changes what is watched of fd, and reports anew what is there already.
func (p *poller) watch(op int, fd int32, events uint32) error { return watch(p.fd, op, fd, events) }

// watch is that for any epoll instance. With input the end of input is watched
// for: it may come together with the last bytes, and then nothing is reported
// any more.
func watch(epoll, op int, fd int32, events uint32) error {
	if events&syscall.EPOLLIN != 0 {
		events |= syscall.EPOLLRDHUP
	}
	return control(epoll, op, fd, events|edge)
}

func control(epoll, op int, fd int32, events uint32) error {
	ev := syscall.EpollEvent{Events: events, Fd: fd}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_CTL, uintptr(epoll), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(&ev)), 0, 0)
	if errno != 0 {
		return os.NewSyscallError("epoll_ctl", errno)
	}
	return nil
}

// wake ends a wait. Any goroutine may call it.
func (p *poller) wake() {
	one := uint64(1)
	syscall.RawSyscall(syscall.SYS_WRITE, uintptr(p.wakeup), uintptr(unsafe.Pointer(&one)), 8)
}

// isSocket reports whether nc is a plain TCP or Unix socket.
func isSocket(nc net.Conn) bool {
	switch nc.(type) {
	case *listen.Bare, *net.TCPConn, *net.UnixConn:
		return true
	}
	return false
}

// takeSocket takes a socket from the runtime: the descriptor is the caller's
// from then on, nc is closed.
func takeSocket(nc net.Conn) (fd int32, ok bool) {
	if bare, is := nc.(*listen.Bare); is {
		return int32(bare.Take()), true
	}
	raw, err := nc.(syscall.Conn).SyscallConn()
	if err != nil {
		return 0, false
	}
	var errno syscall.Errno
	err = raw.Control(func(old uintptr) {
		r, _, e := syscall.RawSyscall(syscall.SYS_FCNTL, old, syscall.F_DUPFD_CLOEXEC, 0)
		fd, errno = int32(r), e
	})
	if err = errors.Join(err, errnoError(errno)); err != nil {
		return 0, false
	}
	nc.Close() // the duplicate keeps the connection
	return fd, true
}

func errnoError(errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}
