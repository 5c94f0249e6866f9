package config

import (
	"fmt"
	"reflect"
)

// twins warns of two devices at one address of a bus: one chip's values under
// two names, as a copied entry makes them.
func (c *Config) twins() (found Errors) {
	seen := map[string]string{}
	for i := range c.Devices {
		d := &c.Devices[i]
		bus, _ := busOption(d.Options)
		v, ok := pointee(d.Options)
		if bus == "" || !ok {
			continue
		}
		for _, f := range fieldsOf(v.Type()) {
			if k := f.typ.Kind(); f.key != "address" || k != reflect.Int && k != reflect.Uint16 {
				continue
			}
			at := fmt.Sprintf("address 0x%02x of bus %s", v.FieldByIndex(f.index).Interface(), bus)
			if first, twice := seen[at]; twice {
				e := c.Errorf(d.Path+".address", "give each chip an address of its own, or take one of the devices out", "%s is that of device %s too: both show one chip", at, first)
				e.Warning = true
				found = append(found, e)
				continue
			}
			seen[at] = d.Name
		}
	}
	return found
}
