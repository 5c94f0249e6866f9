package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/api"
	"github.com/dunlin-mqtt/dunlin/config"
	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/sensors/bus"
	"github.com/dunlin-mqtt/dunlin/sensors/drivers"
)

const readHelp = `Usage: dunlin read DEVICE [-c FILE] [-v] [-W DURATION]

Reads a device of the configuration once, through its driver, without the
gateway, and prints what the driver says before any filter. -v shows every
byte on the bus, and as text what is read and written of GPIO lines, files of
the kernel and programs. It refuses a device that the running gateway has open,
for two readers take each other's answers, and an output, which may switch when
it is opened.

Examples:
  dunlin read climate
  dunlin read grid_meter -v
  dunlin read scale -c conf/dunlin.yaml -W 1m

Exit codes: 0 read, 1 failed, or the gateway holds the device, 2 wrong usage,
3 invalid configuration, 27 nothing came in time.
`

func runRead(ctx context.Context, args []string, s streams) int {
	q := newAsker("read", readHelp, s)
	verbose := q.flags.BoolP("verbose", "v", false, "show the bytes on the bus, in files and of programs")
	limit := q.flags.DurationP("timeout", "W", 20*time.Second, "give up after this `time`")
	root := q.flags.String("root", "/", "`directory` with /dev, /proc and /sys")
	if code, done := q.parse(args); done {
		return code
	}
	if q.flags.NArg() != 1 {
		return q.usage("name one device of the configuration")
	}
	cfg, code := loadForRun(q.config, s)
	if cfg == nil {
		return code
	}
	name := q.flags.Arg(0)
	driver, err := driverOf(cfg, name)
	if err != nil {
		return q.usage("%v", err)
	}
	if err := q.free(ctx, cfg, name); err != nil {
		return q.fail(err)
	}
	buses, err := bus.New(busSpecs(cfg), *root)
	if err != nil {
		return q.fail(err)
	}
	defer buses.Close()
	if *verbose {
		out := newSerialWriter(s.err)
		buses.Trace(showing(out, hex.EncodeToString), showing(out, func(b []byte) string { return strconv.Quote(string(b)) }))
	}
	ctx, cancel := context.WithTimeout(ctx, *limit)
	defer cancel()
	return readOnce(ctx, driver, buses, s)
}

// driverOf makes the driver of a device.
func driverOf(cfg *config.Config, name string) (sensors.Driver, error) {
	var names []string
	for _, d := range cfg.Devices {
		names = append(names, d.Name)
		if d.Name == name && drivers.Table()[d.Driver].Moves {
			return nil, fmt.Errorf("%s is an output: to read it would move it", name)
		}
	}
	devices, errs := makeDevices(cfg)
	if len(errs) > 0 {
		return nil, errs
	}
	for _, d := range devices {
		if d.Name == name {
			return d.Driver, nil
		}
	}
	return nil, fmt.Errorf("there is no device %q%s; there are %s", name, didYouMean(name, names, ""), strings.Join(names, ", "))
}

// free makes sure that the running gateway does not hold the device. A gateway
// that cannot be asked does not answer; what it holds is busy then.
func (q *asker) free(ctx context.Context, cfg *config.Config, name string) error {
	st := new(api.Status)
	if _, err := q.get(ctx, "GET", "/api/v1/status", st); err != nil {
		return nil
	}
	for _, d := range st.Devices {
		if d.Name == name {
			return fmt.Errorf("the running gateway holds %s, which is %s: 'dunlin sub -v -t %s/%s/#' shows its values; stop the gateway to read it from here",
				name, d.State, cfg.Gateway.Base, name)
		}
	}
	return nil
}

// readOnce opens, reads until something came, and prints it.
func readOnce(ctx context.Context, d sensors.Driver, buses sensors.Buses, s streams) int {
	err := d.Open(ctx, buses)
	defer d.Close()
	var list []sensors.Reading
	for err == nil && len(list) == 0 && ctx.Err() == nil {
		list, err = d.Read(ctx)
	}
	code := exitDone
	switch {
	case ctx.Err() != nil && len(list) == 0:
		fmt.Fprintln(s.err, "dunlin read: nothing came in time:", ctx.Err())
		return exitTimeout
	case err != nil:
		fmt.Fprintln(s.err, "dunlin read:", err)
		return exitFailed
	}
	for _, r := range list {
		if r.Err != nil {
			fmt.Fprintf(s.err, "dunlin read: %s: %v\n", r.Entity, r.Err)
			code = exitFailed
			continue
		}
		fmt.Fprintf(s.out, "%-20s %v %s\n", r.Entity, r.Value, r.Unit)
	}
	return code
}

// showing writes a line for each transfer: what went out after ">", what came
// in after "<".
func showing(w io.Writer, shown func([]byte) string) sensors.Tracer {
	return func(where string, sent, received []byte, err error) {
		line := where
		if len(sent) > 0 {
			line += " > " + shown(sent)
		}
		if len(received) > 0 && err == nil {
			line += " < " + shown(received)
		}
		if err != nil {
			line += " ! " + err.Error()
		}
		fmt.Fprintln(w, line)
	}
}
