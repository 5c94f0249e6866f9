//go:build linux

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"periph.io/x/conn/v3/i2c"

	"github.com/dunlin-mqtt/dunlin/cmd/dunlin/internal/scan"
	"github.com/dunlin-mqtt/dunlin/config"
	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/sensors/bus"
	"github.com/dunlin-mqtt/dunlin/sensors/chipsim"
	"github.com/dunlin-mqtt/dunlin/serial/modbus/modbustest"
	"github.com/dunlin-mqtt/dunlin/serial/serialtest"
)

// simulated is a machine with chip models on bus 1 and files of the kernel.
type simulated struct {
	*bus.Buses
	wires *chipsim.Bus
	guard *bus.Guard // on wires
	root  string
}

func (m *simulated) I2C(id string) (i2c.Bus, error) {
	if id != "1" {
		return nil, &sensors.Fault{Reason: sensors.NotFound, Err: errors.New("no such bus")}
	}
	return m.guard, nil
}

func (m *simulated) Root() string { return m.root }

func newSimulated(t *testing.T) *simulated {
	t.Helper()
	m := &simulated{wires: &chipsim.Bus{}, root: t.TempDir()}
	b, err := bus.New(nil, m.root)
	if err != nil {
		t.Fatal(err)
	}
	m.Buses, m.guard = b, bus.NewGuard("1", m.wires, time.Minute)
	t.Cleanup(func() { m.guard.Close() })
	m.wires.Plug(0x76, chipsim.NewBME280(0x60, chipsim.Typical()))
	m.wires.Plug(0x48, chipsim.NewADS1115())
	for name, content := range map[string]string{
		"sys/class/i2c-dev/i2c-1/name": "bcm2835", "sys/class/hwmon/hwmon0/name": "cpu_thermal", "sys/class/hwmon/hwmon0/temp1_input": "42500",
	} {
		p := filepath.Join(m.root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// What --yaml prints is a configuration that dunlin check accepts, that runs,
// and after which nothing is new.
func TestScanWritesAConfigurationThatRuns(t *testing.T) {
	m := newSimulated(t)
	f := &scanFlags{root: m.root, yaml: true, i2c: m.I2C}
	var text strings.Builder
	if err := f.scan(t.Context(), config.Default(tables()), scan.Line{}, &text); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "dunlin.yaml")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, stderr := runTool(t, "check", file); code != exitDone || !strings.Contains(out, "3 devices") {
		t.Fatalf("check: code %d, %s%s of\n%s", code, out, stderr, &text)
	}
	_, g, _ := startGateway(t, "mqtt: {listeners: [{bind: \"127.0.0.1:0\", anonymous: true}]}\n"+text.String(), deps{buses: m})
	until(t, "every device is online", func() bool {
		online := 0
		for _, s := range g.sensors.Status() {
			if s.Health.State == sensors.Online {
				online++
			}
		}
		return online == 3
	})
	var again strings.Builder
	if err := f.scan(t.Context(), load(t, text.String()), scan.Line{}, &again); err != nil || again.String() != "devices: []\n" {
		t.Errorf("the second time: %v\n%s", err, &again)
	}
}

// Ports are used by whatever names their adapter, in whatever socket it is.
func TestScanKnowsWhoUsesAPort(t *testing.T) {
	tree := serialtest.NewTree(t)
	tree.Plug(serialtest.Adapter{Name: "ttyUSB0", PortPath: "1-1.3", Interface: "00", VID: "0403", PID: "6001", Serial: "A50285BI"}, "")
	tree.Plug(serialtest.Adapter{Name: "ttyUSB1", PortPath: "1-1.4", Interface: "00", VID: "067b", PID: "2303"}, "")
	cfg := load(t, `
buses:
  - {id: line, type: modbus_rtu, port: {usb: {vid: "0403", pid: "6001", serial: A50285BI}}}
  - {id: adc, type: spi, path: /dev/spidev0.0}
devices:
  - {name: scale, driver: lines, port: {usb: {vid: "067b", pid: "2303"}}, format: json, entities: {weight: {}}}
  - {name: meter, driver: modbus, bus: line, unit: 1, registers: [{name: v, address: 0}]}
`)
	used := usedBy(cfg, tree.Root())
	for where, who := range map[string]string{"/dev/ttyUSB0": "bus line", "/dev/ttyUSB1": "scale", "/dev/spidev0.0": "bus adc"} {
		if used[where] != who {
			t.Errorf("%s is used by %q, want %q", where, used[where], who)
		}
	}
}

func TestScanCommand(t *testing.T) {
	m := newSimulated(t)
	if err := os.RemoveAll(filepath.Join(m.root, "sys/class/i2c-dev")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DUNLIN_CONFIG", filepath.Join(t.TempDir(), "none.yaml"))
	for flag, want := range map[string]string{
		"--all": "hwmon   cpu_thermal", "--yaml": "- {name: cpu_thermal, driver: hwmon", "--json": `{"items":[{"kind":"hwmon","where":"cpu_thermal"`,
	} {
		if code, out, stderr := runTool(t, "scan", "--root", m.root, flag); code != exitDone || !strings.Contains(out, want) {
			t.Errorf("%s: code %d, %s%s", flag, code, out, stderr)
		}
	}
	for _, args := range [][]string{{"x"}, {"--yaml", "--json"}, {"--units", "9-3"}, {"--units", "x"}, {"--baud", "9600,fast"}} {
		if code, _, _ := runTool(t, append([]string{"scan"}, args...)...); code != exitUsage {
			t.Errorf("%q: code %d", args, code)
		}
	}
	if code, _, stderr := runTool(t, "scan", "--modbus", filepath.Join(m.root, "dev/ttyUSB0")); code != exitFailed || !strings.Contains(stderr, "ttyUSB0") {
		t.Errorf("a port that is not there: code %d, %s", code, stderr)
	}
}

// modbusServer is a unit 3 in the network.
func modbusServer(t *testing.T) (address string) {
	t.Helper()
	u := &modbustest.Units{}
	u.Set(3, modbustest.Holding, 0, 1234)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go u.ServeTCP(c)
		}
	}()
	return l.Addr().String()
}

// A scan of a Modbus server writes a configuration whose device can be read.
func TestScanAndReadModbus(t *testing.T) {
	address := modbusServer(t)
	t.Setenv("DUNLIN_SOCKET", filepath.Join(t.TempDir(), "nobody"))
	code, out, stderr := runTool(t, "scan", "--modbus", address, "--units", "3", "--yaml")
	if code != exitDone {
		t.Fatal(stderr)
	}
	file := filepath.Join(t.TempDir(), "dunlin.yaml")
	if err := os.WriteFile(file, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`name: (\w+),`).FindStringSubmatch(out)
	if name == nil {
		t.Fatal(out)
	}
	code, out, stderr = runTool(t, "read", name[1], "-c", file, "-v")
	if code != exitDone || !regexp.MustCompile(`^first +1234 \n$`).MatchString(out) {
		t.Errorf("read: code %d, %q, %s", code, out, stderr)
	}
	if want := address + ` > [0-9a-f]{4}0000000603030000000[0-9a-f]`; !regexp.MustCompile(want).MatchString(stderr) || !strings.Contains(stderr, "04d2") {
		t.Errorf("-v shows %s", stderr)
	}
}

// The same over a serial line, whose speed is found out.
func TestScanModbusOverASerialLine(t *testing.T) {
	u, pty := &modbustest.Units{}, serialtest.Pty(t)
	u.Set(2, modbustest.Input, 0, 7)
	go u.ServeRTU(pty)
	code, out, stderr := runTool(t, "scan", "--modbus", pty.Path(), "--units", "1-3", "--baud", "115200,9600")
	if code != exitDone || !regexp.MustCompile(`modbus  `+pty.Path()+` unit 2 +unit, (115200|9600) baud, parity (none|even) new: driver modbus`).MatchString(out) || strings.Count(out, "new:") != 1 {
		t.Errorf("code %d, %s%s", code, out, stderr)
	}
}

func TestReadRefusesAndFails(t *testing.T) {
	startAPI(t) // whose device tank the gateway holds
	file := filepath.Join(t.TempDir(), "dunlin.yaml")
	text := fmt.Sprintf(`
node: barn
buses: [{id: roof, type: modbus_tcp, address: %q, timeout: 100ms}]
devices:
  - {name: tank, driver: sim}
  - {name: other, driver: sim}
  - {name: heater, driver: gpio_out, line: GPIO27}
  - {name: away, driver: hwmon, match: {name: [nothing]}}
  - {name: silent, driver: modbus, bus: roof, unit: 9, registers: [{name: v, address: 0}]}
`, modbusServer(t))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		device string
		code   int
		says   string
	}{
		{"tank", exitFailed, "the running gateway holds tank, which is "},
		{"heater", exitUsage, "heater is an output"},
		{"tnak", exitUsage, `there is no device "tnak", did you mean tank?`},
		{"away", exitFailed, "not_found: there is no hwmon at all"},
		{"silent", exitFailed, "timeout: unit 9"},
	} {
		if code, out, stderr := runTool(t, "read", tc.device, "-c", file, "--root", t.TempDir()); code != tc.code || !strings.Contains(stderr, tc.says) {
			t.Errorf("%s: code %d, %s%s", tc.device, code, out, stderr)
		}
	}
	if code, out, stderr := runTool(t, "read", "other", "-c", file); code != exitDone || out == "" {
		t.Errorf("other: code %d, %q, %s", code, out, stderr)
	}
	if code, _, _ := runTool(t, "read"); code != exitUsage {
		t.Errorf("no device: code %d", code)
	}
}

// -v shows what is read of files and programs too.
func TestReadShowsFilesAndPrograms(t *testing.T) {
	root := newSimulated(t).root
	t.Setenv("DUNLIN_SOCKET", filepath.Join(t.TempDir(), "nobody"))
	file := filepath.Join(t.TempDir(), "dunlin.yaml")
	text := `
node: barn
devices:
  - {name: cpu, driver: hwmon}
  - {name: wind, driver: exec, command: [/bin/echo, '{"wind":3}']}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for device, want := range map[string]string{
		"cpu":  root + "/sys/class/hwmon/hwmon0/temp1_input < \"42500\\n\"",
		"wind": "exec > \"/bin/echo {\\\"wind\\\":3}\"\nstdout < \"{\\\"wind\\\":3}\\n\"\n",
	} {
		code, out, stderr := runTool(t, "read", device, "-c", file, "--root", root, "-v")
		if code != exitDone || out == "" || !strings.Contains(stderr, want) {
			t.Errorf("read %s: code %d, %q, %s", device, code, out, stderr)
		}
	}
}
