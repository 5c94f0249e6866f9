package bus

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// The layout of include/uapi/linux/gpio.h, which is the same for 32 and 64 bit
// programs: sizes also stand in the numbers of the requests.
func TestGPIOLayout(t *testing.T) {
	var (
		info    gpioLineInfo
		config  gpioLineConfig
		request gpioLineRequest
		event   gpioLineEvent
		attr    gpioConfigAttribute
	)
	for what, at := range map[string][2]uintptr{
		"gpiochip_info":                      {unsafe.Sizeof(gpioChipInfo{}), 68},
		"gpiochip_info.lines":                {unsafe.Offsetof(gpioChipInfo{}.lines), 64},
		"gpio_v2_line_attribute":             {unsafe.Sizeof(gpioAttribute{}), 16},
		"gpio_v2_line_attribute.value":       {unsafe.Offsetof(gpioAttribute{}.value), 8},
		"gpio_v2_line_config_attribute":      {unsafe.Sizeof(attr), 24},
		"gpio_v2_line_config_attribute.mask": {unsafe.Offsetof(attr.mask), 16},
		"gpio_v2_line_info":                  {unsafe.Sizeof(info), 256},
		"gpio_v2_line_info.offset":           {unsafe.Offsetof(info.offset), 64},
		"gpio_v2_line_info.flags":            {unsafe.Offsetof(info.flags), 72},
		"gpio_v2_line_info.attrs":            {unsafe.Offsetof(info.attributes), 80},
		"gpio_v2_line_config":                {unsafe.Sizeof(config), 272},
		"gpio_v2_line_config.num_attrs":      {unsafe.Offsetof(config.nAttributes), 8},
		"gpio_v2_line_config.attrs":          {unsafe.Offsetof(config.attributes), 32},
		"gpio_v2_line_request":               {unsafe.Sizeof(request), 592},
		"gpio_v2_line_request.consumer":      {unsafe.Offsetof(request.consumer), 256},
		"gpio_v2_line_request.config":        {unsafe.Offsetof(request.config), 288},
		"gpio_v2_line_request.num_lines":     {unsafe.Offsetof(request.lines), 560},
		"gpio_v2_line_request.fd":            {unsafe.Offsetof(request.fd), 588},
		"gpio_v2_line_values":                {unsafe.Sizeof(gpioLineValues{}), 16},
		"gpio_v2_line_event":                 {unsafe.Sizeof(event), 48},
		"gpio_v2_line_event.id":              {unsafe.Offsetof(event.id), 8},
		"gpio_v2_line_event.line_seqno":      {unsafe.Offsetof(event.lineSeqn), 20},
	} {
		if at[0] != at[1] {
			t.Errorf("%s: %d, want %d", what, at[0], at[1])
		}
	}
	for request, size := range map[uintptr]uintptr{
		unix.GPIO_GET_CHIPINFO_IOCTL: 68, unix.GPIO_V2_GET_LINEINFO_IOCTL: 256, unix.GPIO_V2_GET_LINE_IOCTL: 592,
		unix.GPIO_V2_LINE_GET_VALUES_IOCTL: 16, unix.GPIO_V2_LINE_SET_VALUES_IOCTL: 16,
		gpioSetConfig: 272,
	} {
		if got := request >> 16 & 0x1fff; got != size {
			t.Errorf("request %#x carries %d bytes, the structure has %d", request, got, size)
		}
	}
}

func TestKernelTime(t *testing.T) {
	var mono unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if got := now.Sub(kernelTime(time.Duration(mono.Nano()) - time.Second)); got < 900*time.Millisecond || got > 1100*time.Millisecond {
		t.Errorf("an edge of a second ago is %v old", got)
	}
	// A stamp of another clock: the time of arrival is the best that there is.
	if got := time.Since(kernelTime(time.Duration(now.UnixNano()))); got < 0 || got > time.Second {
		t.Errorf("an edge stamped by the real-time clock is %v old", got)
	}
}

func TestLineRequests(t *testing.T) {
	k := newGPIOFake(t, "pinctrl-test", "GPIO0", "GPIO17")
	request := func(o sensors.LineOptions) (sensors.Line, gpioLineRequest) {
		t.Helper()
		l, err := requestLine(k.root, k.ioctl, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l, k.requests[len(k.requests)-1]
	}
	for _, initial := range []bool{false, true} {
		t.Run("an output has its level in the one request that makes it one", func(t *testing.T) {
			before := len(k.requests)
			l, r := request(sensors.LineOptions{Name: "GPIO17", Output: true, Initial: initial, ActiveLow: true, Bias: sensors.PullUp, Drive: sensors.OpenDrain, Edges: sensors.BothEdges})
			c := r.config
			if want := uint64(gpioOutput | gpioActiveLow | gpioPullUp | gpioOpenDrain); c.flags != want || r.offsets[0] != 1 || r.lines != 1 || len(k.requests) != before+1 {
				t.Errorf("line %d of %d, flags %#x, want %#x", r.offsets[0], r.lines, c.flags, want)
			}
			a := c.attributes[0]
			if c.nAttributes != 1 || a.id != gpioOutputValues || a.mask != 1 || (a.value[0] == 1 || a.value[7] == 1) != initial {
				t.Errorf("initial %v is requested as %+v", initial, a)
			}
			if got, err := l.Read(); got != initial || err != nil {
				t.Errorf("the line reads %v, %v", got, err)
			}
			if err := l.Write(!initial); err != nil {
				t.Error(err)
			}
			if got, _ := l.Read(); got == initial {
				t.Error("a write changed nothing")
			}
		})
	}
	for name, tc := range map[string]struct {
		flags uint64 // of the line, once it is requested
		is    uint64 // its level
		fail  error
		want  bool
	}{
		"an output that is active":                   {gpioOutput, 1, nil, true},
		"an output that is not":                      {gpioOutput, 0, nil, false},
		"an input":                                   {gpioInput, 1, nil, false},
		"an output of a controller that drives only": {gpioOutput, 1, unix.EIO, false},
	} {
		t.Run("kept: "+name, func(t *testing.T) {
			k.mu.Lock()
			k.lines[1].flags, k.fresh = gpioInput, tc.is // what the kernel knew before the request
			k.asked, k.fail[unix.GPIO_V2_LINE_GET_VALUES_IOCTL] = tc.flags, tc.fail
			k.mu.Unlock()
			defer delete(k.fail, unix.GPIO_V2_LINE_GET_VALUES_IOCTL)
			_, r := request(sensors.LineOptions{Name: "GPIO17", Output: true, ActiveLow: true, Keep: true, Bias: sensors.PullUp})
			if r.config.flags != gpioActiveLow || r.config.nAttributes != 0 {
				t.Errorf("requested with flags %#x, %d attributes", r.config.flags, r.config.nAttributes)
			}
			c := k.configs[len(k.configs)-1]
			if want := uint64(gpioOutput | gpioActiveLow | gpioPullUp); c.flags != want {
				t.Errorf("flags %#x, want %#x", c.flags, want)
			}
			if a := c.attributes[0]; c.nAttributes != 1 || a.id != gpioOutputValues || (a.value[0] == 1 || a.value[7] == 1) != tc.want {
				t.Errorf("its level is set by %+v, want %v", a, tc.want)
			}
		})
	}
	t.Run("an input", func(t *testing.T) {
		_, r := request(sensors.LineOptions{Chip: "pinctrl-test", Offset: 0, Edges: sensors.Falling, Debounce: 5 * time.Millisecond, Drive: sensors.OpenDrain, Consumer: "a name that is longer than the kernel's field"})
		c := r.config
		if want := uint64(gpioInput | gpioFalling); c.flags != want || r.events != eventQueue {
			t.Errorf("flags %#x, want %#x; queue of %d", c.flags, want, r.events)
		}
		if a := c.attributes[0]; c.nAttributes != 1 || a.id != gpioDebounce || *(*uint32)(unsafe.Pointer(&a.value)) != 5000 {
			t.Errorf("debounce is requested as %+v", a)
		}
		if got := name(&r.consumer); got != "a name that is longer than the " {
			t.Errorf("consumer %q", got)
		}
	})
}

func TestLineEvents(t *testing.T) {
	k := newGPIOFake(t, "pinctrl-test", "GPIO0")
	l, err := requestLine(k.root, k.ioctl, sensors.LineOptions{Name: "GPIO0", Edges: sensors.BothEdges})
	if err != nil {
		t.Fatal(err)
	}
	var mono unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono); err != nil {
		t.Fatal(err)
	}
	stamp := uint64(mono.Nano()) - uint64(time.Minute)
	k.edges(t, gpioLineEvent{nanoseconds: stamp, id: 1, lineSeqn: 7}, gpioLineEvent{nanoseconds: stamp, id: 2, lineSeqn: 9})
	for _, want := range []sensors.LineEvent{{Active: true, Seq: 7}, {Active: false, Seq: 9}} {
		e, err := l.Event(t.Context())
		if age := time.Since(e.At); err != nil || e.Active != want.Active || e.Seq != want.Seq || age < 59*time.Second || age > 90*time.Second {
			t.Errorf("%+v, %v; want %+v of a minute ago", e, err, want)
		}
	}
	t.Run("a context ends the wait, and the next finds what came", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := l.Event(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a silent line: %v", err)
		}
		go k.edges(t, gpioLineEvent{id: 1, lineSeqn: 10})
		if e, err := l.Event(t.Context()); err != nil || e.Seq != 10 {
			t.Errorf("%+v, %v", e, err)
		}
	})
	t.Run("Close ends the wait", func(t *testing.T) {
		done := make(chan error, 1)
		go func() { _, err := l.Event(context.Background()); done <- err }()
		time.Sleep(time.Millisecond) // either order is right
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; sensors.ReasonOf(err) != sensors.Shutdown {
			t.Errorf("Event of a closed line: %v", err)
		}
		if _, err := l.Read(); sensors.ReasonOf(err) != sensors.Shutdown {
			t.Errorf("Read of a closed line: %v", err)
		}
	})
}

func TestRequestFaults(t *testing.T) {
	for errno, want := range map[error]sensors.Reason{
		unix.EBUSY: sensors.Busy, unix.EPERM: sensors.Permission, unix.EACCES: sensors.Permission,
		unix.ENODEV: sensors.Unplugged, unix.EINVAL: sensors.IO,
	} {
		k := newGPIOFake(t, "pinctrl-test", "GPIO0")
		k.fail[unix.GPIO_V2_GET_LINE_IOCTL] = errno
		_, err := requestLine(k.root, k.ioctl, sensors.LineOptions{Name: "GPIO0"})
		if got := sensors.ReasonOf(err); got != want || !errors.Is(err, errno) {
			t.Errorf("%v: %v, want reason %q", errno, err, want)
		}
	}
}

// A Raspberry Pi 5 has its chip under two names, one of them a link.
func TestAChipWithTwoNames(t *testing.T) {
	k := newGPIOFake(t, "pinctrl-rp1", "GPIO17")
	if err := os.Symlink("gpiochip0", filepath.Join(k.root, "dev", "gpiochip4")); err != nil {
		t.Fatal(err)
	}
	for _, o := range []sensors.LineOptions{{Name: "GPIO17"}, {Chip: "gpiochip4"}, {Chip: "/dev/gpiochip4"}, {Chip: "gpiochip0"}, {Chip: "pinctrl-rp1"}} {
		l, err := requestLine(k.root, k.ioctl, o)
		if err != nil {
			t.Errorf("%+v: %v", o, err)
			continue
		}
		l.Close()
	}
}

func TestGPIOChips(t *testing.T) {
	for what, tc := range map[string]struct {
		prepare func(k *gpioFake)
		want    sensors.Reason
	}{
		"none":                         {func(k *gpioFake) { os.Remove(filepath.Join(k.root, "dev", "gpiochip0")) }, sensors.NotFound},
		"no GPIO chip behind the name": {func(k *gpioFake) { k.fail[unix.GPIO_GET_CHIPINFO_IOCTL] = unix.ENOTTY }, sensors.IO},
		"a kernel before 5.10":         {func(k *gpioFake) { k.fail[unix.GPIO_V2_GET_LINEINFO_IOCTL] = unix.EINVAL }, sensors.IO},
		"a line in use":                {func(k *gpioFake) { k.lines[0].flags = gpioUsed; copy(k.lines[0].consumer[:], "spi0") }, sensors.Busy},
		"a line with another function": {func(k *gpioFake) { k.lines[0].flags = gpioUsed }, ""},
		"a line in use by nobody named": {func(k *gpioFake) {
			k.lines[0].flags, k.fail[unix.GPIO_V2_GET_LINE_IOCTL] = gpioUsed, unix.EINVAL
		}, sensors.Busy},
		"a free line": {func(*gpioFake) {}, ""},
	} {
		k := newGPIOFake(t, "pinctrl-test", "GPIO0")
		tc.prepare(k)
		l, err := requestLine(k.root, k.ioctl, sensors.LineOptions{Name: "GPIO0"})
		if got := sensors.ReasonOf(err); got != tc.want {
			t.Errorf("%s: %v, want %q", what, err, tc.want)
		}
		if err == nil {
			l.Close()
		}
	}
}
