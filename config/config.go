package config

import (
	"cmp"
	"os"
	"reflect"
	"strings"
	"unicode"
)

// Config is the whole configuration: everything has a value, defaults
// included.
type Config struct {
	Node    string   `yaml:"node" doc:"name of this gateway: {node} in topics; default: the host name" ex:"barn-1"`
	DataDir Path     `yaml:"data_dir" doc:"where retained messages, sessions and spools are kept; default: systemd's StateDirectory, else XDG state" ex:"/var/lib/dunlin"`
	Include []string `yaml:"include" doc:"more files to merge, in name order; relative to this file" ex:"[conf.d/*.yaml]"`
	MQTT    MQTT     `yaml:"mqtt" doc:"the MQTT server"`
	Store   Store    `yaml:"store" doc:"what is kept on disk, and when it is written"`
	Memory  Memory   `yaml:"memory" doc:"how much memory may be used"`
	Auth    Auth     `yaml:"auth" doc:"who may connect and what they may do"`
	Gateway Gateway  `yaml:"gateway" doc:"how the gateway's own devices speak"`
	Buses   []Bus    `yaml:"buses" doc:"wires that devices share"`
	Devices []Device `yaml:"devices" doc:"sensors and outputs of this gateway"`
	Bridges []Bridge `yaml:"bridges" named:"Name" doc:"links to other MQTT servers, by name"`
	HTTP    HTTP     `yaml:"http" doc:"page, API and metrics"`
	History History  `yaml:"history" doc:"short history in memory behind the plots"`
	Log     Log      `yaml:"log" doc:"logging"`

	// File is the name of the file that was loaded, "" for the defaults.
	File string `yaml:"-"`
	// Set is what was set over it, as LoadFile got it.
	Set  []string `yaml:"-"`
	root *kept
}

func (c *Config) setDefaults() {
	c.Node = hostName()
	c.MQTT.setDefaults()
	c.Store.setDefaults()
	c.Gateway.setDefaults()
	c.HTTP.setDefaults()
	c.History.setDefaults()
	c.Log.setDefaults()
}

// hostName returns the first label of the host's name, fit for a topic level.
func hostName() string {
	name, _ := os.Hostname()
	name, _, _ = strings.Cut(name, ".")
	name = strings.Map(func(r rune) rune {
		if strings.ContainsRune("/+#${}", r) || !unicode.IsPrint(r) {
			return '-'
		}
		return r
	}, name)
	return cmp.Or(name, "gateway")
}

func (c *Config) check(l *loader) {
	if fault := nameFault(c.Node); fault != "" {
		l.failAt("node", "it becomes a level of every topic: letters, digits and - are safe", "node %s", fault)
	}
	c.MQTT.check(l)
	c.Store.check(l)
	c.Memory.check(l)
	c.Auth.check(l)
	c.Gateway.check(l)
	checkBuses(l, c.Buses)
	checkDevices(l, c)
	checkBridges(l, c.Bridges)
	c.HTTP.check(l)
	c.Log.check(l)
}

// Default returns the configuration without a file: MQTT for this machine
// only, on 127.0.0.1:1883.
func Default(t Tables) *Config {
	c, _ := Load("", nil, t, func(string) (string, bool) { return "", false })
	return c
}

// Errorf returns a finding about a path of the loaded file, as
// devices[2].address: at its value, or at the owner of what is missing.
func (c *Config) Errorf(path, hint, format string, args ...any) Error {
	l := &loader{root: c.root.tree(), cfg: c}
	l.failAt(path, hint, format, args...)
	return l.errs[0]
}

// IsSet reports whether the file, not the defaults, gives the value at path.
func (c *Config) IsSet(path string) bool {
	n := c.root.tree().lookup(path)
	return n != nil && n.kind != null
}

// Driver tells what the keys of one driver are.
type Driver struct {
	Doc string
	// Options returns a pointer to the driver's options, filled with defaults.
	Options func() any
	// Entity returns a pointer to the options of one entity, with defaults;
	// nil, or a func that returns nil, when there are none.
	Entity func() any
	// EntityList is the key under which entities may stand as a list too, "" for
	// none.
	EntityList string
}

// Filter tells what the keys of one filter are.
// A type with UnmarshalText takes the scalar form, a slice field tagged
// `yaml:",list"` the list form.
type Filter struct {
	Doc     string
	Options func() any
}

// Tables are the drivers and filters that a configuration may name.
type Tables struct {
	Drivers map[string]Driver
	Filters map[string]Filter
}

func entityOptions(d Driver) any {
	if d.Entity == nil {
		return nil
	}
	return d.Entity()
}

// pointee returns the struct behind what a table's func returned.
func pointee(options any) (reflect.Value, bool) {
	v := reflect.ValueOf(options)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return reflect.Value{}, false
	}
	return v.Elem(), true
}
