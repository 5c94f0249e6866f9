//go:build linux

package main

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/sensors/bus"
)

// panel is hardware with a GPIO line of ours for each name.
type panel struct {
	*bus.Buses
	lines map[string]*panelLine
}

// panelLine is an output that remembers its levels and when they came.
type panelLine struct {
	gpioLine
	changed chan time.Time // when the level went from active to inactive
}

func newPanel(t *testing.T, names ...string) *panel {
	p := &panel{Buses: newFakeBuses(t).Buses, lines: map[string]*panelLine{}}
	for _, n := range names {
		p.lines[n] = &panelLine{changed: make(chan time.Time, 1000)}
	}
	return p
}

// Line implements sensors.Buses.
func (p *panel) Line(o sensors.LineOptions) (sensors.Line, error) {
	l := p.lines[o.Name]
	return l, l.gpioLine.Write(o.Initial)
}

func (l *panelLine) Write(active bool) error {
	if was, _ := l.Read(); was && !active {
		l.changed <- time.Now()
	}
	return l.gpioLine.Write(active)
}

// seen returns every level that the line has had.
func (l *panelLine) seen() []bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.levels)
}

// publish says PUBLISH at QoS 0.
func publishTo(nc net.Conn, topic, payload string) error {
	body := string([]byte{byte(len(topic) >> 8), byte(len(topic))}) + topic + payload
	_, err := io.WriteString(nc, "\x30"+string([]byte{byte(len(body))})+body)
	return err
}

const panelConfig = `
node: n
mqtt: {listeners: [{bind: "127.0.0.1:0", anonymous: true}], limits: {connections: 2000, connect_rate: 0/s}}
log: {level: error}
devices:
  - {name: tank, driver: sim, interval: 100ms, stale_after: 1m, entities: {level: {signal: sine, min: 5, max: 5}}}
  - {name: heater, driver: gpio_out, line: HEATER, require: "tank.level > 10"}
  - {name: pump, driver: gpio_out, line: PUMP, require: "tank.level < 10"}
  - {name: fan, driver: gpio_out, line: FAN, failsafe: {state: inactive, after: 1s, without: client boss}}
`

// TestOutputsUnderLoad: a crowd of clients commands an output that an interlock
// forbids, one that it allows, and one whose controller is killed meanwhile.
func TestOutputsUnderLoad(t *testing.T) {
	crowd := times(t, "OUTPUT_CLIENTS", 50)
	p := newPanel(t, "HEATER", "PUMP", "FAN")
	address, g, _ := startGateway(t, panelConfig, deps{buses: p, volatile: true, log: slog.New(slog.DiscardHandler)})
	for limit := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		online := 0
		for _, s := range g.sensors.Status() {
			if s.Health.State == sensors.Online {
				online++
			}
		}
		if online == 4 {
			break
		}
		if time.Now().After(limit) {
			t.Fatal("the devices never came online")
		}
	}
	t.Run("power-on: the line has its initial state and no other", func(t *testing.T) {
		for name, l := range p.lines {
			if got := l.seen(); !slices.Equal(got, []bool{false}) {
				t.Errorf("%s: %v", name, got)
			}
		}
	})
	var sent atomic.Uint64
	var all sync.WaitGroup
	over := make(chan struct{})
	var clients []net.Conn
	for i := range crowd {
		clients = append(clients, mqttClient(t, dialTCP(t, address), fmt.Sprint("client", i)))
	}
	for _, nc := range clients {
		all.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-over:
					return
				case <-time.After(time.Duration(crowd) * 200 * time.Microsecond):
				}
				word := []string{"ON", "1", `{"state":"ON","on_for":"5s"}`, "TOGGLE"}[n%4]
				if publishTo(nc, "dunlin/n/heater/output/set", word) != nil || publishTo(nc, "dunlin/n/pump/output/set", "ON") != nil {
					return
				}
				sent.Add(2)
			}
		})
	}
	t.Run("the controller is killed: the line is at fail-safe in its time", func(t *testing.T) {
		best := time.Hour
		for range 4 {
			boss := mqttClient(t, dialTCP(t, address), "boss")
			on, limit := false, time.Now().Add(20*time.Second)
			for !on {
				if err := publishTo(boss, "dunlin/n/fan/output/set", "ON"); err != nil || time.Now().After(limit) {
					t.Fatal("the fan does not obey", err)
				}
				time.Sleep(5 * time.Millisecond)
				on, _ = p.lines["FAN"].Read()
			}
			killed := time.Now()
			boss.Close()
			select {
			case at := <-p.lines["FAN"].changed:
				took := at.Sub(killed)
				t.Logf("inactive %v after the end of its controller", took)
				if took < time.Second {
					t.Fatal("too early")
				}
				best = min(best, took)
			case <-time.After(20 * time.Second):
				t.Fatal("never inactive")
			}
			if best < 1200*time.Millisecond {
				break // a busy machine may spoil a try
			}
		}
		if best > 1200*time.Millisecond {
			t.Errorf("the best of four was %v, want 1s and at most 0.2s more", best)
		}
	})
	close(over)
	all.Wait()
	t.Logf("%d clients sent %d commands", crowd, sent.Load())
	if got := p.lines["HEATER"].seen(); slices.Contains(got, true) {
		t.Errorf("a forbidden command reached the line: %d levels", len(got))
	}
	if !slices.Contains(p.lines["PUMP"].seen(), true) {
		t.Error("no allowed command reached its line")
	}
	refused := uint64(0)
	for _, s := range g.sensors.Status() {
		if s.Name == "heater" {
			refused = s.Health.Refused
		}
	}
	if refused == 0 {
		t.Error("no command was refused by the interlock: the test shows nothing")
	}
}

func TestCheckOfOutputs(t *testing.T) {
	for name, tc := range map[string]struct{ devices, want string }{
		"unknown device":     {`{name: a, driver: gpio_out, line: A, require: "tnk.level > 10"}`, `4:50: require: there is no device "tnk"`},
		"mutual exclusion":   {`{name: a, driver: gpio_out, line: A, require: "b.output == OFF"}, {name: b, driver: gpio_out, line: B, require: "a.output != ON"}`, ""},
		"a way out":          {`{name: a, driver: gpio_out, line: A, require: "b.output == ON or tank.level > 1"}, {name: b, driver: gpio_out, line: B, require: "a.output == ON"}, {name: tank, driver: sim, entities: {level: {}}}`, ""},
		"a circle":           {`{name: a, driver: gpio_out, line: A, require: "b.output == ON"}, {name: b, driver: gpio_out, line: B, require: "a.output == ON"}`, "a.output can never be switched on"},
		"itself":             {`{name: a, driver: gpio_out, line: A, require: "a.output == ON"}`, "a.output can never be switched on"},
		"no number":          {`{name: a, driver: gpio_out, line: A, require: "a.x > full"}`, `"full" after > is not a number, ON or OFF`},
		"at once active":     {`{name: a, driver: gpio_out, line: A, initial: active, require: "a.x > 1"}`, "start inactive"},
		"nobody":             {`{name: a, driver: gpio_out, line: A, failsafe: {state: inactive, after: 1s, without: me}}`, "neither client NAME nor heartbeat TOPIC"},
		"no time":            {`{name: a, driver: gpio_out, line: A, failsafe: {state: inactive, without: heartbeat}}`, "is missing, as 30s"},
		"no topic":           {`{name: a, driver: gpio_out, line: A, failsafe: {state: inactive, after: 1s, without: "heartbeat a/+"}}`, "wildcard in a Topic Name"},
		"a register":         {`{name: a, driver: modbus, bus: m, registers: [{name: r, address: 1, table: coil, writable: true, require: "z.x > 1"}]}`, `there is no device "z"`},
		"a number's max_on":  {`{name: a, driver: modbus, bus: m, registers: [{name: r, address: 1, writable: true, max_on: 1s}]}`, "a number is neither on nor off"},
		"a read-only output": {`{name: a, driver: modbus, bus: m, registers: [{name: r, address: 1, require: "a.r > 1"}]}`, "what cannot be written obeys nothing"},
		"a line command":     {`{name: a, driver: lines, port: {path: /dev/x}, entities: {v: {}}, commands: {c: {send: "{{1|0}}", require: "z.x > 1"}}}`, `there is no device "z"`},
		"a disabled value":   {`{name: a, driver: gpio_out, line: A, require: "t.level > 1"}, {name: t, driver: sim, entities: {level: {disabled: true}}}`, "require: t.level is disabled"},
		"a disabled output":  {`{name: a, driver: gpio_out, line: A, entities: {output: {disabled: true}}}`, "disabled: output is an output"},
		"no such entity":     {`{name: a, driver: bme280, bus: "1", entities: {temprature: {filters: [{delta: 1}]}}}`, "4:51: device a: entities.temprature: a bme280 measures"},
		"a supply":           {`{name: a, driver: sim, power: {line: GPIO22, off: 2h}}`, "off must be at most 1m"},
		"its fail-safe":      {`{name: a, driver: lines, port: {path: /dev/x}, entities: {v: {}}, commands: {c: {platform: number, send: "{{payload}}", failsafe: {state: inactive, after: 1s, without: heartbeat}}}}`, "is not a number"},
	} {
		file := filepath.Join(t.TempDir(), "dunlin.yaml")
		text := "mqtt: {listeners: [{bind: \"127.0.0.1:0\", anonymous: true}]}\nbuses: [{id: m, type: modbus_tcp, address: \"127.0.0.1:1\"}]\ndevices:\n  [" + tc.devices + "]\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, e := range checkFile(file).errors {
			got += fmt.Sprintf("%d:%d: %s\n", e.Line, e.Column, e.Msg)
		}
		if tc.want == "" && got != "" || !strings.Contains(got, tc.want) {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

// A line or port that two devices name is busy for one of them for ever.
func TestCheckOfTwins(t *testing.T) {
	for devices, want := range map[string]string{
		`{name: a, driver: gpio_out, line: A}, {name: b, driver: pulse, line: {chip: c, offset: 1}}, {name: c, driver: gpio_in, line: A}`: "line A is that of device a too",
		`{name: a, driver: nmea, port: {path: /dev/x}}, {name: b, driver: dsmr, port: {path: /dev/x, baud: 9600}}`:                        "port /dev/x is that of device a too",
		`{name: a, driver: nmea, port: {path: /dev/x}}, {name: b, driver: nmea, port: {usb: {serial: A1}}}`:                               "",
	} {
		file := filepath.Join(t.TempDir(), "dunlin.yaml")
		if err := os.WriteFile(file, []byte("mqtt: {listeners: [{bind: \"127.0.0.1:0\", anonymous: true}]}\ndevices: ["+devices+"]\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, e := range checkFile(file).warnings {
			got += e.Msg
		}
		if got != want {
			t.Errorf("%s: %q, want %q", devices, got, want)
		}
	}
}
