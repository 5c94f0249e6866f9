package main

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dunlin-mqtt/dunlin/broker"
	"github.com/dunlin-mqtt/dunlin/broker/mqtt"
	"github.com/dunlin-mqtt/dunlin/config"
	"github.com/dunlin-mqtt/dunlin/sensors"
	"github.com/dunlin-mqtt/dunlin/sensors/bus"
	"github.com/dunlin-mqtt/dunlin/sensors/drivers"
	"github.com/dunlin-mqtt/dunlin/sensors/homeassistant"
	"github.com/dunlin-mqtt/dunlin/sensors/sparkplug"
	"github.com/dunlin-mqtt/dunlin/sensors/totals"
	"github.com/dunlin-mqtt/dunlin/serial"
	"github.com/dunlin-mqtt/dunlin/serial/modbus"
)

// tables tells the configuration which drivers and filters there are and what
// their keys are.
func tables() config.Tables {
	t := config.Tables{Drivers: map[string]config.Driver{}, Filters: map[string]config.Filter{}}
	for name, s := range drivers.Table() {
		t.Drivers[name] = config.Driver{Doc: s.Doc, Options: s.Options, Entity: s.Entity, EntityList: s.EntityList}
	}
	for name, s := range sensors.Filters() {
		t.Filters[name] = config.Filter{Doc: s.Doc, Options: s.Options}
	}
	t.Filters["or"] = config.Filter{Doc: t.Filters["or"].Doc, Options: func() any { return &config.FilterList{} }}
	return t
}

// makeDevices builds the drivers and pipelines of all devices, and reports
// every mistake in them at its place. It touches no hardware, so that `dunlin
// check` finds the same mistakes as `dunlin run`.
func makeDevices(cfg *config.Config) ([]sensors.Device, config.Errors) {
	specs, filters := drivers.Table(), sensors.Filters()
	var devices []sensors.Device
	var errs config.Errors
	for _, d := range cfg.Devices {
		dev := sensors.Device{
			Name: d.Name, Interval: d.Interval, StaleAfter: d.StaleAfter, FailAfter: d.FailAfter,
			WillDelay: d.WillDelay, QoS: mqtt.QoS(d.QoS), Payload: sensors.Payload(d.Payload),
			Offline: sensors.ValuePolicy(d.RetainPolicy), Model: d.Driver, DeviceClass: d.DeviceClass, StateClass: d.StateClass,
		}
		if p := d.Power; p != nil {
			dev.Power = &sensors.Power{Line: lineOf(p.Line), Off: p.Off, Settle: p.Settle}
			dev.Power.Line.ActiveLow = p.ActiveLow
		}
		errs = append(errs, unknownClass(cfg, d.DeviceClass, d.Path)...)
		options := map[string]any{}
		for _, e := range d.Entities {
			options[e.Name] = e.Options
			ent := sensors.Entity{Name: e.Name, Unit: e.Unit, DeviceClass: e.DeviceClass, StateClass: e.StateClass, Category: e.Category, Disabled: e.Disabled, AcceptRetained: e.AcceptRetained}
			errs = append(errs, unknownClass(cfg, e.DeviceClass, e.Path)...)
			uses := e.Filters
			if len(d.Entities) == 1 {
				ent.Unit, uses = cmp.Or(e.Unit, d.Unit), slices.Concat(d.Filters, e.Filters)
			}
			ent.Filters = makeFilters(cfg, filters, uses, &errs)
			dev.Entities = append(dev.Entities, ent)
		}
		if (len(d.Filters) > 0 || d.Unit != "") && len(dev.Entities) != 1 {
			errs = append(errs, cfg.Errorf(d.Path, "under entities: NAME: {unit_of_measurement: ..., filters: [...]}",
				"device %s has a unit or filters of its own: they need exactly one entity to belong to", d.Name))
			continue
		}
		driver, err := specs[d.Driver].New(d.Options, options)
		if err != nil {
			errs = append(errs, cfg.Errorf(placeOf(d.Path, err), "", "device %s: %v", d.Name, err))
			continue
		}
		errs = append(errs, disabledOutputs(cfg, d.Entities, driver)...)
		dev.Driver, dev.Strict = driver, d.OnReject == "device"
		devices = append(devices, dev)
	}
	return devices, append(errs, checkOutputs(cfg, devices)...)
}

// placeOf is where a device has what a driver refuses: it names the entity, if
// it is one.
func placeOf(device string, err error) string {
	if rest, ok := strings.CutPrefix(err.Error(), "entities."); ok {
		entity, _, _ := strings.Cut(rest, ":")
		return device + ".entities." + entity
	}
	return device
}

// unknownClass reports a device class that Home Assistant does not have: it
// would refuse the whole component.
func unknownClass(cfg *config.Config, class, path string) config.Errors {
	if class == "" || homeassistant.KnownClass(class) {
		return nil
	}
	return config.Errors{cfg.Errorf(path+".device_class", "Home Assistant's documentation of sensors and binary sensors lists them",
		"Home Assistant has no device class %q", class)}
}

// unfitClasses warns of device classes that are not announced, since Home
// Assistant would drop an entity that has one with its unit.
func unfitClasses(cfg *config.Config) (errs config.Errors) {
	warn := func(class, unit, path string) {
		if ok, units := homeassistant.Fits(class, unit); !ok && cfg.Gateway.HomeAssistant.Discovery {
			hint := "it has no unit"
			if len(units) > 0 {
				hint = "it takes " + strings.Join(units, ", ")
			}
			e := cfg.Errorf(path+".device_class", hint, "Home Assistant does not take %s in %s: the entity is announced without its class", class, unit)
			e.Warning = true
			errs = append(errs, e)
		}
	}
	for _, d := range cfg.Devices {
		warn(d.DeviceClass, d.Unit, d.Path)
		for _, e := range d.Entities {
			warn(e.DeviceClass, e.Unit, e.Path)
		}
	}
	return errs
}

// discovery is how devices are announced, nil when they are not.
func discovery(cfg *config.Config) *sensors.Discovery {
	if !cfg.Gateway.HomeAssistant.Discovery {
		return nil
	}
	a := &homeassistant.Announcer{Node: cfg.Node, Base: cfg.Gateway.Base, Prefix: cfg.Gateway.HomeAssistant.Prefix, Version: readVersion().Version}
	return &sensors.Discovery{Describe: a.Device, Gateway: a.Gateway(), Listener: a.Listener()}
}

// sparkplugNode is the gateway as an Edge Node. It is silent unless a device
// speaks Sparkplug, at the start or after a reload.
func (g *gateway) sparkplugNode(cfg *config.Config, d *deps) *sparkplug.Node {
	o := sparkplug.Options{Group: cfg.Gateway.Sparkplug.Group, Node: cfg.Node, Log: d.logger("sparkplug")}
	o.Attach = func(id string, will *mqtt.Will) (sensors.Session, error) { return g.attachDevice(id, will, nil) }
	o.AtOnce = slices.ContainsFunc(cfg.Devices, func(d config.Device) bool { return d.Payload == "sparkplug" })
	if !d.volatile {
		o.File = filepath.Join(string(cfg.DataDir), "sparkplug")
	}
	return sparkplug.New(o)
}

// registry is the file of what devices have published, "" when nothing is kept.
func registry(cfg *config.Config, d *deps) string {
	if d.volatile {
		return ""
	}
	return filepath.Join(string(cfg.DataDir), "devices")
}

// makeFilters makes the filters of one pipeline, and those inside of them.
func makeFilters(cfg *config.Config, specs map[string]sensors.FilterSpec, uses []config.FilterUse, errs *config.Errors) (all []sensors.Filter) {
	for _, use := range uses {
		options, found := use.Options, len(*errs)
		if list, ok := options.(*config.FilterList); ok {
			options = &sensors.OrOptions{Filters: makeFilters(cfg, specs, list.Filters, errs)}
		}
		if len(*errs) > found {
			continue
		}
		f, err := specs[use.Name].New(options)
		if err != nil {
			*errs = append(*errs, cfg.Errorf(use.Path, "", "%s: %v", use.Name, err))
			continue
		}
		all = append(all, f)
	}
	return all
}

func (g *gateway) wireDevices(cfg *config.Config, d *deps) error {
	devices, errs := makeDevices(cfg)
	if len(errs) > 0 {
		return errs
	}
	buses := d.buses
	if buses == nil {
		real, err := bus.New(busSpecs(cfg), "/")
		if err != nil {
			return fmt.Errorf("buses: %w", err)
		}
		gw := &cfg.Gateway
		if gw.Replay != "" {
			if err := real.Replay(string(gw.Replay)); err != nil {
				return fmt.Errorf("gateway.replay: %w", err)
			}
		}
		if gw.Record != "" {
			// After a restart the file is there. It is kept, and the gateway starts.
			if err := real.Record(string(gw.Record)); err != nil {
				d.logger("sensors").Warn("gateway.record: nothing is recorded; name a file that is not there yet", "err", err)
			}
		}
		buses = real
	}
	kept := totals.Open(totals.Options{Dir: string(cfg.DataDir), Log: d.logger("sensors")})
	node := g.sparkplugNode(cfg, d)
	m, err := sensors.New(sensors.Options{
		Devices: devices,
		Attach:  g.attachDevice,
		Watch:   g.broker.Watch,
		Buses:   buses,
		Base:    cfg.Gateway.Base,
		Payload: sensors.Payload(cfg.Gateway.Payload),
		Totals:  kept,
		Log:     d.logger("sensors"),

		Registry:  registry(cfg, d),
		Discovery: discovery(cfg),
		EdgeNode:  node,
	})
	if err != nil {
		return err
	}
	g.sensors = m
	g.parts = append(g.parts, part{"sparkplug", node.Run})
	g.parts = append(g.parts, part{"totals", kept.Run}, part{"sensors", m.Run})
	return nil
}

// attachDevice opens a device's session. It outlives an abnormal end by more
// than the will's delay: otherwise the end of the session would publish the
// will at once [MQTT-3.1.2-8].
func (g *gateway) attachDevice(id string, will *mqtt.Will, news func()) (sensors.Session, error) {
	o := broker.ClientOptions{ID: id, Will: will, News: news}
	if will != nil {
		o.SessionExpiry = will.Delay + time.Second
	}
	c, err := g.broker.Attach(o)
	if err != nil {
		return nil, err // not c: a nil *broker.Client is no nil Session
	}
	return c, nil
}

func busSpecs(cfg *config.Config) []bus.Spec {
	var specs []bus.Spec
	for _, b := range cfg.Buses {
		switch o := b.Options.(type) {
		case *config.I2CBus:
			spec := bus.Spec{ID: b.ID, Type: b.Type, Path: string(o.Path)}
			if r := o.Recover; r != nil {
				spec.Recovery = bus.Recovery{SCL: lineOf(r.SCL), SDA: lineOf(r.SDA), Rebind: r.Rebind}
			}
			specs = append(specs, spec)
		case *config.SPIBus:
			specs = append(specs, bus.Spec{ID: b.ID, Type: b.Type, Path: string(o.Path), Speed: o.Speed, Mode: o.Mode})
		case *config.Multiplexer:
			specs = append(specs, bus.Spec{ID: b.ID, Type: b.Type, Bus: o.Bus, Address: o.Address})
		case *config.ModbusRTU:
			specs = append(specs, bus.Spec{ID: b.ID, Type: b.Type, Port: modbusPort(o), Modbus: modbus.Options{
				Baud: o.Baud, Timeout: o.Timeout, Turnaround: o.Turnaround, Recovery: o.Recovery, Settle: o.Settle,
			}})
		case *config.ModbusTCP:
			specs = append(specs, bus.Spec{ID: b.ID, Type: b.Type, Host: o.Address, Modbus: modbus.Options{
				Timeout: o.Timeout, Turnaround: o.Turnaround, Settle: o.Settle,
			}})
		}
	}
	return specs
}

func modbusPort(o *config.ModbusRTU) serial.Config {
	c := serial.DefaultConfig()
	c.Path, c.Baud, c.Parity, c.StopBits = string(o.Port.Path), o.Baud, o.Parity, o.StopBits
	if u := o.Port.USB; u != nil {
		c.USB = serial.USBID{VID: u.VID, PID: u.PID, Serial: u.Serial, Interface: u.Interface, PortPath: u.PortPath}
	}
	c.RS485 = serial.RS485(o.RS485)
	return c
}

// lineOf names a line to whoever requests it.
func lineOf(g config.GPIO) (o sensors.LineOptions) {
	o.Name, o.Chip, o.Offset = g.Split()
	return o
}
