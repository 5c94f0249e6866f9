package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// eventQueue is how many edges of one line the kernel keeps for its driver. It
// drops the oldest, so that the last edge, which says how the line is now,
// always arrives; the gap shows in Seq.
const eventQueue = 256

// line is one requested line. Its edges wait in the kernel.
type line struct {
	f     *os.File
	what  string
	ioctl ioctl
	// batch is what the last read brought, waiting what is left of it.
	batch   [16]gpioLineEvent
	waiting []gpioLineEvent
}

var _ sensors.Line = (*line)(nil)

// Line implements sensors.Buses. One request to the kernel makes the line what
// o says, level of an output included.
func (b *Buses) Line(o sensors.LineOptions) (sensors.Line, error) {
	l, err := requestLine(b.root, kernelIoctl, o)
	if b.texts != nil && err == nil {
		return tracedLine{l, cmp.Or(o.Name, fmt.Sprintf("%s %d", o.Chip, o.Offset)), b.texts}, nil
	}
	return l, err
}

func allChips(root string) ([]chip, error) { return gpioChips(root, kernelIoctl) }

// requestLine finds the line among the chips of root/dev and requests it.
func requestLine(root string, call ioctl, o sensors.LineOptions) (sensors.Line, error) {
	if to, err := os.Readlink(filepath.Join(root, "dev", filepath.Base(o.Chip))); err == nil {
		o.Chip = filepath.Base(to)
	}
	chips, err := gpioChips(root, call)
	if err != nil {
		return nil, err
	}
	chip, offset, err := find(chips, o)
	if err != nil {
		return nil, err
	}
	l := &line{what: fmt.Sprintf("GPIO line %d of %s", offset, chip.name), ioctl: call}
	f, err := os.OpenFile(filepath.Join(root, "dev", chip.name), os.O_RDWR, 0)
	if err != nil {
		return nil, openFault(chip.name, "gpio", err)
	}
	defer f.Close()
	r := lineRequest(o, offset)
	if o.Keep {
		r.config = gpioLineConfig{flags: r.config.flags & gpioActiveLow} // neither input nor output: as it is
	}
	if err := control(f, call, unix.GPIO_V2_GET_LINE_IOCTL, unsafe.Pointer(&r)); err != nil {
		if chip.lines[offset].used {
			return nil, busy(chip, offset, "another function of its pin")
		}
		return nil, requestFault(l.what, err)
	}
	// Not blocking, the runtime waits for edges without a thread.
	if err := unix.SetNonblock(int(r.fd), true); err != nil {
		unix.Close(int(r.fd))
		return nil, requestFault(l.what, err)
	}
	l.f = os.NewFile(uintptr(r.fd), l.what)
	if o.Keep {
		if err := l.keep(f, o, offset); err != nil {
			l.f.Close()
			return nil, requestFault(l.what, err)
		}
	}
	return l, nil
}

// keep makes a line that was requested as it is an output, at the level that it
// has if it is one. Which way a line goes the kernel asks of its controller when
// the line is requested: what it said before may be long past.
func (l *line) keep(chip *os.File, o sensors.LineOptions, offset int) error {
	info := gpioLineInfo{offset: uint32(offset)}
	if err := control(chip, l.ioctl, unix.GPIO_V2_GET_LINEINFO_IOCTL, unsafe.Pointer(&info)); err != nil {
		return err
	}
	if info.flags&gpioOutput != 0 {
		if level, err := l.Read(); err == nil { // of one that cannot be read, Initial is as good
			o.Initial = level
		}
	}
	r := lineRequest(o, offset)
	return control(l.f, l.ioctl, gpioSetConfig, unsafe.Pointer(&r.config))
}

// control makes a call that Close cannot pull the descriptor from under.
func control(f *os.File, call ioctl, request uintptr, arg unsafe.Pointer) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := conn.Control(func(fd uintptr) { failed = call(fd, request, arg) }); err != nil {
		return os.ErrClosed // nothing else can be wrong with a descriptor
	}
	return failed
}

// gpioChips describes every chip that this process may open. When there are
// chips and it may open none, the error says which group is missing.
func gpioChips(root string, call ioctl) ([]chip, error) {
	devices, _ := filepath.Glob(filepath.Join(root, "dev", "gpiochip*")) // the pattern is right
	var chips []chip
	var refused error
	for _, device := range devices {
		if _, err := os.Readlink(device); err == nil {
			continue // another name of one that is there: gpiochip4 of a Raspberry Pi 5
		}
		c, err := describe(device, call)
		if err != nil {
			refused = err
			continue
		}
		chips = append(chips, c)
	}
	if len(chips) == 0 && refused != nil {
		return nil, openFault("GPIO chips", "gpio", refused)
	}
	return chips, nil
}

// describe asks a chip for its label and its lines.
func describe(device string, call ioctl) (chip, error) {
	f, err := os.Open(device)
	if err != nil {
		return chip{}, err
	}
	defer f.Close()
	var info gpioChipInfo
	if err := control(f, call, unix.GPIO_GET_CHIPINFO_IOCTL, unsafe.Pointer(&info)); err != nil {
		return chip{}, fmt.Errorf("%s: %w", device, err)
	}
	// Not the name that the chip bears: the device may have been renamed.
	c := chip{name: filepath.Base(device), label: name(&info.label), lines: make([]lineInfo, info.lines)}
	for i := range c.lines {
		l := gpioLineInfo{offset: uint32(i)}
		if err := control(f, call, unix.GPIO_V2_GET_LINEINFO_IOCTL, unsafe.Pointer(&l)); err != nil {
			return chip{}, fmt.Errorf("%s: describe line %d (needs Linux 5.10 or newer): %w", device, i, err)
		}
		c.lines[i] = lineInfo{name: name(&l.name), used: l.flags&gpioUsed != 0, consumer: name(&l.consumer)}
	}
	return c, nil
}

func requestFault(what string, err error) error {
	reason := sensors.IO
	switch {
	case errors.Is(err, unix.EBUSY):
		reason = sensors.Busy
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		reason = sensors.Permission
		err = fmt.Errorf("the user of this process must be a member of group gpio: %w", err)
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		reason = sensors.Unplugged
	case errors.Is(err, os.ErrClosed):
		reason = sensors.Shutdown
		err = ErrClosed
	}
	return &sensors.Fault{Reason: reason, Err: fmt.Errorf("%s: %w", what, err)}
}

// flagsOf are the flags that one word of the options stands for.
var (
	biasFlags  = map[sensors.Bias]uint64{sensors.PullUp: gpioPullUp, sensors.PullDown: gpioPullDown, sensors.BiasDisabled: gpioBiasDisabled}
	driveFlags = map[sensors.Drive]uint64{sensors.OpenDrain: gpioOpenDrain, sensors.OpenSource: gpioOpenSource}
	edgeFlags  = map[sensors.Edges]uint64{sensors.BothEdges: gpioRising | gpioFalling, sensors.Rising: gpioRising, sensors.Falling: gpioFalling}
)

// lineRequest puts everything into the one request.
func lineRequest(o sensors.LineOptions, offset int) gpioLineRequest {
	r := gpioLineRequest{lines: 1}
	r.offsets[0] = uint32(offset)
	consumer := o.Consumer
	if consumer == "" {
		consumer = "dunlin"
	}
	copy(r.consumer[:len(r.consumer)-1], consumer)
	c := &r.config
	c.flags = biasFlags[o.Bias]
	if o.ActiveLow {
		c.flags |= gpioActiveLow
	}
	if o.Output {
		c.flags |= gpioOutput | driveFlags[o.Drive]
		initial := uint64(0)
		if o.Initial {
			initial = 1
		}
		c.add(gpioOutputValues, initial)
		return r
	}
	c.flags |= gpioInput | edgeFlags[o.Edges]
	if o.Edges != sensors.NoEdges {
		r.events = eventQueue
	}
	if o.Debounce > 0 {
		c.add(gpioDebounce, uint64(o.Debounce.Microseconds()))
	}
	return r
}

// kernelTime puts a kernel timestamp, which is of CLOCK_MONOTONIC, on the time
// line of time.Now.
func kernelTime(stamp time.Duration) time.Time {
	now := time.Now()
	var mono unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono); err != nil {
		return now
	}
	age := time.Duration(mono.Nano()) - stamp
	if age < 0 || age > time.Hour { // a controller that stamps by a clock of its own
		return now
	}
	return now.Add(-age)
}

// Read implements sensors.Line.
func (l *line) Read() (bool, error) {
	v := gpioLineValues{mask: 1}
	if err := control(l.f, l.ioctl, unix.GPIO_V2_LINE_GET_VALUES_IOCTL, unsafe.Pointer(&v)); err != nil {
		return false, requestFault(l.what, err)
	}
	return v.bits&1 == 1, nil
}

// Write implements sensors.Line.
func (l *line) Write(active bool) error {
	v := gpioLineValues{mask: 1}
	if active {
		v.bits = 1
	}
	if err := control(l.f, l.ioctl, unix.GPIO_V2_LINE_SET_VALUES_IOCTL, unsafe.Pointer(&v)); err != nil {
		return requestFault(l.what, err)
	}
	return nil
}

// Event implements sensors.Line.
func (l *line) Event(ctx context.Context) (sensors.LineEvent, error) {
	for len(l.waiting) == 0 {
		if err := l.f.SetReadDeadline(time.Time{}); err != nil {
			return sensors.LineEvent{}, requestFault(l.what, err)
		}
		stop := context.AfterFunc(ctx, func() { _ = l.f.SetReadDeadline(time.Unix(1, 0)) }) // it fails on a closed line only
		n, err := l.f.Read(unsafe.Slice((*byte)(unsafe.Pointer(&l.batch)), int(unsafe.Sizeof(l.batch))))
		stop()
		switch {
		case n > 0:
			l.waiting = l.batch[:n/int(unsafe.Sizeof(l.batch[0]))]
		case ctx.Err() != nil:
			return sensors.LineEvent{}, ctx.Err()
		case errors.Is(err, os.ErrDeadlineExceeded): // of an earlier call's context, which ended as that call did
		default:
			return sensors.LineEvent{}, requestFault(l.what, err)
		}
	}
	e := l.waiting[0]
	l.waiting = l.waiting[1:]
	return sensors.LineEvent{
		Active: e.id == gpioRisingEvent, // logical: inactive to active
		At:     kernelTime(time.Duration(e.nanoseconds)),
		Seq:    e.lineSeqn,
	}, nil
}

// Close implements sensors.Line.
func (l *line) Close() error { return l.f.Close() }
