package serial

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/dunlin-mqtt/dunlin/serial/serialtest"
)

// The structure of uapi/linux/serial.h, by its bytes.
func TestRS485Structure(t *testing.T) {
	for _, tc := range []struct {
		r    RS485
		want [3]uint32
	}{
		{RS485{Mode: "kernel"}, [3]uint32{1 | 4, 0, 0}},
		{RS485{Mode: "kernel", RTSOnSend: true, DelayAfterSend: time.Millisecond}, [3]uint32{1 | 2, 0, 1}},
		{RS485{Mode: "kernel", RTSOnSend: true, HearSelf: true, DelayBeforeSend: 100 * time.Millisecond}, [3]uint32{1 | 2 | 16, 100, 0}},
	} {
		k := tc.r.kernel()
		if got := *(*[3]uint32)(unsafe.Pointer(&k)); got != tc.want || unsafe.Sizeof(k) != 32 {
			t.Errorf("%+v: %v of %d bytes, want %v of 32", tc.r, got, unsafe.Sizeof(k), tc.want)
		}
	}
}

// A port whose driver has no such mode is refused: half an RS-485 line would
// answer nothing, and nobody would know why.
func TestRS485RefusedByTheDriver(t *testing.T) {
	d := serialtest.Pty(t)
	c := DefaultConfig()
	c.Path = d.Path()
	c.RS485 = RS485{Mode: "kernel", RTSOnSend: true}
	p, err := Open(c)
	if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "mode is adapter") {
		t.Fatalf("%v, %v", p, err)
	}
	c.RS485.Mode = "adapter"
	if p, err = Open(c); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func TestRS485Validate(t *testing.T) {
	for _, tc := range []struct {
		r    RS485
		want string
	}{
		{RS485{}, ""},
		{RS485{Mode: "auto"}, "rs485.mode"},
		{RS485{DelayAfterSend: 1500 * time.Microsecond}, "rs485.delay_after_send"},
		{RS485{DelayBeforeSend: 101 * time.Millisecond}, "rs485.delay_before_send"},
		{RS485{DelayBeforeSend: -time.Millisecond}, "rs485.delay_before_send"},
	} {
		got := ""
		tc.r.validate(func(path, _ string) { got += path })
		if got != tc.want {
			t.Errorf("%+v: %q, want %q", tc.r, got, tc.want)
		}
	}
}
