package bus

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"unsafe"
)

// The kernel's structures, and its answer from a file that is neither bus.
func TestKernelRequests(t *testing.T) {
	pointer := unsafe.Sizeof(uintptr(0))
	if a, b, c := unsafe.Sizeof(i2cMessage{}), unsafe.Sizeof(i2cMessages{}), unsafe.Sizeof(spiMessage{}); a != 8+pointer || b != 2*pointer || c != 32 {
		t.Errorf("struct i2c_msg has %d bytes, i2c_rdwr_ioctl_data %d, spi_ioc_transfer %d", a, b, c)
	}
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := (kernelI2C{f}).Tx(0x76, []byte{1}, make([]byte, 2)); !errors.Is(err, syscall.ENOTTY) {
		t.Errorf("I2C_RDWR on a file: %v", err)
	}
	if err := (kernelI2C{f}).Tx(0x80, nil, nil); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("an address of eight bits: %v", err)
	}
	if err := (kernelSPI{f}).Tx(1, []byte{1}, make([]byte, 1)); !errors.Is(err, syscall.ENOTTY) {
		t.Errorf("SPI_IOC_MESSAGE on a file: %v", err)
	}
	if _, err := openSPI(f.Name(), 0); !errors.Is(err, syscall.ENOTTY) {
		t.Errorf("openSPI of a file: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := (kernelI2C{f}).Tx(0x76, []byte{1}, nil); !errors.Is(err, syscall.EBADF) {
		t.Errorf("I2C_RDWR on a closed file: %v", err)
	}
}
