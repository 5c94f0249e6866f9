package config

import (
	"fmt"
	"reflect"
)

// twins warns of two devices that are one piece of hardware, as a copied entry
// makes them: at one address of a bus, one chip's values under two names; at one
// GPIO line or serial port, one that is busy for ever.
func (c *Config) twins() (found Errors) {
	seen := map[string]string{}
	for i := range c.Devices {
		d := &c.Devices[i]
		v, ok := pointee(d.Options)
		if !ok {
			continue
		}
		bus, _, _ := busOption(d.Options)
		for _, f := range fieldsOf(v.Type()) {
			what := place(f.key, bus, v.FieldByIndex(f.index))
			if what == "" {
				continue
			}
			if first, twice := seen[what]; twice {
				e := c.Errorf(d.Path+"."+f.key, "give each device its own, or take one of the two out", "%s is that of device %s too", what, first)
				e.Warning = true
				found = append(found, e)
				continue
			}
			seen[what] = d.Name
		}
	}
	return found
}

// place is what only one device can have, if an option says where that is.
func place(key, bus string, v reflect.Value) string {
	switch key {
	case "address":
		if k := v.Kind(); bus != "" && (k == reflect.Int || k == reflect.Uint16) {
			return fmt.Sprintf("address 0x%02x of bus %s", v.Interface(), bus)
		}
	case "line", "port":
		if s, ok := v.Addr().Interface().(fmt.Stringer); ok && bus == "" {
			return key + " " + s.String()
		}
	}
	return ""
}
