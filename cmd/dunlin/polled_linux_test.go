package main

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dunlin-mqtt/dunlin/sensors/chipsim"
	"github.com/dunlin-mqtt/dunlin/serial"
	"github.com/dunlin-mqtt/dunlin/serial/modbus/modbustest"
	"github.com/dunlin-mqtt/dunlin/serial/serialtest"
)

// polled are 100 devices of one driver: the keys of device i, and the machine.
// What the models of chips and lines cost is counted too.
type polled struct {
	driver string
	device string // the device's own keys; %d is its number
	model  func(t *testing.T, m *models)
	says   func(n int) []byte // what a device on a port says in second n
	every  int                // seconds between two readings; 0 is 1
}

const polledDevices = 100

func chipOn(address uint16, make func() chipsim.Chip) func(*testing.T, *models) {
	return func(_ *testing.T, m *models) { m.plug = func(_ string, b *chipsim.Bus) { b.Plug(address, make()) } }
}

func chip[C chipsim.Chip](make func() C) func() chipsim.Chip {
	return func() chipsim.Chip { return make() }
}

func polledDrivers() []polled {
	const i2c, spi = `bus: "%d"`, "bus: s%d"
	return []polled{
		{driver: "sim", device: ""},
		{driver: "hwmon", device: "match: {name: [board]}", model: func(_ *testing.T, m *models) {
			dir := "sys/class/hwmon/hwmon0/"
			m.file(dir+"name", "board")
			m.file(dir+"temp1_input", "23500")
			m.file(dir+"in0_input", "3312")
			m.file(dir+"curr1_input", "120")
		}},
		{driver: "iio", device: "match: {name: [bmp280]}", model: func(_ *testing.T, m *models) {
			dir := "sys/bus/iio/devices/iio:device0/"
			m.file(dir+"name", "bmp280")
			m.file(dir+"in_temp_input", "23500")
			m.file(dir+"in_pressure_input", "100.5")
		}},
		{driver: "bme280", device: i2c, model: chipOn(0x76, chip(func() *chipsim.BME280 {
			c := chipsim.NewBME280(0x60, chipsim.Typical())
			c.Set(21, 1e5, 40)
			return c
		}))},
		{driver: "sht3x", device: i2c, model: chipOn(0x44, chip(chipsim.NewSHT3x))},
		{driver: "sht4x", device: i2c, model: chipOn(0x44, chip(chipsim.NewSHT4x))},
		{driver: "aht20", device: i2c, model: chipOn(0x38, chip(chipsim.NewAHT20))},
		{driver: "lm75", device: i2c, model: chipOn(0x48, chip(chipsim.NewLM75))},
		{driver: "tmp102", device: i2c, model: chipOn(0x48, chip(chipsim.NewTMP102))},
		{driver: "mcp9808", device: i2c, model: chipOn(0x18, chip(chipsim.NewMCP9808))},
		{driver: "bh1750", device: i2c, model: chipOn(0x23, chip(chipsim.NewBH1750))},
		{driver: "veml7700", device: i2c, model: chipOn(0x10, chip(chipsim.NewVEML7700))},
		{driver: "ads1115", device: i2c + ", entities: {level: {input: a0}}", model: chipOn(0x48, chip(chipsim.NewADS1115))},
		{driver: "ina219", device: i2c + ", shunt: 0.1", model: chipOn(0x40, chip(chipsim.NewINA219))},
		{driver: "modbus", device: "bus: line, unit: 1, registers: [{name: a, address: 0}, {name: b, address: 1, type: float32}, {name: c, address: 9}]", model: func(_ *testing.T, m *models) {
			m.units.Set(1, modbustest.Holding, 0, make([]uint16, 16)...)
		}},
		{driver: "ads1015", device: i2c + ", entities: {level: {input: a0}}", model: chipOn(0x48, chip(chipsim.NewADS1015))},
		{driver: "ina226", device: i2c + ", shunt: 0.1", model: chipOn(0x40, chip(chipsim.NewINA226))},
		{driver: "scd4x", device: i2c, model: chipOn(0x62, chip(chipsim.NewSCD4x)), every: 5},
		{driver: "mcp3008", device: spi + ", entities: {a0: {}}", model: chipOn(0, chip(chipsim.NewMCP3008))},
		{driver: "mcp3208", device: spi + ", entities: {a0: {}}", model: chipOn(0, chip(chipsim.NewMCP3208))},
		{driver: "max31855", device: spi, model: chipOn(0, chip(chipsim.NewMAX31855))},
		{driver: "max6675", device: spi, model: chipOn(0, chip(chipsim.NewMAX6675))},
		{driver: "w1_therm", device: "address: 28-3c01e076877d", model: func(_ *testing.T, m *models) {
			m.file("sys/bus/w1/devices/28-3c01e076877d/w1_slave", "78 01 4b 46 7f ff 0c 10 6a : crc=6a YES\n78 01 4b 46 7f ff 0c 10 6a t=23500")
		}},
		{driver: "system", device: "disks: []", model: func(_ *testing.T, m *models) {
			m.file("proc/meminfo", "MemTotal:        1000000 kB\nMemAvailable:     400000 kB")
			m.file("proc/uptime", "1234.5 999")
			m.file("proc/loadavg", "0.20 0.18 0.12 1/80 11206")
		}},
		{driver: "gpio_in", device: "line: L%d", model: edges},
		{driver: "pulse", device: "line: L%d", model: edges, every: 2}, // one kind of edge counts
		{driver: "pwm", device: "channel: %d, period: 40us", model: func(_ *testing.T, m *models) {
			dir := "sys/class/pwm/pwmchip0/"
			m.file(dir+"npwm", strconv.Itoa(polledDevices))
			for i := range polledDevices {
				for name, text := range map[string]string{"enable": "0", "period": "0", "duty_cycle": "0", "polarity": "normal"} {
					m.file(fmt.Sprintf("%spwm%d/%s", dir, i, name), text)
				}
			}
		}},
		{driver: "lines", device: "port: {path: /dev/P%d}, format: json, entities: {a: {path: a}}", says: func(n int) []byte {
			return fmt.Appendf(nil, "{\"a\": %d}\n", n)
		}},
		{driver: "frames", device: "port: {path: /dev/P%d}, framing: cobs, crc: crc16_ccitt_false, struct: [{name: a, type: u16}]", says: func(n int) []byte {
			check, _ := serial.CheckNamed("crc16_ccitt_false")
			f := serial.Framing{Kind: "cobs", Max: 64, Check: check}
			frame, err := f.Append(nil, []byte{0, byte(n)})
			if err != nil {
				panic(err)
			}
			return frame
		}},
		{driver: "nmea", device: "port: {path: /dev/P%d}", says: func(n int) []byte {
			return []byte(nmeaSentence(fmt.Sprintf("GPRMC,1235%02d,A,4807.038,N,01131.000,E,022.4,084.4,230324,003.1,W", n%60)))
		}},
		{driver: "dsmr", device: "port: {path: /dev/P%d}", says: func(n int) []byte {
			text := fmt.Sprintf("/ISk5\\2MT382-1000\r\n\r\n1-0:1.8.1(%06d.789*kWh)\r\n1-0:1.7.0(01.193*kW)\r\n!", n)
			check, _ := serial.CheckNamed("crc16_arc")
			return fmt.Appendf(nil, "%s%04X\r\n", text, check.Sum([]byte(text)))
		}},
	}
}

// eachSecond calls f for every device until the test ends.
func eachSecond(t *testing.T, f func(device, n int)) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for n := 0; ; n++ {
			for i := range polledDevices {
				f(i, n)
			}
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
}

// edges are lines that change once a second.
func edges(t *testing.T, m *models) {
	m.gpio.room = 4
	eachSecond(t, func(i, n int) { m.gpio.named("L" + strconv.Itoa(i)).set(n%2 == 0) })
}

// speak plugs in devices that say something once a second until the test ends,
// and returns the paths of their ports.
func speak(t *testing.T, says func(n int) []byte) string {
	var all [polledDevices]*serialtest.Device
	var paths [polledDevices]string
	for i := range all {
		all[i] = serialtest.Pty(t)
		paths[i] = all[i].Path()
	}
	eachSecond(t, func(i, n int) {
		if _, err := all[i].Write(says(n)); err != nil {
			t.Error(err)
		}
	})
	return strings.Join(paths[:], " ")
}
