package listen

import (
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"unsafe"
)

// Raw returns a listener that accepts the TCP connections of ln as *Bare: the
// runtime's poller never hears of them, which saves seven of twelve system
// calls between accept and the event loop. Any other ln is returned as it is.
// Closing it closes ln; closing ln ends Accept only where its caller ends it,
// too, by closing what Raw returned.
//
// It waits in an epoll instance of its own, for the runtime gives no way to wait
// for a listening socket without accepting.
func Raw(ln net.Listener) net.Listener {
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		return ln
	}
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return ln
	}
	if syscall.SetNonblock(epoll, true) != nil { // it would be no file for the runtime's poller
		syscall.Close(epoll)
		return ln
	}
	r := &rawListener{Listener: ln, epoll: os.NewFile(uintptr(epoll), "epoll")}
	if r.ready, err = r.epoll.SyscallConn(); err == nil {
		r.socket, err = tcp.SyscallConn()
	}
	if err == nil {
		err = r.watch(epoll)
	}
	if err != nil {
		r.epoll.Close() // the file has the descriptor now, and must not close another one's later
		return ln
	}
	return r
}

// rawListener is what Raw returns.
type rawListener struct {
	net.Listener
	socket syscall.RawConn // of Listener
	epoll  *os.File        // watches it
	ready  syscall.RawConn // of epoll
}

// watch lets epoll tell of clients.
func (r *rawListener) watch(epoll int) (err error) {
	cerr := r.socket.Control(func(fd uintptr) {
		err = syscall.EpollCtl(epoll, syscall.EPOLL_CTL_ADD, int(fd), &syscall.EpollEvent{Events: syscall.EPOLLIN})
	})
	if err == nil {
		err = cerr
	}
	return err
}

// Close implements net.Listener.
func (r *rawListener) Close() error {
	r.epoll.Close() // wakes Accept; it has nothing to lose
	return r.Listener.Close()
}

// Accept implements net.Listener.
func (r *rawListener) Accept() (net.Conn, error) {
	for {
		b, errno := &Bare{fd: -1}, syscall.Errno(0)
		if err := r.socket.Control(func(fd uintptr) { b.fd, b.remote, errno = accept(fd) }); err != nil {
			return nil, err
		}
		switch errno {
		case 0:
			return b, nil
		case syscall.EAGAIN:
			if r.ready.Read(waits) != nil {
				return nil, net.ErrClosed
			}
		case syscall.EINTR, syscall.ECONNABORTED: // the next one
		default:
			return nil, os.NewSyscallError("accept4", errno)
		}
	}
}

// waits reports whether a client waits.
func waits(epoll uintptr) bool {
	var ev [1]syscall.EpollEvent
	n, _, _ := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, epoll, uintptr(unsafe.Pointer(&ev)), 1, 0, 0, 0)
	return int(n) == 1
}

// accept takes a client out of the queue of a listening socket.
func accept(fd uintptr) (int, netip.AddrPort, syscall.Errno) {
	var a syscall.RawSockaddrInet6 // the larger one
	size := uint32(unsafe.Sizeof(a))
	r, _, errno := syscall.RawSyscall6(syscall.SYS_ACCEPT4, fd, uintptr(unsafe.Pointer(&a)), uintptr(unsafe.Pointer(&size)), syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return -1, netip.AddrPort{}, errno
	}
	// A listening socket could hand it on, but not to who connected before it had
	// it, as devices do that wait for a gateway to start. Without, they live on.
	_ = syscall.SetsockoptInt(int(r), syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	p := (*[2]byte)(unsafe.Pointer(&a.Port)) // in the order of the network
	port := uint16(p[0])<<8 | uint16(p[1])
	if a.Family == syscall.AF_INET {
		four := (*syscall.RawSockaddrInet4)(unsafe.Pointer(&a))
		return int(r), netip.AddrPortFrom(netip.AddrFrom4(four.Addr), port), 0
	}
	ip := netip.AddrFrom16(a.Addr).Unmap()
	if a.Scope_id != 0 && ip.Is6() {
		ip = ip.WithZone(zone(int(a.Scope_id)))
	}
	return int(r), netip.AddrPortFrom(ip, port), 0
}

// zone names an interface as package net does.
func zone(index int) string {
	if i, err := net.InterfaceByIndex(index); err == nil {
		return i.Name
	}
	return strconv.Itoa(index)
}

// closeSocket does not tell the scheduler: a socket without SO_LINGER closes at
// once.
func closeSocket(fd int) error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(fd), 0, 0); errno != 0 {
		return os.NewSyscallError("close", errno)
	}
	return nil
}
