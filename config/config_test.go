package config

import (
	"io/fs"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

// load loads a text that must be correct.
func load(t *testing.T, src string, env ...string) *Config {
	t.Helper()
	c, errs := Load("dunlin.yaml", []byte(src), testTables(), environment(env...))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return c
}

// Examples with drivers that the fake tables have; cmd/dunlin loads all of them
// with the real ones.
func TestExamplesLoad(t *testing.T) {
	for _, name := range []string{"minimal.yaml", "bridge.yaml", "modbus.yaml", "complete.yaml"} {
		t.Run(name, func(t *testing.T) {
			src, err := fs.ReadFile(Examples(), name)
			if err != nil {
				t.Fatal(err)
			}
			c, errs := Load(name, src, testTables(), environment())
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			if errs := c.Runnable(); len(errs) > 0 {
				t.Errorf("Runnable: %v", errs)
			}
		})
	}
}

func TestDefaultServesThisMachineOnly(t *testing.T) {
	c := Default(testTables())
	if c == nil {
		t.Fatal("the defaults are not valid")
	}
	if len(c.MQTT.Listeners) != 1 || c.MQTT.Listeners[0].Bind != "127.0.0.1:1883" || !c.MQTT.Listeners[0].Anonymous {
		t.Errorf("listeners = %+v", c.MQTT.Listeners)
	}
	if errs := c.Runnable(); errs != nil {
		t.Error(errs)
	}
	if c.Node == "" || c.Gateway.Base != "dunlin/"+c.Node {
		t.Errorf("node %q, base %q", c.Node, c.Gateway.Base)
	}
}

func TestAnEmptyFileIsTheDefaults(t *testing.T) {
	for _, src := range []string{"", "# nothing\n", "---\n", "\ufeff", "mqtt:\nbridges:\n"} {
		c, d := load(t, src), Default(testTables())
		c.File, c.root, d.root = "", nil, nil
		if !reflect.DeepEqual(c, d) {
			t.Errorf("%q gives %+v, want %+v", src, c, d)
		}
	}
}

// Entities in a list are those of a mapping, with a name of their own.
func TestEntitiesAsAList(t *testing.T) {
	c := load(t, `
buses: [{id: line, type: modbus_tcp, address: "192.0.2.7:502"}]
devices:
  - name: meter
    driver: modbus
    bus: line
    accept_retained: true
    registers:
      - {name: voltage, address: 0x10, table: input, unit_of_measurement: V, filters: [{delta: 1}]}
      - {name: run, address: 3, interval: 60s}
    entities:
      limit: {address: 7}
`)
	d := c.Devices[0]
	if len(d.Entities) != 3 {
		t.Fatalf("entities %+v", d.Entities)
	}
	limit, voltage, run := d.Entities[0], d.Entities[1], d.Entities[2]
	if r := voltage.Options.(*fakeRegister); voltage.Name != "voltage" || voltage.Unit != "V" || len(voltage.Filters) != 1 || r.Address != 0x10 || r.Table != "input" || r.Scale != 1 {
		t.Errorf("voltage %+v %+v", voltage, r)
	}
	if r := run.Options.(*fakeRegister); run.Name != "run" || !run.AcceptRetained || r.Interval != time.Minute || run.Path != "devices[0].registers[1]" {
		t.Errorf("run %+v %+v", run, r)
	}
	if r := limit.Options.(*fakeRegister); limit.Name != "limit" || r.Address != 7 {
		t.Errorf("limit %+v %+v", limit, r)
	}
}

func TestDriverOptionsAreBoundByTheirTypes(t *testing.T) {
	c := load(t, `
devices:
  - name: a
    driver: gpio_in
    line: GPIO17
    debounce: 1h30m
    active_low: true
  - {name: b, driver: gpio_out, line: {chip: gpiochip0, offset: 0x1B}, failsafe: {after: 30s, state: inactive}}
  - name: c
    driver: lines
    port: {usb: {vid: 0403, pid: "6001"}, baud: 115200}
    columns: one
    send: {a: 1, b: true, c: text}
  - name: d
    driver: sim
    seed: -7
    small: 255
    level: 1.5e3
    waves: {x: {mean: 20, period: 10m}}
    extra: {n: 1, s: "1", l: [true, 0.5]}
`)
	line := func(i int) fakeGPIO { return *c.Devices[i].Options.(*fakeGPIO) }
	if a := line(0); a.Line.Name != "GPIO17" || a.Debounce != 90*time.Minute || !a.ActiveLow || a.Bias != "as_is" {
		t.Errorf("gpio_in = %+v", a)
	}
	if b := line(1); b.Line != (fakeLine{Chip: "gpiochip0", Offset: 27}) || b.Failsafe.After != 30*time.Second {
		t.Errorf("gpio_out = %+v", b)
	}
	lines := c.Devices[2].Options.(*fakeLines)
	if lines.Port.USB.VID != "0403" || lines.Port.Baud != 115200 || lines.Port.DTR != "keep" {
		t.Errorf("port = %+v: an unquoted 0403 stays as it was written", lines.Port)
	}
	if !reflect.DeepEqual(lines.Columns, []string{"one"}) || !reflect.DeepEqual(lines.Send, map[string]string{"a": "1", "b": "true", "c": "text"}) {
		t.Errorf("lines = %+v", lines)
	}
	sim := c.Devices[3].Options.(*fakeSim)
	if sim.Seed != -7 || sim.Small != 255 || *sim.Level != 1500 || sim.Waves["x"] != (fakeWave{20, 10 * time.Minute}) {
		t.Errorf("sim = %+v", sim)
	}
	if want := map[string]any{"n": int64(1), "s": "1", "l": []any{true, 0.5}}; !reflect.DeepEqual(sim.Extra, want) {
		t.Errorf("extra = %#v, want %#v", sim.Extra, want)
	}
}

func TestFiltersTakeAllTheirForms(t *testing.T) {
	c := load(t, `
devices:
  - name: a
    driver: system
    entities:
      load:
        unit_of_measurement: "%"
        filters:
          - delta: 0.5
          - median: {window_size: 7}
          - median
          - calibrate_linear: [0.0 -> 0.4, 25.0 -> 25.1]
      other:
`)
	e := c.Devices[0].Entities
	if len(e) != 2 || e[0].Name != "load" || e[0].Unit != "%" || e[1].Name != "other" {
		t.Fatalf("entities = %+v", e)
	}
	want := []any{&fakeDelta{0.5}, &fakeMedian{7}, &fakeMedian{5}, &fakeCalibrate{[]fakePair{{0, 0.4}, {25, 25.1}}}}
	for i, f := range e[0].Filters {
		if !reflect.DeepEqual(f.Options, want[i]) {
			t.Errorf("filter %d %s = %+v, want %+v", i, f.Name, f.Options, want[i])
		}
	}
}

func TestDevicesInheritTheGatewaysDefaults(t *testing.T) {
	c := load(t, `
devices:
  - {name: a, driver: system}
  - {name: b, driver: system, interval: 5m, qos: 0, will_delay: 0s}
gateway: {defaults: {interval: 10s, qos: 2}, payload: json}
`)
	a, b := c.Devices[0], c.Devices[1]
	if a.Interval != 10*time.Second || a.StaleAfter != 90*time.Second || a.QoS != 2 || a.Payload != "json" || a.WillDelay != 5*time.Second {
		t.Errorf("a = %+v", a)
	}
	if b.StaleAfter != 15*time.Minute || b.QoS != 0 || b.WillDelay != 0 {
		t.Errorf("b = %+v: stale_after is at least three intervals", b)
	}
}

func TestTemplatesAndRoutes(t *testing.T) {
	c := load(t, `
node: barn-1
bridges:
  z: {servers: ["mqtt://z.example"], out: [{from: "dunlin/{node}/+/#"}]}
  a:
    servers: mqtts://a.example:8883
    client_id: "gw-{node}"
    out: [{from: "e/+", to: "sites/{node}/e/+", qos: 0, while_offline: {mean: 1m}}]
    in: [{from: "x/#"}]
`)
	z, a := c.Bridges[0], c.Bridges[1]
	if z.Name != "z" || z.ClientID != "barn-1" || z.StatusTopic != "dunlin/barn-1/status" || z.Out[0].To != "dunlin/barn-1/+/#" || z.Out[0].QoS != 2 {
		t.Errorf("z = %+v", z)
	}
	if a.ClientID != "gw-barn-1" || a.Out[0].To != "sites/barn-1/e/+" || a.Out[0].QoS != 0 || a.In[0].To != "x/#" || len(a.Servers) != 1 {
		t.Errorf("a = %+v", a)
	}
	if w := a.Out[0].WhileOffline; w.Keep != "mean" || w.Mean != time.Minute {
		t.Errorf("while_offline = %+v", w)
	}
}

func TestListenersAreOpenOnlyToThisMachineUnlessTheySaySo(t *testing.T) {
	for _, tc := range []struct {
		src       string
		anonymous bool
	}{
		{`mqtt: {listeners: [{bind: "127.0.0.1:1883"}]}`, true},
		{`mqtt: {listeners: [{bind: "[::1]:1883"}]}`, true},
		{`mqtt: {listeners: [{bind: "unix:/run/d.sock"}]}`, true},
		{`mqtt: {listeners: [{bind: ":1883"}]}`, false},
		{`mqtt: {listeners: [{bind: "192.0.2.1:1883"}]}`, false},
		{`mqtt: {listeners: [{bind: ":1883", anonymous: true}]}`, true},
		{`mqtt: {listeners: [{bind: "127.0.0.1:1883", anonymous: false}]}`, false},
		{"auth: {admins: [a]}\nmqtt: {listeners: [{bind: \"127.0.0.1:1883\"}]}", false},
	} {
		c := load(t, tc.src)
		if got := c.MQTT.Listeners[0].Anonymous; got != tc.anonymous {
			t.Errorf("%s: anonymous = %v", tc.src, got)
		}
		if runnable := c.Runnable() == nil; runnable != tc.anonymous {
			t.Errorf("%s: runnable = %v", tc.src, runnable)
		}
	}
}

func TestListenerLimitsStartFromTheCommonOnes(t *testing.T) {
	c := load(t, `mqtt: {listeners: [{bind: ":1", limits: {connections: 5}}], limits: {topic_levels: 3}}`)
	if l := c.MQTT.Listeners[0].Limits; l.Connections != 5 || l.TopicLevels != 3 {
		t.Errorf("limits = %+v", l)
	}
}

func TestListenerFeaturesStartFromTheCommonOnes(t *testing.T) {
	c := load(t, `mqtt: {listeners: [{bind: ":1", features: {max_qos: 1}}], features: {retain: false}}`)
	if f := c.MQTT.Listeners[0].Features; f.MaxQoS != 1 || f.Retain || !f.Shared {
		t.Errorf("features = %+v", f)
	}
}

func TestAnchorsMergeKeysAndExtensions(t *testing.T) {
	c := load(t, `
x-slow: &slow {interval: 10m, qos: 0}
devices:
  - {<<: *slow, name: a, driver: system, qos: 1}
  - {<<: [*slow], name: b, driver: system}
`)
	if a, b := c.Devices[0], c.Devices[1]; a.Interval != 10*time.Minute || a.QoS != 1 || b.QoS != 0 {
		t.Errorf("a = %+v, b = %+v", a, b)
	}
}

func TestPathsAreRelativeToTheirFile(t *testing.T) {
	c, errs := Load(filepath.FromSlash("/etc/dunlin/dunlin.yaml"), []byte("auth: {users_file: users}\ndata_dir: /srv/d\n"), testTables(), environment())
	if len(errs) > 0 || c.Auth.UsersFile != "/etc/dunlin/users" || c.DataDir != "/srv/d" {
		t.Errorf("%+v %v", c, errs)
	}
}

func TestDataDirectory(t *testing.T) {
	for want, env := range map[string][]string{
		"/var/lib/dunlin":             nil,
		"/var/lib/x":                  {"STATE_DIRECTORY=/var/lib/x:/var/lib/y", "HOME=/home/u"},
		"/s/dunlin":                   {"XDG_STATE_HOME=/s", "HOME=/home/u"},
		"/home/u/.local/state/dunlin": {"HOME=/home/u"},
	} {
		if c := load(t, "", env...); string(c.DataDir) != want {
			t.Errorf("%v gives %s, want %s", env, c.DataDir, want)
		}
	}
}

func TestErrorfPointsAtTheValueOrItsOwner(t *testing.T) {
	c := load(t, "devices:\n  - name: a\n    driver: system\n")
	for path, want := range map[string][2]int{
		"devices[0].name":    {2, 11},
		"devices[0].address": {2, 5},
		"devices[7].name":    {1, 1},
		"log.level":          {1, 1},
	} {
		if e := c.Errorf(path, "", "wrong"); e.Line != want[0] || e.Column != want[1] {
			t.Errorf("%s is at %d:%d, want %v", path, e.Line, e.Column, want)
		}
	}
}

func TestTestTablesCanBeBound(t *testing.T) {
	if err := testTables().Check(); err != nil {
		t.Error(err)
	}
	bad := Tables{Drivers: map[string]Driver{"x": {Options: func() any {
		return &struct {
			C chan int `yaml:"c"`
		}{}
	}}}}
	if bad.Check() == nil {
		t.Error("a channel was accepted")
	}
}
