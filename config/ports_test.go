package config

import "testing"

func TestPortsWarns(t *testing.T) {
	for src, lines := range map[string][]int{
		"mqtt:\n  listeners:\n    - {bind: \"serial:/dev/ttyUSB0\"}\nbuses:\n  - {id: a, type: modbus_rtu, port: {path: /dev/ttyACM1}}": {3, 5},
		"buses: [{id: a, type: modbus_rtu, port: {path: /dev/ttyAMA0}}]":                                                                nil,
		"buses: [{id: a, type: modbus_rtu, port: {path: /dev/serial/by-id/usb-FTDI-if00}}]":                                             nil,
		"buses: [{id: a, type: modbus_rtu, port: {usb: {vid: 0403, pid: 6001, serial: A1}}}]":                                           nil,
		"buses: [{id: i, type: i2c, path: /dev/i2c-1}]\ndevices:\n  - {name: a, driver: bme280, bus: i}\n  - {name: b, driver: bme280, bus: i, address: 0x76}\n  - {name: c, driver: bme280, bus: i, address: 0x77}\n  - {name: d, driver: bme280, bus: 1}\n  - {name: e, driver: bme280, bus: i, address: 0x77}": {4, 7},
	} {
		found := load(t, src).Ports()
		if len(found) != len(lines) {
			t.Errorf("%s: %v", src, found)
			continue
		}
		for i, e := range found {
			if !e.Warning || e.Hint == "" || e.Line != lines[i] {
				t.Errorf("%s: %+v", src, e)
			}
		}
	}
}
