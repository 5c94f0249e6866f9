package serial

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// kernelRS485 is struct serial_rs485 of the kernel's uapi/linux/serial.h.
type kernelRS485 struct {
	flags                 uint32
	beforeSend, afterSend uint32 // ms
	_                     [5]uint32
}

// Flags of kernelRS485.
const (
	rs485Enabled      = 1 << 0
	rs485RTSOnSend    = 1 << 1
	rs485RTSAfterSend = 1 << 2
	rs485RxDuringTx   = 1 << 4
)

func (r *RS485) kernel() kernelRS485 {
	k := kernelRS485{
		flags:      rs485Enabled | rs485RTSAfterSend,
		beforeSend: uint32(r.DelayBeforeSend / time.Millisecond),
		afterSend:  uint32(r.DelayAfterSend / time.Millisecond),
	}
	if r.RTSOnSend {
		k.flags = rs485Enabled | rs485RTSOnSend
	}
	if r.HearSelf {
		k.flags |= rs485RxDuringTx
	}
	return k
}

// setRS485 turns the kernel's RS-485 mode on and asks what became of it:
// drivers leave out what they cannot do without saying so.
func setRS485(fd int, path string, r *RS485) error {
	if r.Mode != "kernel" {
		return nil
	}
	want := r.kernel()
	got := want
	errno := ioctlRS485(fd, unix.TIOCSRS485, &got)
	if errno == 0 {
		errno = ioctlRS485(fd, unix.TIOCGRS485, &got)
	}
	switch {
	case errno != 0:
		return &Error{Op: "open", Port: path, Kind: ErrUnsupported, Err: errno,
			Detail: "rs485: the driver of this port cannot do mode kernel; with an adapter that turns the line around by itself, mode is adapter"}
	case (got.flags^want.flags)&(rs485Enabled|rs485RTSOnSend|rs485RTSAfterSend) != 0, got.beforeSend < want.beforeSend, got.afterSend < want.afterSend:
		return &Error{Op: "open", Port: path, Kind: ErrUnsupported, Detail: "rs485: the driver refused a part of it"}
	}
	return nil
}

func ioctlRS485(fd int, request uintptr, k *kernelRS485) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(k)))
	return errno
}
