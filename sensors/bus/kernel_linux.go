package bus

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
)

// Requests of the kernel's uapi/linux/i2c-dev.h and uapi/linux/spi/spidev.h.
// Those of spidev are numbered as every board that dunlin is built for numbers
// them; MIPS and PowerPC do it otherwise.
const (
	i2cTransfer = 0x0707      // I2C_RDWR, i2cMessages
	spiSetMode  = 0x4001_6b01 // SPI_IOC_WR_MODE, a byte
	spiTransfer = 0x4020_6b00 // SPI_IOC_MESSAGE(1), spiMessage
)

// remoteIO is what some adapters call a missing acknowledgement.
const remoteIO = syscall.EREMOTEIO

// i2cMessage is struct i2c_msg.
type i2cMessage struct {
	addr, flags, length uint16
	data                *byte
}

const i2cRead = 1 // I2C_M_RD

// i2cMessages is struct i2c_rdwr_ioctl_data.
type i2cMessages struct {
	first *i2cMessage
	n     uint32
}

// spiMessage is struct spi_ioc_transfer.
type spiMessage struct {
	write, read   uint64
	length, speed uint32
	delay         uint16
	bits          uint8 // of a word
	_             [5]uint8
}

// longestTransfer is as many bytes as i2c-dev takes in one message.
const longestTransfer = 8192

// kernelI2C is /dev/i2c-N.
type kernelI2C struct{ f *os.File }

func openI2C(number int) (i2c.BusCloser, error) {
	f, err := os.OpenFile(fmt.Sprintf("/dev/i2c-%d", number), os.O_RDWR, 0)
	return kernelI2C{f}, err
}

// Tx implements i2c.Bus: one transfer, with a repeated start between w and r.
func (k kernelI2C) Tx(addr uint16, w, r []byte) error {
	if addr > 0x7F || len(w) > longestTransfer || len(r) > longestTransfer {
		return syscall.EINVAL
	}
	var m [2]i2cMessage
	n := uint32(0)
	if len(w) > 0 || len(r) == 0 {
		m[n] = i2cMessage{addr: addr, length: uint16(len(w)), data: unsafe.SliceData(w)}
		n++
	}
	if len(r) > 0 {
		m[n] = i2cMessage{addr: addr, flags: i2cRead, length: uint16(len(r)), data: unsafe.SliceData(r)}
		n++
	}
	return kernelIoctl(k.f.Fd(), i2cTransfer, unsafe.Pointer(&i2cMessages{&m[0], n}))
}

// SetSpeed implements i2c.Bus; the Guard above answers.
func (k kernelI2C) SetSpeed(physic.Frequency) error { return syscall.ENOTSUP }

// String implements i2c.Bus.
func (k kernelI2C) String() string { return k.f.Name() }

// Close implements i2c.BusCloser.
func (k kernelI2C) Close() error { return k.f.Close() }

// kernelSPI is /dev/spidevB.C.
type kernelSPI struct{ f *os.File }

func openSPI(path string, mode int) (RawSPI, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	m := uint8(mode)
	if err := kernelIoctl(f.Fd(), spiSetMode, unsafe.Pointer(&m)); err != nil {
		f.Close()
		return nil, &os.PathError{Op: "set mode of", Path: path, Err: err}
	}
	return kernelSPI{f}, nil
}

// Tx implements RawSPI. The kernel is told addresses as numbers, which keep
// nothing alive; w and r are on the heap, where nothing moves.
func (k kernelSPI) Tx(hertz int, w, r []byte) error {
	m := spiMessage{
		write: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(w)))), read: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(r)))),
		length: uint32(len(w)), speed: uint32(hertz), bits: 8,
	}
	err := kernelIoctl(k.f.Fd(), spiTransfer, unsafe.Pointer(&m))
	runtime.KeepAlive(w)
	runtime.KeepAlive(r)
	return err
}

// Close implements RawSPI.
func (k kernelSPI) Close() error { return k.f.Close() }
