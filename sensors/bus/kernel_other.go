//go:build !linux

package bus

import (
	"errors"
	"syscall"

	"periph.io/x/conn/v3/i2c"
)

const remoteIO = syscall.EIO // other systems have no EREMOTEIO

var errNotLinux = errors.New("I2C and SPI need Linux")

func openI2C(int) (i2c.BusCloser, error) { return nil, errNotLinux }

func openSPI(string, int) (RawSPI, error) { return nil, errNotLinux }
