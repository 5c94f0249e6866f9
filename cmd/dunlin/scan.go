package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/flags"
	"periph.io/x/conn/v3/i2c"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/scan"
	"github.com/dunlin-mqtt/dunlin/config"
	"github.com/dunlin-mqtt/dunlin/sensors/bus"
	"github.com/dunlin-mqtt/dunlin/sensors/drivers"
	"github.com/dunlin-mqtt/dunlin/serial"
	"github.com/dunlin-mqtt/dunlin/serial/modbus"
)

const scanHelp = `Usage: dunlin scan [--bus i2c-N] [--all] [--modbus PORT|HOST:PORT] [--yaml|--json]

Lists the hardware of this machine that dunlin can read: I2C chips with what
they are, chips that the kernel reads (hwmon, IIO, 1-Wire), serial ports with
their identity, GPIO lines, SPI chip selects, and on request the units of a
Modbus line with their speed. It reads and changes nothing, and says what it
did not touch. Chips of configured devices are left alone.

Examples:
  dunlin scan
  dunlin scan --yaml | sudo tee /etc/dunlin/conf.d/sensors.yaml
  dunlin scan --bus i2c-20 --all
  dunlin scan --modbus /dev/ttyUSB0 --baud 9600,19200 --units 1-32

Exit codes: 0 done, 1 failed, 2 wrong usage.
`

// scanFlags is what the command line says.
type scanFlags struct {
	root, config, bus, modbus, bauds, units string
	all, yaml, json                         bool
	i2c                                     func(number string) (i2c.Bus, error) // nil: that of the kernel
	tried                                   func()                               // called after the last unit of Modbus
}

func runScan(ctx context.Context, args []string, s streams) int {
	fs := flags.New("scan")
	f := &scanFlags{}
	fs.StringVarP(&f.config, "config", "c", "", "configuration `file` whose devices are left alone")
	fs.StringVar(&f.bus, "bus", "", "look at this I2C `bus` only, as i2c-1")
	fs.BoolVar(&f.all, "all", false, "also the machine's own buses, and memories")
	fs.StringVar(&f.modbus, "modbus", "", "ask this `port` or host:port for Modbus units, and nothing else")
	fs.StringVar(&f.bauds, "baud", "9600,19200,38400,115200", "`speeds` to try with --modbus")
	fs.StringVar(&f.units, "units", "1-16", "`units` to ask with --modbus")
	fs.BoolVar(&f.yaml, "yaml", false, "print a configuration of what is new")
	fs.BoolVar(&f.json, "json", false, "print JSON")
	fs.StringVar(&f.root, "root", "/", "`directory` with /dev, /proc and /sys")
	if code, done := parseFlags(fs, args, s, func(w io.Writer) { printHelp(w, scanHelp, fs) }); done {
		return code
	}
	line, err := f.line()
	switch {
	case fs.NArg() > 0:
		return usageError(s, "scan", "takes no arguments")
	case f.yaml && f.json:
		return usageError(s, "scan", "--yaml or --json, not both")
	case err != nil:
		return usageError(s, "scan", err.Error())
	}
	cfg := config.Default(tables())
	if file, found := configPath(f.config); found {
		if loaded, _ := config.LoadFile(file, tables(), os.LookupEnv); loaded != nil {
			cfg = loaded
		} else {
			fmt.Fprintf(s.err, "dunlin scan: %s has mistakes: chips of its devices are looked at too\n", file)
		}
	}
	m := newMeter(s, func(n int64) string { return strconv.FormatInt(n, 10) }, int64(line.Tries()))
	line.Tried, f.tried = func() { m.add(1) }, m.end
	if err := f.scan(ctx, cfg, line, s.out); err != nil {
		fmt.Fprintln(s.err, "dunlin scan:", err)
		if errors.Is(err, context.Canceled) {
			return exitInterrupted
		}
		return exitFailed
	}
	return exitDone
}

// look finds what there is.
func (f *scanFlags) look(ctx context.Context, cfg *config.Config, line scan.Line) (*scan.Report, error) {
	report := &scan.Report{Items: []scan.Item{}, Skipped: []string{}}
	if f.modbus != "" {
		if err := report.Modbus(ctx, line); err != nil {
			return nil, err
		}
	} else {
		buses, err := bus.New(nil, f.root)
		if err != nil {
			return nil, err
		}
		defer buses.Close()
		if f.i2c == nil {
			f.i2c = buses.I2C
		}
		known := drivers.Table()
		report = scan.Run(ctx, scan.Options{
			Root: f.root, I2C: f.i2c, GPIO: bus.GPIO, Used: usedBy(cfg, f.root), Bus: f.bus, All: f.all,
			Driver: func(name string) bool { return known[name].New != nil },
		})
	}
	taken := map[string]bool{}
	for _, d := range cfg.Devices {
		taken[d.Name] = true
	}
	report.Configure(taken)
	return report, nil
}

func (f *scanFlags) scan(ctx context.Context, cfg *config.Config, line scan.Line, w io.Writer) error {
	report, err := f.look(ctx, cfg, line)
	if f.tried != nil {
		f.tried()
	}
	if err != nil {
		return err
	}
	switch {
	case f.json:
		return json.NewEncoder(w).Encode(report)
	case f.yaml:
		_, err := io.WriteString(w, report.YAML)
		return err
	}
	return report.WriteText(w)
}

// unitRange reads "1-16" or "7".
func unitRange(text string) (first, last int, err error) {
	low, high, found := strings.Cut(text, "-")
	if !found {
		high = low
	}
	first, err1 := strconv.Atoi(low)
	last, err2 := strconv.Atoi(high)
	if err1 != nil || err2 != nil || first < 0 || last > 255 || last < first {
		return 0, 0, fmt.Errorf("--units %s: units are 1 to 247, as 1-32", text)
	}
	return first, last, nil
}

// line is the Modbus line of the flags.
func (f *scanFlags) line() (scan.Line, error) {
	first, last, err := unitRange(f.units)
	if err != nil {
		return scan.Line{}, err
	}
	l := scan.Line{
		Target: f.modbus, Parity: []string{"none", "even"}, Units: [2]int{first, last},
		Options: modbus.Options{Timeout: 150 * time.Millisecond, Turnaround: 10 * time.Millisecond},
	}
	for _, text := range strings.Split(f.bauds, ",") {
		baud, err := strconv.Atoi(text)
		if err != nil || baud < 50 {
			return l, fmt.Errorf("--baud %s: speeds are numbers, as 9600,19200", f.bauds)
		}
		l.Bauds = append(l.Bauds, baud)
	}
	_, _, err = net.SplitHostPort(f.modbus)
	l.TCP = err == nil && !strings.HasPrefix(f.modbus, "/")
	if l.TCP {
		l.Options.Timeout = time.Second
	}
	l.Open = func(baud int, parity string) func(context.Context) (modbus.Conn, error) {
		return func(ctx context.Context) (modbus.Conn, error) {
			if l.TCP {
				d := net.Dialer{Timeout: 5 * time.Second}
				return d.DialContext(ctx, "tcp", f.modbus)
			}
			c := serial.DefaultConfig()
			c.Path, c.Baud, c.Parity, c.Root = f.modbus, baud, parity, f.root
			p, err := serial.Open(c)
			if err != nil {
				return nil, err // not p: a nil port is no nil Conn
			}
			return p, nil
		}
	}
	return l, nil
}

// usedBy says which device uses what, as the scan words it.
func usedBy(cfg *config.Config, root string) map[string]string {
	values := map[string]string{}
	for _, s := range cfg.Flat() {
		values[s.Path] = s.Value
	}
	ports, _ := serial.List(root) // without them none is used
	used := map[string]string{}
	for _, d := range cfg.Devices {
		key := "devices." + d.Name + "."
		address, number := values[key+"address"], values[key+"bus"]
		for _, b := range cfg.Buses {
			if o, ok := b.Options.(*config.I2CBus); ok && b.ID == number {
				number = strings.TrimPrefix(string(o.Path), "/dev/i2c-")
			}
		}
		if n, err := strconv.ParseUint(address, 0, 8); err == nil {
			used[fmt.Sprintf("i2c-%s 0x%02x", number, n)] = d.Name
		}
		used[address] = d.Name // of a thermometer on 1-Wire
		used[portName(ports, values[key+"port.path"], values[key+"port.usb"])] = d.Name
		for _, name := range strings.Fields(strings.Trim(values[key+"match.name"], "[]")) {
			used[name] = d.Name
		}
	}
	for _, b := range cfg.Buses {
		switch o := b.Options.(type) {
		case *config.SPIBus:
			used[string(o.Path)] = "bus " + b.ID
		case *config.ModbusRTU:
			used[portName(ports, string(o.Port.Path), modbusPort(o).USB.String())] = "bus " + b.ID
		}
	}
	delete(used, "")
	return used
}

// portName is where a port is now: path, or the adapter whose identity has every
// word of usb that is not "*"; "" when it is nowhere.
func portName(ports []serial.Info, path, usb string) string {
	if path != "" || usb == "" || usb == "usb" {
		return path
	}
	for _, p := range ports {
		have := " " + strings.ReplaceAll(p.USB.String(), ":", " ") + " "
		same := p.IsUSB()
		for _, word := range strings.FieldsFunc(usb, func(r rune) bool { return r == ' ' || r == ':' }) {
			same = same && (word == "*" || strings.Contains(have, " "+word+" "))
		}
		if same {
			return "/dev/" + p.Name
		}
	}
	return ""
}
