package drivers

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/serial/modbus"
)

// modbusReasons say what the failures of a request mean; the first that fits.
var modbusReasons = [...]struct {
	err    error
	reason sensors.Reason
}{
	{modbus.ErrTimeout, sensors.Timeout},
	{modbus.ErrLate, sensors.Late},
	{modbus.ErrCRC, sensors.CRC},
	{modbus.ErrTruncated, sensors.Truncated},
	{modbus.ErrGarbage, sensors.Garbage},
	{modbus.ErrUnit, sensors.WrongUnit},
	{modbus.ErrEcho, sensors.Echo},
	{modbus.ErrClosed, sensors.Shutdown},
	{modbus.IllegalFunction, sensors.IllegalFunction},
	{modbus.IllegalDataAddress, sensors.IllegalAddress},
	{modbus.IllegalDataValue, sensors.IllegalValue},
	{modbus.DeviceFailure, sensors.DeviceFailure},
	{modbus.Acknowledge, sensors.Busy},
	{modbus.DeviceBusy, sensors.Busy},
	{modbus.MemoryParity, sensors.MemoryParity},
	{modbus.GatewayPath, sensors.GatewayPath},
	{modbus.GatewayTarget, sensors.GatewayTarget},

	{context.DeadlineExceeded, sensors.Timeout},
	{io.EOF, sensors.Unplugged},
	{syscall.ECONNRESET, sensors.Unplugged},
	{syscall.EPIPE, sensors.Unplugged},
}

// ofUnit reports whether a failure is the unit's, or an answer's: the line
// itself works.
func ofUnit(err error) bool {
	var e modbus.Exception
	return errors.As(err, &e) || damaged(err) ||
		errors.Is(err, modbus.ErrTimeout) || errors.Is(err, modbus.ErrLate) || errors.Is(err, modbus.ErrUnit) || errors.Is(err, modbus.ErrEcho)
}

// modbusFault gives a failed request its reason; nil stays nil.
func modbusFault(err error) error {
	if err == nil {
		return nil
	}
	for _, r := range modbusReasons {
		if errors.Is(err, r.err) {
			return &sensors.Fault{Reason: r.reason, Err: err}
		}
	}
	var e modbus.Exception
	var op *net.OpError
	switch {
	case errors.As(err, &e):
		return &sensors.Fault{Reason: sensors.Exception, Err: err}
	case errors.As(err, &op) && op.Op == "dial":
		return &sensors.Fault{Reason: sensors.NotFound, Err: err}
	}
	return sensors.PortFault(err)
}
