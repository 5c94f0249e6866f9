package serial

import (
	"fmt"
	"time"
)

// RS485 is who turns a two-wire line around between sending and receiving.
type RS485 struct {
	// Mode is "adapter" (the zero value): the transceiver does it by itself, as
	// those of USB adapters do. "kernel": the driver of the port does it with
	// RTS.
	Mode string `yaml:"mode" doc:"who turns the line around: adapter does it by itself, kernel has the port's driver do it with RTS" enum:"adapter|kernel"`
	// RTSOnSend is the level of RTS while sending; the other one is for
	// receiving.
	RTSOnSend bool `yaml:"rts_on_send" doc:"kernel: RTS is active while sending"`
	// The delays are whole milliseconds, at most 100: the kernel takes no others.
	DelayBeforeSend time.Duration `yaml:"delay_before_send" doc:"kernel: from RTS to the first bit"`
	DelayAfterSend  time.Duration `yaml:"delay_after_send" doc:"kernel: from the last bit to RTS"`
	// HearSelf leaves the receiver on while sending: then everything sent is
	// received too.
	HearSelf bool `yaml:"receive_while_sending" doc:"kernel: the receiver stays on while sending"`
}

// maxRS485Delay is the kernel's bound (serial_core.c, RS485_MAX_RTS_DELAY).
const maxRS485Delay = 100 * time.Millisecond

func (r *RS485) validate(report func(path, msg string)) {
	if r.Mode != "" {
		oneOf(report, "rs485.mode", r.Mode, "adapter", "kernel")
	}
	delay := func(key string, d time.Duration) {
		if d < 0 || d > maxRS485Delay || d%time.Millisecond != 0 {
			report("rs485."+key, fmt.Sprintf("%v is not a whole number of milliseconds, 100 at most", d))
		}
	}
	delay("delay_before_send", r.DelayBeforeSend)
	delay("delay_after_send", r.DelayAfterSend)
}
