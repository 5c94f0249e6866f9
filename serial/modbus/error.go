package modbus

import (
	"errors"
	"fmt"
)

// Why there is no answer, for errors.Is.
var (
	// ErrTimeout: nothing arrived in time, or the unit is not asked because it
	// stayed silent before.
	ErrTimeout = errors.New("no answer")
	// ErrLate: the unit answered an earlier request; its answers take longer than
	// the time-out.
	ErrLate = errors.New("late answer")
	// ErrTruncated: an answer began and did not end.
	ErrTruncated = errors.New("answer cut short")
	// ErrCRC: the answer's checksum is wrong.
	ErrCRC = errors.New("checksum wrong")
	// ErrUnit: another unit answered.
	ErrUnit = errors.New("another unit answered")
	// ErrEcho: what was sent came back and nothing else.
	ErrEcho = errors.New("only the echo of the request")
	// ErrGarbage: what arrived is no answer to the request.
	ErrGarbage = errors.New("not an answer")
	// ErrClosed: Close was called.
	ErrClosed = errors.New("master is closed")
)

// Exception is a unit's own refusal of a request (Modbus Application Protocol
// V1.1b3, section 7).
type Exception byte

// The exceptions of the specification.
const (
	IllegalFunction    Exception = 0x01
	IllegalDataAddress Exception = 0x02
	IllegalDataValue   Exception = 0x03
	DeviceFailure      Exception = 0x04
	Acknowledge        Exception = 0x05
	DeviceBusy         Exception = 0x06
	MemoryParity       Exception = 0x08
	GatewayPath        Exception = 0x0A
	GatewayTarget      Exception = 0x0B
)

// exceptionNames are the specification's words, by code.
var exceptionNames = [...]string{
	IllegalFunction: "illegal function", IllegalDataAddress: "illegal data address", IllegalDataValue: "illegal data value",
	DeviceFailure: "server device failure", Acknowledge: "acknowledge", DeviceBusy: "server device busy",
	MemoryParity: "memory parity error", GatewayPath: "gateway path unavailable",
	GatewayTarget: "gateway target device failed to respond",
}

func (e Exception) Error() string {
	name := ""
	if int(e) < len(exceptionNames) {
		name = " " + exceptionNames[e]
	}
	return fmt.Sprintf("exception %02X%s", byte(e), name)
}

// Error is a request that failed. Err is an Exception, one of this package's
// errors, or what the connection said.
type Error struct {
	Unit     byte
	Function byte
	Err      error
	Detail   string // what a person needs to know, may be ""
}

func (e *Error) Error() string {
	s := fmt.Sprintf("unit %d function %02X: %v", e.Unit, e.Function, e.Err)
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
