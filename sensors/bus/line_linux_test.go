package bus

import (
	"errors"
	"testing"
	"time"

	"github.com/warthog618/go-gpiocdev"
	"golang.org/x/sys/unix"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

func TestKernelTime(t *testing.T) {
	var mono unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if got := now.Sub(kernelTime(time.Duration(mono.Nano()) - time.Second)); got < 900*time.Millisecond || got > 1100*time.Millisecond {
		t.Errorf("an edge of a second ago is %v old", got)
	}
	// Before Linux 5.7 the stamp is of another clock: the time of arrival is
	// the best that there is.
	if got := time.Since(kernelTime(time.Duration(now.UnixNano()))); got < 0 || got > time.Second {
		t.Errorf("an edge stamped by the real-time clock is %v old", got)
	}
}

func TestOutputIsOneRequest(t *testing.T) {
	count := func(o sensors.LineOptions) (outputs, inputs, edges int) {
		for _, opt := range requestOptions(o, func(gpiocdev.LineEvent) {}) {
			switch opt.(type) {
			case gpiocdev.OutputOption:
				outputs++
			case gpiocdev.InputOption:
				inputs++
			case gpiocdev.LineEdge:
				edges++
			}
		}
		return outputs, inputs, edges
	}
	for _, initial := range []bool{false, true} {
		o := sensors.LineOptions{Output: true, Initial: initial, ActiveLow: true, Bias: sensors.PullUp, Drive: sensors.OpenDrain, Edges: true}
		if out, in, edges := count(o); out != 1 || in != 0 || edges != 0 {
			t.Errorf("an output asks for %d outputs, %d inputs, %d edges", out, in, edges)
		}
		value := 0
		if initial {
			value = 1
		}
		options := requestOptions(o, nil)
		if got := options[len(options)-1].(gpiocdev.OutputOption); len(got) != 1 || got[0] != value {
			t.Errorf("initial %v is requested as %v", initial, got)
		}
	}
	if out, in, edges := count(sensors.LineOptions{Edges: true, Debounce: time.Millisecond}); out != 0 || in != 1 || edges != 1 {
		t.Errorf("an input asks for %d outputs, %d inputs, %d edges", out, in, edges)
	}
}

func TestEdgesAreCounted(t *testing.T) {
	l := &line{events: newEvents()}
	edge := l.edge()
	// uAPI v2 numbers the edges of a line; v1 leaves that to us.
	edge(gpiocdev.LineEvent{Type: gpiocdev.LineEventRisingEdge, LineSeqno: 7})
	edge(gpiocdev.LineEvent{Type: gpiocdev.LineEventFallingEdge})
	first, _ := l.Event(t.Context())
	second, _ := l.Event(t.Context())
	if first.Seq != 7 || !first.Active || second.Seq != 2 || second.Active {
		t.Errorf("edges %+v and %+v", first, second)
	}
}

func TestRequestFaults(t *testing.T) {
	for errno, want := range map[error]sensors.Reason{
		unix.EBUSY: sensors.Busy, unix.EPERM: sensors.Permission, unix.EACCES: sensors.Permission,
		unix.ENODEV: sensors.Unplugged, unix.EINVAL: sensors.IO,
	} {
		if got := sensors.ReasonOf(requestFault("GPIO line 1", errno)); got != want {
			t.Errorf("%v: reason %q, want %q", errno, got, want)
		}
	}
	if err := requestFault("GPIO line 1", unix.EBUSY); !errors.Is(err, unix.EBUSY) {
		t.Errorf("%v hides its cause", err)
	}
}

func TestLineWithoutHardware(t *testing.T) {
	if len(gpiocdev.Chips()) > 0 {
		t.Skip("this machine has GPIO chips")
	}
	b, err := New(nil, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Line(sensors.LineOptions{Name: "GPIO17"}); sensors.ReasonOf(err) != sensors.NotFound {
		t.Errorf("Line = %v, want not_found", err)
	}
}
