package mqtt

import "fmt"

// Error is a failure of the protocol: Code goes to the peer, Spec and Msg
// into the log.
type Error struct {
	Code ReasonCode
	Spec string // the statement that was broken, as "MQTT-4.3.3-10"
	Msg  string // what was wrong, lower case, without the peer's data
}

// Errorf makes an Error with a formatted message.
func Errorf(code ReasonCode, spec, format string, args ...any) *Error {
	return &Error{Code: code, Spec: spec, Msg: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string {
	if e.Spec == "" {
		return fmt.Sprintf("%s (0x%02x)", e.Msg, byte(e.Code))
	}
	return fmt.Sprintf("%s (0x%02x, [%s])", e.Msg, byte(e.Code), e.Spec)
}
