package bus

import (
	"bytes"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The kernel's GPIO character devices, version 2 of their interface
// (include/uapi/linux/gpio.h, Linux 5.10). Its structures have the same layout
// on every architecture, so that 32 bit programs run on 64 bit kernels; the
// test holds ours to it.
type (
	gpioChipInfo struct {
		name, label [32]byte
		lines       uint32
	}
	gpioAttribute struct {
		id, _ uint32
		// value is flags, values, or microseconds in its first four bytes.
		value [8]byte
	}
	gpioLineInfo struct {
		name, consumer      [32]byte
		offset, nAttributes uint32
		flags               uint64
		attributes          [10]gpioAttribute
		_                   [4]uint32
	}
	gpioConfigAttribute struct {
		gpioAttribute
		mask uint64 // of the request's lines
	}
	gpioLineConfig struct {
		flags       uint64
		nAttributes uint32
		_           [5]uint32
		attributes  [10]gpioConfigAttribute
	}
	gpioLineRequest struct {
		offsets  [64]uint32
		consumer [32]byte
		config   gpioLineConfig
		lines    uint32
		events   uint32 // size of the kernel's queue
		_        [5]uint32
		fd       int32
	}
	gpioLineValues struct{ bits, mask uint64 }
	gpioLineEvent  struct {
		nanoseconds                    uint64
		id, offset, sequence, lineSeqn uint32
		_                              [6]uint32
	}
)

// Their sizes, of which the numbers of the calls are made: another one does
// not compile.
var (
	_ [68]byte  = [unsafe.Sizeof(gpioChipInfo{})]byte{}
	_ [256]byte = [unsafe.Sizeof(gpioLineInfo{})]byte{}
	_ [592]byte = [unsafe.Sizeof(gpioLineRequest{})]byte{}
	_ [16]byte  = [unsafe.Sizeof(gpioLineValues{})]byte{}
	_ [48]byte  = [unsafe.Sizeof(gpioLineEvent{})]byte{}
)

// Flags of a line, attributes of a request, kinds of an event.
const (
	gpioUsed, gpioActiveLow, gpioInput, gpioOutput = 1 << 0, 1 << 1, 1 << 2, 1 << 3
	gpioRising, gpioFalling                        = 1 << 4, 1 << 5
	gpioOpenDrain, gpioOpenSource                  = 1 << 6, 1 << 7
	gpioPullUp, gpioPullDown, gpioBiasDisabled     = 1 << 8, 1 << 9, 1 << 10

	gpioOutputValues, gpioDebounce = 2, 3

	gpioRisingEvent = 1

	gpioSetConfig = 0xc110b40d // GPIO_V2_LINE_SET_CONFIG_IOCTL, which package unix has not
)

// ioctl is one call to the kernel about a chip or a line.
type ioctl func(fd uintptr, request uintptr, arg unsafe.Pointer) error

func kernelIoctl(fd, request uintptr, arg unsafe.Pointer) error {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, request, uintptr(arg))
		if errno == 0 {
			return nil
		}
		if errno != unix.EINTR {
			return errno
		}
	}
}

// add puts an attribute for the request's only line into c.
func (c *gpioLineConfig) add(id uint32, value uint64) {
	a := &c.attributes[c.nAttributes]
	a.id, a.mask = id, 1
	if id == gpioDebounce {
		*(*uint32)(unsafe.Pointer(&a.value)) = uint32(value)
	} else {
		*(*[8]byte)(unsafe.Pointer(&a.value)) = *(*[8]byte)(unsafe.Pointer(&value))
	}
	c.nAttributes++
}

// name is what the kernel wrote into a field of 32 bytes.
func name(field *[32]byte) string {
	text, _, _ := bytes.Cut(field[:], []byte{0})
	return string(text)
}
