package drivers

import (
	"maps"

	"github.com/dunlin-mqtt/dunlin/sensors"
)

// table is filled by the init functions of this package's files, one name
// each, and never changes afterwards.
var table = map[string]sensors.DriverSpec{}

// register adds a driver under the name that a device's `driver:` uses.
func register(name string, s sensors.DriverSpec) {
	if _, taken := table[name]; taken {
		panic("drivers: " + name + " registered twice")
	}
	if s.Options == nil || s.New == nil {
		panic("drivers: " + name + " has no Options or New")
	}
	table[name] = s
}

// Table returns every built-in driver by name.
func Table() map[string]sensors.DriverSpec { return maps.Clone(table) }
