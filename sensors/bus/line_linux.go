package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/warthog618/go-gpiocdev"
	"golang.org/x/sys/unix"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// line is one requested line.
type line struct {
	l      *gpiocdev.Line
	what   string
	events *events
}

var _ sensors.Line = (*line)(nil)

// Line implements sensors.Buses. One request to the kernel makes the line what
// o says, level of an output included.
func (b *Buses) Line(o sensors.LineOptions) (sensors.Line, error) {
	chips, err := gpioChips()
	if err != nil {
		return nil, err
	}
	chip, offset, err := find(chips, o)
	if err != nil {
		return nil, err
	}
	l := &line{what: fmt.Sprintf("GPIO line %d of %s", offset, chip), events: newEvents()}
	l.l, err = gpiocdev.RequestLine(chip, offset, requestOptions(o, l.edge())...)
	if err != nil {
		return nil, requestFault(l.what, err)
	}
	return l, nil
}

// gpioChips describes every chip that this process may open. When there are
// chips and it may open none, the error says which group is missing.
func gpioChips() ([]chip, error) {
	var chips []chip
	var refused error
	for _, name := range gpiocdev.Chips() {
		c, err := gpiocdev.NewChip(name)
		if err != nil {
			refused = err
			continue
		}
		described := chip{name: c.Name, label: c.Label, lines: make([]lineInfo, c.Lines())}
		for i := range described.lines {
			if info, err := c.LineInfo(i); err == nil {
				described.lines[i] = lineInfo{name: info.Name, used: info.Used, consumer: info.Consumer}
			}
		}
		c.Close()
		chips = append(chips, described)
	}
	if len(chips) == 0 && refused != nil {
		return nil, openFault("GPIO chips", "gpio", refused)
	}
	return chips, nil
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
	}
	return &sensors.Fault{Reason: reason, Err: fmt.Errorf("%s: %w", what, err)}
}

// requestOptions puts everything into the one request.
func requestOptions(o sensors.LineOptions, edge gpiocdev.EventHandler) []gpiocdev.LineReqOption {
	consumer := o.Consumer
	if consumer == "" {
		consumer = "dunlin"
	}
	opts := []gpiocdev.LineReqOption{gpiocdev.WithConsumer(consumer)}
	if o.ActiveLow {
		opts = append(opts, gpiocdev.AsActiveLow)
	}
	switch o.Bias {
	case sensors.PullUp:
		opts = append(opts, gpiocdev.WithPullUp)
	case sensors.PullDown:
		opts = append(opts, gpiocdev.WithPullDown)
	case sensors.BiasDisabled:
		opts = append(opts, gpiocdev.WithBiasDisabled)
	}
	if o.Output {
		switch o.Drive {
		case sensors.OpenDrain:
			opts = append(opts, gpiocdev.AsOpenDrain)
		case sensors.OpenSource:
			opts = append(opts, gpiocdev.AsOpenSource)
		}
		initial := 0
		if o.Initial {
			initial = 1
		}
		return append(opts, gpiocdev.AsOutput(initial))
	}
	opts = append(opts, gpiocdev.AsInput)
	if o.Debounce > 0 {
		opts = append(opts, gpiocdev.WithDebounce(o.Debounce))
	}
	if o.Edges {
		opts = append(opts, edge, gpiocdev.WithBothEdges)
	}
	return opts
}

// edge returns the handler that gpiocdev's reader calls, one edge at a time.
func (l *line) edge() gpiocdev.EventHandler {
	var seq uint32
	return func(e gpiocdev.LineEvent) {
		seq++
		ev := sensors.LineEvent{
			Active: e.Type == gpiocdev.LineEventRisingEdge, // logical: inactive to active
			At:     kernelTime(e.Timestamp),
			Seq:    e.LineSeqno,
		}
		if ev.Seq == 0 { // uAPI v1, before Linux 5.10, does not count
			ev.Seq = seq
		}
		l.events.put(ev)
	}
}

// kernelTime puts a kernel timestamp on the time line of time.Now. Since Linux
// 5.7 it is CLOCK_MONOTONIC; older ones give CLOCK_REALTIME, which lies
// decades ahead of it.
func kernelTime(stamp time.Duration) time.Time {
	now := time.Now()
	var mono unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono); err != nil {
		return now
	}
	age := time.Duration(mono.Nano()) - stamp
	if age < 0 || age > time.Hour {
		return now
	}
	return now.Add(-age)
}

// Read implements sensors.Line.
func (l *line) Read() (bool, error) {
	v, err := l.l.Value()
	if err != nil {
		return false, requestFault(l.what, err)
	}
	return v == 1, nil
}

// Write implements sensors.Line.
func (l *line) Write(active bool) error {
	v := 0
	if active {
		v = 1
	}
	if err := l.l.SetValue(v); err != nil {
		return requestFault(l.what, err)
	}
	return nil
}

// Event implements sensors.Line.
func (l *line) Event(ctx context.Context) (sensors.LineEvent, error) { return l.events.next(ctx) }

// Close implements sensors.Line.
func (l *line) Close() error {
	l.events.close()
	return l.l.Close()
}
