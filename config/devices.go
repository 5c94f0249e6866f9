package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Device is a sensor or an output of this gateway. The keys of its driver
// stand beside these.
type Device struct {
	Name         string        `yaml:"name" req:"1" ex:"greenhouse" doc:"a level of the device's topics"`
	Driver       string        `yaml:"driver" req:"1" ex:"system" doc:"what reads it"`
	Interval     time.Duration `yaml:"interval" min:"10ms" max:"10000d" doc:"time between readings" ex:"30s"`
	StaleAfter   time.Duration `yaml:"stale_after" min:"10ms" max:"36500d" doc:"offline after this time without a good reading" ex:"90s"`
	FailAfter    int           `yaml:"fail_after" min:"1" max:"1000" doc:"offline after this many failures in a row"`
	Power        *Power        `yaml:"power" doc:"line of the device's supply, which is cut for a moment when nothing else helps"`
	OnReject     string        `yaml:"on_reject" enum:"entity|device" doc:"what a value that is rejected fails: its entity, or the whole reading"`
	WillDelay    time.Duration `yaml:"will_delay" max:"36500d" doc:"time until a failed device is called offline" ex:"5s"`
	QoS          int           `yaml:"qos" min:"0" max:"2" doc:"QoS of readings"`
	Payload      string        `yaml:"payload" enum:"plain|json|both|senml|sparkplug" doc:"as gateway.payload"`
	RetainPolicy string        `yaml:"retain_policy" enum:"keep|clear|nan" doc:"what becomes of retained values while the device is offline"`
	Unit         string        `yaml:"unit_of_measurement" doc:"unit of a device with one entity" ex:"°C"`
	DeviceClass  string        `yaml:"device_class" doc:"Home Assistant's class of a device with one entity" ex:"door"`
	StateClass   string        `yaml:"state_class" enum:"measurement|measurement_angle|total|total_increasing" doc:"Home Assistant's state class of a device with one entity"`
	Filters      []FilterUse   `yaml:"filters" doc:"filters of a device with one entity"`
	// AcceptRetained is for all entities of the device.
	AcceptRetained bool `yaml:"accept_retained" doc:"carry out retained commands too, those from before the start"`
	// Options are the driver's, as Tables returned them, filled in.
	Options any `yaml:"-"`
	// Entities are those that the file lists, in its order.
	Entities []Entity `yaml:"-"`
	// Path is the device's path in the file, for Config.Errorf.
	Path string `yaml:"-"`
}

// Entity is one value of a device.
type Entity struct {
	Name        string      `yaml:"-"`
	Unit        string      `yaml:"unit_of_measurement" doc:"unit" ex:"°C"`
	DeviceClass string      `yaml:"device_class" doc:"Home Assistant's class" ex:"temperature"`
	StateClass  string      `yaml:"state_class" enum:"measurement|measurement_angle|total|total_increasing" doc:"Home Assistant's state class"`
	Filters     []FilterUse `yaml:"filters" doc:"what happens to readings, by stage" ex:"[{delta: 0.1}]"`
	Category    string      `yaml:"entity_category" enum:"diagnostic|config" doc:"Home Assistant's category of an entity that is not for every day"`
	Disabled    bool        `yaml:"disabled" doc:"neither published nor announced"`
	// AcceptRetained is the device's unless the entity sets it.
	AcceptRetained bool `yaml:"accept_retained" doc:"carry out retained commands too, those from before the start"`
	// Options are the driver's for one entity, nil when it has none.
	Options any `yaml:"-"`
	// Path is the entity's path in the file, for Config.Errorf.
	Path string `yaml:"-"`
}

// FilterUse is one filter of an entity's pipeline.
type FilterUse struct {
	Name    string `yaml:"-"`
	Options any    `yaml:"-"` // as Tables returned them, filled in
	Path    string `yaml:"-"`
}

// Power is the GPIO line of a device's supply.
type Power struct {
	Line      GPIO          `yaml:"line" req:"1" ex:"GPIO22" doc:"the line: GPIO22, or gpiochip0/22 for one without a name"`
	ActiveLow bool          `yaml:"active_low" doc:"low switches the supply on"`
	Off       time.Duration `yaml:"off" min:"1ms" max:"1m" doc:"how long it is cut"`
	Settle    time.Duration `yaml:"settle" min:"1ms" max:"1m" doc:"how long the device takes to start"`
}

func (p *Power) setDefaults() { p.Off, p.Settle = 2*time.Second, time.Second }

// FilterList is the options of a filter whose value is a list of filters.
type FilterList struct {
	Filters []FilterUse `yaml:",list" doc:"the filters" ex:"[{delta: 0.5}, {max_interval: 60s}]"`
}

// reservedEntity reports whether a device's own topics use the name.
func reservedEntity(name string) bool {
	switch name {
	case "state", "health", "availability", "set", "result":
		return true
	}
	return false
}

// reservedDevice is the name that the gateway's own topic uses.
const reservedDevice = "status"

func (d *Device) bind(l *loader, n *node, path string) {
	g := l.cfg.Gateway
	d.Interval, d.StaleAfter, d.FailAfter = g.Defaults.Interval, g.Defaults.StaleAfter, g.Defaults.FailAfter
	d.WillDelay, d.QoS, d.Payload, d.RetainPolicy = g.Defaults.WillDelay, g.Defaults.QoS, g.Payload, "keep"
	d.OnReject = "entity"
	d.Path = path
	if n.kind != mapping {
		l.fail(n, path, "for example {name: host, driver: system}", "expected a mapping (key: value), found %s", n.is())
		return
	}
	name := l.peek(n, "driver")
	driver, known := l.tables.Drivers[name]
	parts := []reflect.Value{reflect.ValueOf(d).Elem()}
	if known {
		d.Options = driver.Options()
		if v, ok := pointee(d.Options); ok {
			parts = append(parts, v)
		}
	}
	handled := []string{"entities"}
	if driver.EntityList != "" {
		handled = append(handled, driver.EntityList)
	}
	l.bindMapping(n, path, shared{handled: handled, lenient: !known}, parts...)
	if !known && name != "" {
		l.failAt(join(path, "driver"), oneOf(name, names(l.tables.Drivers)), "there is no driver %q", shorten(name))
	}
	if _, ok := n.get("stale_after"); !ok {
		d.StaleAfter = max(d.StaleAfter, 3*d.Interval)
	}
	if e, ok := n.get("entities"); ok && e.value.kind != null {
		d.bindEntities(l, e.value, join(path, "entities"), driver, known)
	}
	if e, ok := n.get(driver.EntityList); ok && e.value.kind != null {
		d.bindEntityList(l, e.value, join(path, driver.EntityList), driver)
	}
}

func (d *Device) bindEntities(l *loader, n *node, path string, driver Driver, known bool) {
	if n.kind != mapping {
		l.fail(n, path, "for example temperature: {filters: [{delta: 0.1}]}", "expected named entries (name: ...), found %s", n.is())
		return
	}
	things := []reflect.Type{reflect.TypeFor[Entity]()}
	if v, ok := pointee(entityOptions(driver)); ok {
		things = append(things, v.Type())
	}
	if l.nameless(n, path, things...) {
		return
	}
	for _, e := range n.entries {
		p := join(path, e.key.text)
		v := e.value
		if v.kind == null {
			v = v.place(mapping)
		}
		if v.kind != mapping {
			l.fail(v, p, "for example "+e.key.text+": {filters: [{delta: 0.1}]}", "expected a mapping (key: value), found %s", v.is())
			continue
		}
		d.bindEntity(l, e.key, v, p, driver, shared{lenient: !known})
	}
}

// bindEntityList takes entities as items with a name, as registers of a Modbus
// unit are written.
func (d *Device) bindEntityList(l *loader, n *node, path string, driver Driver) {
	if n.kind != list {
		l.fail(n, path, "start each item with '- '", "expected a list (- item), found %s", n.is())
		return
	}
	for i, item := range n.items {
		p := index(path, i)
		name, ok := item.get("name")
		switch {
		case item.kind != mapping:
			l.fail(item, p, "", "expected a mapping (key: value), found %s", item.is())
		case !ok || name.value.kind != scalar:
			l.fail(item, join(p, "name"), "for example name: voltage", "missing key \"name\" in %s", p)
		default:
			d.bindEntity(l, name.value, item, p, driver, shared{handled: []string{"name"}})
		}
	}
}

// bindEntity takes one entity, whose name stands at the node given.
func (d *Device) bindEntity(l *loader, name, n *node, path string, driver Driver, s shared) {
	ent := Entity{Name: name.text, Path: path, AcceptRetained: d.AcceptRetained}
	parts := []reflect.Value{reflect.ValueOf(&ent).Elem()}
	if o := entityOptions(driver); o != nil {
		ent.Options = o
		if v, ok := pointee(o); ok {
			parts = append(parts, v)
		}
	}
	fault := nameFault(ent.Name)
	switch {
	case reservedEntity(ent.Name):
		fault = "is reserved: the gateway uses that topic itself"
	case slices.ContainsFunc(d.Entities, func(e Entity) bool { return e.Name == ent.Name }):
		fault = "is here twice"
	}
	if fault != "" {
		l.fail(name, path, "", "entity name %q %s", shorten(ent.Name), fault)
	}
	l.bindMapping(n, path, s, parts...)
	d.Entities = append(d.Entities, ent)
}

// bind takes {name: options} or a bare name.
func (u *FilterUse) bind(l *loader, n *node, path string) {
	u.Path = path
	value, at := n, n
	switch {
	case n.kind == scalar:
		u.Name, _ = l.text(n, path, field{})
		value = n.place(null)
	case n.kind == mapping && len(n.entries) == 1:
		at, value = n.entries[0].key, n.entries[0].value
		u.Name = at.text
	default:
		l.fail(n, path, "for example - delta: 0.1", "expected one filter with its options, found %s", n.is())
		return
	}
	kind, ok := l.tables.Filters[u.Name]
	if !ok {
		l.fail(at, path, oneOf(u.Name, names(l.tables.Filters)), "there is no filter %q", shorten(u.Name))
		return
	}
	u.Options = kind.Options()
	v := reflect.ValueOf(u.Options)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return
	}
	if value.kind == null {
		if v.Elem().Kind() != reflect.Struct {
			l.fail(at, path, "", "%s has no value", u.Name)
			return
		}
		value = at.place(mapping)
	}
	l.bind(value, v.Elem(), join(path, u.Name), field{key: u.Name})
}

func checkDevices(l *loader, c *Config) {
	seen := map[string]string{}
	for _, d := range c.Devices {
		if d.Path == "" {
			continue // was no mapping
		}
		p := join(d.Path, "name")
		fault := ""
		if d.Name != "" {
			fault = nameFault(d.Name)
		}
		if d.Name == reservedDevice {
			fault = "is reserved: the gateway uses that topic itself"
		}
		l.failIf(fault, p, "", "device name %q %s", shorten(d.Name))
		if first, twice := seen[d.Name]; twice && d.Name != "" {
			l.failAt(p, l.first(first), "device %q is here twice", shorten(d.Name))
		} else {
			seen[d.Name] = p
		}
		if c.IsSet(join(d.Path, "stale_after")) && c.IsSet(join(d.Path, "interval")) && d.StaleAfter < d.Interval {
			l.failIf("is shorter than interval: the device would go offline between readings", join(d.Path, "stale_after"), "", "stale_after %s")
		}
		if ref, want, has := busOption(d.Options); ref != "" || has && c.IsSet(join(d.Path, "bus")) && !l.failed(0, join(d.Path, "bus")) {
			fault, hint := busFault(c.Buses, ref, want)
			l.failIf(fault, join(d.Path, "bus"), hint, "bus %s")
			l.validateOn(&d, ref)
		}
	}
}

// busValidator is implemented by options of drivers that do not go with every
// type of bus that they can use.
type busValidator interface {
	ValidateOn(bus string, report func(path, msg string))
}

func (l *loader) validateOn(d *Device, ref string) {
	check, ok := d.Options.(busValidator)
	i := slices.IndexFunc(l.cfg.Buses, func(b Bus) bool { return b.ID == ref })
	if !ok || i < 0 {
		return
	}
	check.ValidateOn(l.cfg.Buses[i].Type, func(rel, msg string) {
		if p := join(d.Path, rel); !l.failed(0, p) {
			l.failAt(p, "", "%s: %s", last(p), msg)
		}
	})
}

// busOption returns the value of a driver's option called bus, what its tag
// says of the bus's type, and whether there is such an option.
func busOption(options any) (ref, want string, has bool) {
	v, ok := pointee(options)
	if !ok {
		return "", "", false
	}
	for _, f := range fieldsOf(v.Type()) {
		if f.key == "bus" && f.typ.Kind() == reflect.String {
			return v.FieldByIndex(f.index).String(), f.bus, true
		}
	}
	return "", "", false
}

// Check reports what a binder could not fill: mistakes of whoever wrote a
// table, for a test.
func (t Tables) Check() error {
	for _, name := range names(t.Drivers) {
		d := t.Drivers[name]
		if d.Options == nil {
			return fmt.Errorf("driver %s has no Options", name)
		}
		if err := bindable(reflect.TypeOf(d.Options()), 0); err != nil {
			return fmt.Errorf("driver %s: %w", name, err)
		}
		if o := entityOptions(d); o != nil {
			if err := bindable(reflect.TypeOf(o), 0); err != nil {
				return fmt.Errorf("entities of driver %s: %w", name, err)
			}
		}
	}
	for _, name := range names(t.Filters) {
		if err := bindable(reflect.TypeOf(t.Filters[name].Options()), 0); err != nil {
			return fmt.Errorf("filter %s: %w", name, err)
		}
	}
	return nil
}

func bindable(t reflect.Type, depth int) error {
	if t == nil || depth > 8 {
		return nil
	}
	if t.Kind() != reflect.Pointer && isScalarType(t) {
		return nil
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		return bindable(t.Elem(), depth+1)
	case reflect.Map:
		if t.Key().Kind() != reflect.String {
			return fmt.Errorf("%v: keys must be strings", t)
		}
		return bindable(t.Elem(), depth+1)
	case reflect.Struct:
		for _, f := range fieldsOf(t) {
			if err := bindable(f.typ, depth+1); err != nil {
				return fmt.Errorf("%s: %w", strings.Trim(f.key, " "), err)
			}
		}
	case reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128, reflect.Array, reflect.UnsafePointer, reflect.Uintptr:
		return fmt.Errorf("%v cannot be set from a file", t)
	}
	return nil
}
